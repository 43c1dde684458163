//! The one field of an interaction's form (`application/x-www-form-urlencoded`). Given twice, it would not be clear which one counts.

/// Why a form cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadForm {
    /// There is no such field, or more than one.
    #[error("must be there exactly once")]
    NotOnce,
    /// The value is not percent-encoded UTF-8.
    #[error("must be percent-encoded UTF-8")]
    Encoding,
}

/// The value of the only field of this name.
pub(crate) fn only(body: &[u8], name: &str) -> Result<String, BadForm> {
    let mut found = None;
    for pair in body.split(|b| *b == b'&') {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let (key, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        if decode(key)? == name && found.replace(value).is_some() {
            return Err(BadForm::NotOnce);
        }
    }
    decode(found.ok_or(BadForm::NotOnce)?)
}

/// Stricter than browsers are: what is broken is refused, not repaired, because it was not what Slack meant.
fn decode(encoded: &[u8]) -> Result<String, BadForm> {
    let mut plain = Vec::with_capacity(encoded.len());
    let mut rest = encoded.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => plain.push(b' '),
            b'%' => {
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                plain.push(high * 16 + low);
            }
            other => plain.push(*other),
        }
    }
    String::from_utf8(plain).map_err(|_| BadForm::Encoding)
}

fn digit(byte: Option<&u8>) -> Result<u8, BadForm> {
    match byte {
        Some(b @ b'0'..=b'9') => Ok(b - b'0'),
        Some(b @ b'a'..=b'f') => Ok(b - b'a' + 10),
        Some(b @ b'A'..=b'F') => Ok(b - b'A' + 10),
        _ => Err(BadForm::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_payload_and_only_one() {
        let cases: [(&[u8], Result<&str, BadForm>); 13] = [
            (b"payload=%7B%22a%22%3A+1%7D", Ok("{\"a\": 1}")),
            (b"x=1&payload=a%3Db=c", Ok("a=b=c")),
            (b"payload=%C3%A9\xC3\xA9", Ok("éé")),
            (b"pay%6Coad=1", Ok("1")),
            (b"payload", Ok("")),
            (b"payload=1&payload=2", Err(BadForm::NotOnce)),
            (b"payload=1&pay%6coad=2", Err(BadForm::NotOnce)),
            (b"", Err(BadForm::NotOnce)),
            (b"other=1", Err(BadForm::NotOnce)),
            (b"payload=%C3", Err(BadForm::Encoding)),
            (b"payload=\xFF", Err(BadForm::Encoding)),
            (b"payload=%4", Err(BadForm::Encoding)),
            (b"payload=%zz", Err(BadForm::Encoding)),
        ];
        for (body, expected) in cases {
            assert_eq!(only(body, "payload"), expected.map(str::to_owned), "{}", String::from_utf8_lossy(body));
        }
    }
}
