//! How single fields go from our types to those of protobuf and back. Every refusal names the field as JSON calls it.
//!
//! Protobuf knows no absent text, no whole numbers inside `Struct`, and lets REQUIRED messages be missing; all of that is settled here.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use a2a::{FieldViolation, Metadata, Role, TaskState};
use chrono::{DateTime, Utc};
use prost_types::value::Kind;
use serde_json::{Map, Number, Value};

/// Above this, a double does not know its neighbours.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A value here, and the same as protobuf has it.
pub(crate) trait Field<P>: Sized {
    /// To protobuf: always possible.
    fn write(self) -> P;
    /// From protobuf, which allows more than A2A does.
    fn read(value: P) -> Result<Self, FieldViolation>;
}

/// A refusal of the value itself; [`within`] adds where it is.
pub(crate) fn refuse(description: &str) -> FieldViolation {
    FieldViolation { field: String::new(), description: description.to_owned() }
}

/// Puts the name of a field, in Rust's spelling, in front of the path.
pub(crate) fn within(name: &'static str) -> impl Fn(FieldViolation) -> FieldViolation {
    move |inner| {
        let is_end = inner.field.is_empty() || inner.field.starts_with('[');
        let dot = if is_end { "" } else { "." };
        FieldViolation { field: format!("{}{dot}{}", camel_case(name), inner.field), description: inner.description }
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut chars = word.chars();
        all.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        all.push_str(chars.as_str());
        all
    })
}

/// Fields that are the same on both sides.
macro_rules! same {
    ($($type:ty),+) => {$(
        impl Field<$type> for $type {
            fn write(self) -> $type {
                self
            }

            fn read(value: $type) -> Result<Self, FieldViolation> {
                Ok(value)
            }
        }
    )+};
}
same!(String, bool, ());

/// Text without presence: the empty one is absent.
impl Field<String> for Option<String> {
    fn write(self) -> String {
        self.unwrap_or_default()
    }

    fn read(value: String) -> Result<Self, FieldViolation> {
        Ok((!value.is_empty()).then_some(value))
    }
}

impl Field<i32> for u32 {
    fn write(self) -> i32 {
        i32::try_from(self).unwrap_or(i32::MAX)
    }

    fn read(value: i32) -> Result<Self, FieldViolation> {
        Self::try_from(value).map_err(|_| refuse("must not be negative"))
    }
}

/// A count without presence: 0 is absent.
impl Field<i32> for Option<u32> {
    fn write(self) -> i32 {
        self.map_or(0, Field::write)
    }

    fn read(value: i32) -> Result<Self, FieldViolation> {
        u32::read(value).map(|count| (count > 0).then_some(count))
    }
}

/// Enums of the proto: a number that is REQUIRED, and one that may be 0, which says nothing.
macro_rules! number {
    ($($type:ident),+) => {$(
        impl Field<i32> for $type {
            fn write(self) -> i32 {
                self.number()
            }

            fn read(value: i32) -> Result<Self, FieldViolation> {
                Self::from_number(value).ok_or_else(|| refuse("must be a value that A2A 1.0 defines"))
            }
        }

        impl Field<i32> for Option<$type> {
            fn write(self) -> i32 {
                self.map_or(0, $type::number)
            }

            fn read(value: i32) -> Result<Self, FieldViolation> {
                if value == 0 { Ok(None) } else { $type::read(value).map(Some) }
            }
        }
    )+};
}
number!(TaskState, Role);

impl<T: Field<P>, P> Field<Option<P>> for Option<T> {
    fn write(self) -> Option<P> {
        self.map(Field::write)
    }

    fn read(value: Option<P>) -> Result<Self, FieldViolation> {
        value.map(T::read).transpose()
    }
}

impl<T: Field<P>, P> Field<Vec<P>> for Vec<T> {
    fn write(self) -> Vec<P> {
        self.into_iter().map(Field::write).collect()
    }

    fn read(value: Vec<P>) -> Result<Self, FieldViolation> {
        let at = |n: usize, inner: FieldViolation| {
            let dot = if inner.field.is_empty() { "" } else { "." };
            FieldViolation { field: format!("[{n}]{dot}{}", inner.field), description: inner.description }
        };
        value.into_iter().enumerate().map(|(n, element)| T::read(element).map_err(|inner| at(n, inner))).collect()
    }
}

impl<T: Field<P>, P> Field<HashMap<String, P>> for BTreeMap<String, T> {
    fn write(self) -> HashMap<String, P> {
        self.into_iter().map(|(key, value)| (key, value.write())).collect()
    }

    fn read(value: HashMap<String, P>) -> Result<Self, FieldViolation> {
        value.into_iter().map(|(key, value)| Ok((key, T::read(value)?))).collect()
    }
}

impl Field<prost_types::Timestamp> for DateTime<Utc> {
    fn write(self) -> prost_types::Timestamp {
        let nanos = i32::try_from(self.timestamp_subsec_nanos()).unwrap_or_default();
        prost_types::Timestamp { seconds: self.timestamp(), nanos }
    }

    fn read(value: prost_types::Timestamp) -> Result<Self, FieldViolation> {
        let nanos = u32::try_from(value.nanos).ok().filter(|nanos| Duration::from_nanos((*nanos).into()).as_secs() == 0);
        let time = nanos.and_then(|nanos| Self::from_timestamp(value.seconds, nanos));
        time.ok_or_else(|| refuse("must be a time"))
    }
}

impl Field<prost_types::Struct> for Metadata {
    fn write(self) -> prost_types::Struct {
        prost_types::Struct { fields: self.into_iter().map(|(key, value)| (key, value.write())).collect() }
    }

    fn read(value: prost_types::Struct) -> Result<Self, FieldViolation> {
        value.fields.into_iter().map(|(key, value)| Ok((key, Value::read(value)?))).collect()
    }
}

/// Metadata that may be absent and is then empty.
impl Field<Option<prost_types::Struct>> for Metadata {
    fn write(self) -> Option<prost_types::Struct> {
        (!self.is_empty()).then(|| self.write())
    }

    fn read(value: Option<prost_types::Struct>) -> Result<Self, FieldViolation> {
        value.map(Self::read).transpose().map(Option::unwrap_or_default)
    }
}

impl Field<prost_types::Value> for Value {
    fn write(self) -> prost_types::Value {
        let kind = match self {
            Self::Null => Kind::NullValue(0),
            Self::Bool(value) => Kind::BoolValue(value),
            Self::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            Self::String(text) => Kind::StringValue(text),
            Self::Array(values) => Kind::ListValue(prost_types::ListValue { values: values.write() }),
            Self::Object(fields) => Kind::StructValue(prost_types::Struct {
                fields: fields.into_iter().map(|(key, value)| (key, value.write())).collect(),
            }),
        };
        prost_types::Value { kind: Some(kind) }
    }

    fn read(value: prost_types::Value) -> Result<Self, FieldViolation> {
        Ok(match value.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::BoolValue(value)) => Self::Bool(value),
            Some(Kind::NumberValue(number)) => Self::Number(number_of(number)?),
            Some(Kind::StringValue(text)) => Self::String(text),
            Some(Kind::ListValue(list)) => Self::Array(Vec::read(list.values)?),
            Some(Kind::StructValue(object)) => {
                let fields = object.fields.into_iter().map(|(key, value)| Ok((key, Self::read(value)?)));
                Self::Object(fields.collect::<Result<Map<_, _>, FieldViolation>>()?)
            }
        })
    }
}

/// A double as JSON writes it: whole ones are integers again, as all implementations of ProtoJSON have it.
fn number_of(number: f64) -> Result<Number, FieldViolation> {
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        return format!("{number:.0}").parse::<i64>().map(Number::from).map_err(|_| refuse("must be a number"));
    }
    Number::from_f64(number).ok_or_else(|| refuse("must be a finite number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_survives_as_far_as_doubles_can_carry_it() {
        for value in
            [json!(null), json!({"a": [1, -2, 0.5, "x", true, null, {}, []]}), json!(9_007_199_254_740_992_i64), json!(1e300)]
        {
            assert_eq!(Value::read(value.clone().write()), Ok(value));
        }
        assert_eq!(Value::read(json!(3.0).write()), Ok(json!(3)));
        assert_eq!(Value::read(prost_types::Value { kind: None }), Ok(Value::Null));
        for number in [f64::NAN, f64::INFINITY] {
            assert!(Value::read(prost_types::Value { kind: Some(Kind::NumberValue(number)) }).is_err());
        }
    }

    #[test]
    fn times_outside_of_time_are_refused() {
        let read = |seconds, nanos| DateTime::<Utc>::read(prost_types::Timestamp { seconds, nanos });
        assert!(read(1_700_000_000, 999_999_999).is_ok());
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
            assert!(read(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
        let time = read(1_700_000_000, 5_000_000).unwrap();
        assert_eq!(time.write(), prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 });
    }

    #[test]
    fn paths_are_those_of_json() {
        let deep = within("reference_task_ids")(Vec::<u32>::read(vec![1, -1]).unwrap_err());
        assert_eq!(deep.field, "referenceTaskIds[1]");
        assert_eq!(within("message")(deep).field, "message.referenceTaskIds[1]");
    }
}
