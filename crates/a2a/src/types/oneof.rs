//! Reading a oneof: an object of which exactly one member is set. Unknown members and `null` are ignored, as ProtoJSON has it; serde's
//! own enums would refuse them.

use serde::de::Error;

/// Reads an enum whose variants are the members of a oneof.
macro_rules! oneof {
    ($name:ident { $($variant:ident($field:ident, $json:literal): $type:ty),+ $(,)? }) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(serde::Deserialize)]
                struct Members {
                    $(#[serde(default, alias = $json)] $field: Option<$type>,)+
                }
                let members = <Members as serde::Deserialize>::deserialize(deserializer)?;
                $crate::types::oneof::only([$(($json, members.$field.map($name::$variant))),+])
            }
        }
    };
}
pub(super) use oneof;

/// The one member that is set.
pub(super) fn only<T, E: Error, const N: usize>(members: [(&str, Option<T>); N]) -> Result<T, E> {
    let names = members.each_ref().map(|(name, _)| *name).join(", ");
    let mut set = members.into_iter().filter_map(|(name, member)| member.map(|member| (name, member)));
    match (set.next(), set.next()) {
        (Some((_, member)), None) => Ok(member),
        (Some((one, _)), Some((other, _))) => Err(E::custom(format_args!("must hold one of {names}, not {one} and {other}"))),
        (None, _) => Err(E::custom(format_args!("must hold one of {names}"))),
    }
}
