//! How single fields are read and written in ProtoJSON: `null` is absent, numbers may come as text, bytes are base64, and times are
//! UTC in milliseconds. Writing follows spec §5.5 to §5.7; reading takes all that a ProtoJSON parser must take.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

/// Base64 as it is written; reading does not insist on the padding.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));
/// What a protobuf timestamp can hold.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;
/// A leap second: chrono reads it, protobuf has none.
const LEAP_NANOSECOND: u32 = 1_000_000_000;

/// Whether a field that is not REQUIRED is left out when writing.
pub(super) fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `null` counts as absent.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Text of a field without presence: protobuf cannot tell the empty text from an absent one.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.filter(|text| !text.is_empty()))
}

/// A field that is there, also when it holds `null`.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An `int32` that counts something.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(Count)
}

/// An `int32` that counts something, if it is there.
pub(super) fn count_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    struct Counted(u32);
    impl<'de> Deserialize<'de> for Counted {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            count(deserializer).map(Self)
        }
    }
    Ok(Option::<Counted>::deserialize(deserializer)?.map(|counted| counted.0))
}

/// A count without presence: 0 is unset.
pub(super) fn count_above_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    count_if_any(deserializer).map(|count| count.filter(|count| *count > 0))
}

#[derive(Clone, Copy)]
struct Count;

impl Visitor<'_> for Count {
    type Value = u32;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "an integer from 0 to {}", i32::MAX)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u32, E> {
        let count = i32::try_from(value).ok().and_then(|value| u32::try_from(value).ok());
        count.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u32, E> {
        let value = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        self.visit_u64(value)
    }

    /// Readers in JavaScript may have made 5 to 5.0.
    fn visit_f64<E: Error>(self, value: f64) -> Result<u32, E> {
        let whole = (value.fract() == 0.0).then(|| format!("{value:.0}")).and_then(|digits| digits.parse::<i64>().ok());
        self.visit_i64(whole.ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))?)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<u32, E> {
        let whole = value.parse::<i64>().map_err(|_| E::invalid_value(Unexpected::Str(value), &self))?;
        self.visit_i64(whole)
    }
}

/// A flag, also as it stands in the query of a URL.
pub(super) fn flag_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    struct Flag(bool);
    struct FlagVisitor;
    impl Visitor<'_> for FlagVisitor {
        type Value = Flag;

        fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("true or false")
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<Flag, E> {
            Ok(Flag(value))
        }

        fn visit_str<E: Error>(self, value: &str) -> Result<Flag, E> {
            value.parse().map(Flag).map_err(|_| E::invalid_value(Unexpected::Str(value), &self))
        }
    }
    impl<'de> Deserialize<'de> for Flag {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(FlagVisitor)
        }
    }
    Ok(Option::<Flag>::deserialize(deserializer)?.map(|flag| flag.0))
}

/// Bytes as base64, in either alphabet.
#[derive(Debug)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.replace('-', "+").replace('_', "/");
        BASE64.decode(text).map(Self).map_err(|error| D::Error::custom(format_args!("not base64: {error}")))
    }
}

/// Bytes as base64, standard alphabet, padded.
pub(super) fn write_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

/// A time in RFC 3339, with any offset, as far as protobuf can hold it.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let time = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc());
    let time = time.ok().filter(|time| YEARS.contains(&time.year()) && time.nanosecond() < LEAP_NANOSECOND);
    time.map(Some).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"a time in RFC 3339"))
}

/// `YYYY-MM-DDTHH:mm:ss.sssZ` (spec §5.6.1).
#[expect(clippy::ref_option, reason = "serde passes the field itself")]
pub(super) fn write_time<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        None => serializer.serialize_none(),
    }
}
