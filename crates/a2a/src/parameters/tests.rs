use super::*;
use crate::types::{AgentCapabilities, AgentExtension};

fn read(pairs: &[(&str, &str)]) -> Result<Vec<String>, ErrorKind> {
    let parameters = ServiceParameters::read(pairs.iter().copied());
    parameters.map(|parameters| parameters.extensions.into_iter().collect()).map_err(|error| error.kind)
}

#[test]
fn only_our_version_is_spoken() {
    for good in ["1.0", " 1.0 ", "1.0.1", "1.0.22"] {
        assert_eq!(check_version(Some(good)), Ok(()), "{good}");
    }
    for wrong in ["", " ", "0.3", "1", "1.", "1.1", "1.00", "1.0.", "1.0.x", "1.0.1.2", "v1.0", "2.0", "1.0,1.1"] {
        let error = check_version(Some(wrong)).unwrap_err();
        assert_eq!((error.kind, error.metadata["supported"].as_str()), (ErrorKind::VersionNotSupported, "1.0"), "{wrong}");
    }
    assert!(check_version(None).is_err(), "who does not say speaks 0.3");
}

#[test]
fn parameters_are_found_whatever_their_case() {
    assert_eq!(read(&[("a2a-version", "1.0"), ("Host", "x")]), Ok(vec![]));
    assert_eq!(read(&[("A2A-VERSION", "1.0"), ("a2A-eXtensions", "urn:a:b, urn:c:d ,,")]).unwrap(), ["urn:a:b", "urn:c:d"]);
    let pieces = [("A2A-Version", "1.0"), ("A2A-Extensions", "urn:a:b"), ("a2a-extensions", "urn:c:d,urn:a:b")];
    assert_eq!(read(&pieces).unwrap(), ["urn:a:b", "urn:c:d"]);
    assert_eq!(read(&[("A2A-Extensions", "urn:a:b")]), Err(ErrorKind::VersionNotSupported));
}

#[test]
fn parameters_are_bounded_and_clear() {
    let is_invalid = |pairs: &[(&str, &str)]| matches!(read(pairs), Err(ErrorKind::InvalidParams { .. }));
    assert_eq!(read(&[("A2A-Version", "1.0"), ("a2a-version", "1.0")]), Ok(vec![]));
    assert!(is_invalid(&[("A2A-Version", "1.0"), ("a2a-version", "0.3")]));
    assert!(is_invalid(&[("A2A-Version", "1.0"), ("A2A-Extensions", &"x".repeat(URL_CHARS_MAX + 1))]));
    let many: Vec<_> = (0..=EXTENSIONS_MAX).map(|n| format!("urn:x:{n}")).collect();
    assert!(is_invalid(&[("A2A-Version", "1.0"), ("A2A-Extensions", &write_extensions(&many))]));
}

#[test]
fn required_extensions_must_be_declared() {
    let extension = |uri: &str, required| AgentExtension { uri: uri.to_owned(), required, ..AgentExtension::default() };
    let extensions = vec![extension("urn:a:may", false), extension("urn:a:must", true)];
    let capabilities = AgentCapabilities { extensions, ..AgentCapabilities::default() };
    let card = AgentCard { capabilities, ..AgentCard::default() };
    let declared = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<BTreeSet<_>>();
    let error = check_extensions(&card, &declared(&["urn:a:may"])).unwrap_err();
    assert_eq!((error.kind, error.metadata["extension"].as_str()), (ErrorKind::ExtensionSupportRequired, "urn:a:must"));
    assert_eq!(check_extensions(&card, &declared(&["urn:a:must"])), Ok(()));
    assert_eq!(check_extensions(&AgentCard::default(), &declared(&[])), Ok(()));
    assert_eq!(active_extensions(&card, &declared(&["urn:a:must", "urn:a:other"])), declared(&["urn:a:must"]));
}
