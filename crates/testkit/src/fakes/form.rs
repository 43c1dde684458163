//! `application/x-www-form-urlencoded`, both ways, through the URL parser reqwest brings.

use reqwest::Url;
use serde_json::{Map, Value};

/// Any absolute URL: only its query is used.
const CARRIER: &str = "http://form.invalid/";

/// The pairs of a form or query, in order.
pub(crate) fn decode(bytes: &[u8]) -> Vec<(String, String)> {
    let Ok(mut carrier) = Url::parse(CARRIER) else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    carrier.set_query((!text.is_empty()).then_some(text.as_ref()));
    carrier.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The form of `pairs`.
pub(crate) fn encode(pairs: &[(&str, &str)]) -> String {
    let Ok(mut carrier) = Url::parse(CARRIER) else { return String::new() };
    carrier.query_pairs_mut().extend_pairs(pairs);
    carrier.query().unwrap_or_default().to_owned()
}

/// The pairs as a JSON object of strings.
pub(crate) fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn what_is_encoded_comes_back() {
        let pairs = [("payload", "{\"a\":\"b&c=d+e é%\"}"), ("empty", "")];
        let decoded = decode(encode(&pairs).as_bytes());
        let expected: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(decoded, expected);
    }
}
