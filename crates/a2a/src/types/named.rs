//! Enums of the proto: written by name, read by name or number. The number 0, which says nothing, is no variant: where the field is
//! REQUIRED it is refused, elsewhere it reads as absent.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// An enum of the proto.
pub(super) trait Named: Copy + 'static {
    /// The variant of number 0.
    const UNSPECIFIED: &'static str;
    /// All others, with name and number.
    const ALL: &'static [(Self, &'static str, i32)];
}

/// Defines an enum of the proto with its names and numbers.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident = $unspecified:literal { $($(#[$doc:meta])* $variant:ident = $number:literal $json:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $json)] $variant,)+
        }

        impl $crate::types::named::Named for $name {
            const UNSPECIFIED: &'static str = $unspecified;
            const ALL: &'static [(Self, &'static str, i32)] = &[$((Self::$variant, $json, $number)),+];
        }

        impl $name {
            /// All values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $json),+ }
            }

            /// The number in protobuf.
            pub const fn number(self) -> i32 {
                match self { $(Self::$variant => $number),+ }
            }

            /// Of the number in protobuf; none for 0 (unspecified) and for numbers of later versions.
            pub const fn from_number(number: i32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::types::named::specified(deserializer)
            }
        }
    };
}
pub(super) use named;

/// Reads a value of a REQUIRED field.
pub(super) fn specified<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<T, D::Error> {
    let read = deserializer.deserialize_any(NamedVisitor(PhantomData))?;
    read.ok_or_else(|| D::Error::custom(format_args!("must not be {}", T::UNSPECIFIED)))
}

/// Reads a value that may be absent, `null` or unspecified.
pub(super) fn named_if_any<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Maybe<T>(Option<T>);
    impl<'de, T: Named> Deserialize<'de> for Maybe<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(NamedVisitor(PhantomData)).map(Self)
        }
    }
    Ok(Option::<Maybe<T>>::deserialize(deserializer)?.and_then(|read| read.0))
}

struct NamedVisitor<T>(PhantomData<T>);

impl<T: Named> Visitor<'_> for NamedVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("one of")?;
        T::ALL.iter().try_for_each(|(_, name, _)| write!(out, " {name}"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Option<T>, E> {
        if value == T::UNSPECIFIED {
            return Ok(None);
        }
        let known = T::ALL.iter().find(|(_, name, _)| *name == value);
        known.map(|(known, _, _)| Some(*known)).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<T>, E> {
        if value == 0 {
            return Ok(None);
        }
        let known = T::ALL.iter().find(|(_, _, number)| u64::try_from(*number) == Ok(value));
        known.map(|(known, _, _)| Some(*known)).ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<T>, E> {
        let value = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))?;
        self.visit_u64(value)
    }
}
