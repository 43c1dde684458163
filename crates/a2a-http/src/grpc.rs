//! gRPC (spec §10): what server and client share. The protobuf types are the official ones; conversion is ours, since A2A's JSON and
//! our types say more than protobuf does.

mod field;
mod messages;
pub(crate) mod status;

use a2a::{A2aError, FieldViolation};

pub(crate) use field::Field;

/// Our value as protobuf.
pub(crate) fn write<T: Field<P>, P>(value: T) -> P {
    value.write()
}

/// A request in protobuf as our value.
pub(crate) fn read<T: Field<P>, P>(value: P) -> Result<T, A2aError> {
    T::read(value).map_err(|violation: FieldViolation| A2aError::invalid_params(vec![violation]))
}
