use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::SigningKey;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};

use super::*;

fn key(seed: u8) -> SignKey {
    let pem = SigningKey::from_slice(&[seed; 32]).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap();
    SignKey::from_pem(&pem).unwrap()
}

fn keys(pairs: &[(&str, u8)]) -> BTreeMap<String, VerifyKey> {
    pairs.iter().map(|(kid, seed)| ((*kid).to_owned(), key(*seed).verify_key())).collect()
}

fn card() -> AgentCard {
    let card = json!({
        "name": "diagnostics", "description": "finds \u{20ac} causes", "version": "1.2.0", "documentationUrl": "",
        "capabilities": {"streaming": false, "extensions": [{"uri": "urn:x:y", "required": false, "params": {}}]},
        "supportedInterfaces": [{"url": "https://a.b/", "protocolBinding": "JSONRPC", "tenant": "", "protocolVersion": "1.0"}],
        "defaultInputModes": [], "defaultOutputModes": ["text/plain"], "skills": [], "iconUrl": null,
        "securitySchemes": {"o": {"oauth2SecurityScheme": {"flows": {"authorizationCode": {
            "authorizationUrl": "https://a.b/auth", "tokenUrl": "https://a.b/token", "scopes": {}, "pkceRequired": false,
        }}}}},
    });
    crate::read_value(card).unwrap()
}

/// Fields in order; at their default only where REQUIRED (`skills`, `scopes`) or `optional` and set (`streaming`, `documentationUrl`).
#[test]
fn the_canonical_form_is_the_same_for_everybody() {
    let expected = concat!(
        r#"{"capabilities":{"extensions":[{"params":{},"uri":"urn:x:y"}],"streaming":false},"#,
        r#""defaultInputModes":[],"defaultOutputModes":["text/plain"],"description":"finds € causes","documentationUrl":"","#,
        r#""name":"diagnostics","securitySchemes":{"o":{"oauth2SecurityScheme":{"flows":{"authorizationCode":{"#,
        r#""authorizationUrl":"https://a.b/auth","scopes":{},"tokenUrl":"https://a.b/token"}}}}},"skills":[],"#,
        r#""supportedInterfaces":[{"protocolBinding":"JSONRPC","protocolVersion":"1.0","url":"https://a.b/"}],"version":"1.2.0"}"#,
    );
    assert_eq!(String::from_utf8(canonical(&card()).unwrap()).unwrap(), expected);
    let signed = sign(&card(), &key(1), "k1", None).unwrap();
    assert_eq!(canonical(&signed).unwrap(), expected.as_bytes());
}

#[test]
fn a_signed_card_is_verified_also_after_it_travelled() {
    let signed = sign(&card(), &key(1), "k1", Some("https://a.b/jwks.json")).unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&signed.signatures[0].protected).unwrap()).unwrap();
    assert_eq!(header, json!({"alg": "ES256", "kid": "k1", "typ": "JOSE", "jku": "https://a.b/jwks.json"}));
    let travelled: AgentCard = crate::read(&serde_json::to_vec_pretty(&signed).unwrap()).unwrap();
    assert_eq!(verify(&travelled, &keys(&[("k1", 1)])).unwrap(), "k1");
    let again = sign(&signed, &key(2), "k2", None).unwrap();
    assert_eq!(verify(&again, &keys(&[("k2", 2)])).unwrap(), "k2", "one known key is enough");
}

#[test]
fn whatever_is_changed_is_found() {
    let signed = sign(&card(), &key(1), "k1", None).unwrap();
    let whole = serde_json::to_value(&signed).unwrap();
    for (pointer, value) in [
        ("/name", json!("other")),
        ("/supportedInterfaces/0/url", json!("https://evil.example")),
        ("/capabilities/streaming", json!(true)),
        ("/skills", json!([{"id": "s", "name": "s", "description": "s", "tags": []}])),
        ("/signatures/0/signature", json!("")),
        ("/signatures/0/signature", json!(URL_SAFE_NO_PAD.encode([1; 64]))),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        let verified = verify(&crate::read_value(changed).unwrap(), &keys(&[("k1", 1)]));
        assert!(matches!(&verified, Err(CardError::Tampered(kid)) if kid == "k1"), "{pointer}: {verified:?}");
    }
    assert!(matches!(verify(&signed, &keys(&[("k1", 2)])), Err(CardError::Tampered(_))));
    assert!(matches!(verify(&signed, &keys(&[("k2", 1)])), Err(CardError::UnknownKey(kid)) if kid == "k1"));
    assert!(matches!(verify(&card(), &keys(&[("k1", 1)])), Err(CardError::Unsigned)));
}

/// Headers that ask for less than ES256, though the signature below them is right.
#[test]
fn other_algorithms_and_headers_are_refused() {
    for header in [
        r#"{"alg":"none","kid":"k1"}"#,
        r#"{"alg":"HS256","kid":"k1"}"#,
        r#"{"alg":"es256","kid":"k1"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"kid":"k1"}"#,
        r#"{"alg":"ES256","kid":"k1","crit":["exp"]}"#,
        r#"{"alg":"ES256","kid":"k1","crit":null}"#,
        "[]",
        "",
    ] {
        let protected = URL_SAFE_NO_PAD.encode(header);
        let bytes = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(canonical(&card()).unwrap()));
        let signature = URL_SAFE_NO_PAD.encode(key(1).sign(bytes.as_bytes()));
        let signatures = vec![crate::AgentCardSignature { protected, signature, header: None }];
        let verified = verify(&AgentCard { signatures, ..card() }, &keys(&[("k1", 1)]));
        assert!(matches!(verified, Err(CardError::Header { index: 0, .. })), "{header}: {verified:?}");
    }
}

#[test]
fn a_bad_signature_does_not_hide_a_good_one() {
    let mut signed = sign(&card(), &key(1), "k1", None).unwrap();
    signed.signatures.insert(0, crate::AgentCardSignature { protected: "%".to_owned(), ..Default::default() });
    assert_eq!(verify(&signed, &keys(&[("k1", 1)])).unwrap(), "k1");
    assert!(matches!(verify(&signed, &keys(&[])), Err(CardError::Header { index: 0, .. })));
}

#[test]
fn keys_are_pem() {
    let public = key(1).verify_key();
    assert_eq!(VerifyKey::from_pem(&public.to_pem().unwrap()).unwrap(), public);
    for nonsense in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "k"] {
        assert!(SignKey::from_pem(nonsense).is_err() && VerifyKey::from_pem(nonsense).is_err());
    }
    assert_eq!(format!("{:?}", key(1)), "SignKey");
}

#[test]
fn cards_are_asked_for_what_they_declare() {
    let mut card = card();
    card.supported_interfaces = vec![
        AgentInterface { protocol_version: "0.3".to_owned(), ..AgentInterface::new("https://old", JSON_RPC) },
        AgentInterface::new("https://new", JSON_RPC),
        AgentInterface::new("https://grpc", GRPC),
    ];
    assert_eq!(card.interface(JSON_RPC).map(|interface| interface.url.as_str()), Some("https://new"));
    assert_eq!(card.interface(HTTP_JSON), None);
    assert!(card.extension("urn:x:y").is_some() && card.extension("urn:x:z").is_none());
    assert!(!card.is_streaming() && !card.is_pushing() && !card.is_extended());
    card.capabilities.streaming = Some(true);
    assert!(card.is_streaming());
}
