//! What was read is written, read again, and written again: it must say the same each time. Else a record, a digest or a second delivery
//! would be about another thing than the first.

use std::fmt::{Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a value and reads it again, twice. The first round may lose what is beyond a format's precision; the second loses nothing.
pub(crate) fn with<T: Serialize, E: Display>(value: &T, read: impl Fn(&[u8]) -> Result<T, E>) -> T {
    let round = |value: &T| {
        let text = serde_json::to_vec(value).unwrap_or_else(|error| panic!("what was read cannot be written: {error}"));
        let again = read(&text);
        let again = again.unwrap_or_else(|error| panic!("cannot be read again: {error}\n{}", String::from_utf8_lossy(&text)));
        (text, again)
    };
    let (text, again) = round(value);
    let (text_again, _) = round(&again);
    assert!(
        text == text_again,
        "read again it says something else:\n{}\n{}",
        String::from_utf8_lossy(&text),
        String::from_utf8_lossy(&text_again)
    );
    again
}

/// The same in plain JSON.
pub(crate) fn json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    with(value, |text| serde_json::from_slice(text))
}

/// The same, for what must be equal at once.
pub(crate) fn equal<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let again = json(value);
    assert!(*value == again, "read again it is another value:\n{value:?}\n{again:?}");
}
