//! Errors as a status of gRPC and back: `google.rpc.Status` with ErrorInfo, BadRequest and RetryInfo (spec §10.6).

use std::time::Duration;

use a2a::{A2aError, ErrorKind};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

/// Message and violations of a status. They travel as headers, of which clients take 8 KiB in all, and partly twice.
const TEXT_BYTES_MAX: usize = 2 * 1024;

/// Writes an error. What does not fit into headers is left out: the kind never is.
pub(crate) fn write(error: &A2aError) -> Status {
    let codes = error.codes();
    let metadata = error.metadata.iter().map(|(key, value)| (key.clone(), value.clone()));
    let mut details =
        ErrorDetails::with_error_info(codes.reason, codes.domain, metadata.collect::<std::collections::HashMap<_, _>>());
    match &error.kind {
        ErrorKind::InvalidParams { violations } => {
            details.set_bad_request(fitting(violations));
        }
        ErrorKind::ResourceExhausted { retry_after: Some(after) } => {
            details.set_retry_info(Some(*after));
        }
        _ => {}
    }
    let end = error.message.floor_char_boundary(TEXT_BYTES_MAX);
    let message = error.message.get(..end).unwrap_or_default();
    Status::with_error_details(Code::from_i32(codes.grpc), message, details)
}

fn fitting(violations: &[a2a::FieldViolation]) -> Vec<FieldViolation> {
    let mut bytes = 0;
    let fits = |violation: &&a2a::FieldViolation| {
        bytes += violation.field.len() + violation.description.len();
        bytes <= TEXT_BYTES_MAX
    };
    let fitting = violations.iter().take_while(fits);
    fitting.map(|violation| FieldViolation::new(violation.field.as_str(), violation.description.as_str())).collect()
}

/// Reads a status; whatever it is, it is some error.
pub(crate) fn read(status: &Status) -> A2aError {
    let details = status.get_error_details();
    let mut objects = vec![];
    if let Some(info) = details.error_info() {
        let (reason, domain, metadata) = (&info.reason, &info.domain, &info.metadata);
        objects.push(object("ErrorInfo", json!({"reason": reason, "domain": domain, "metadata": metadata})));
    }
    if let Some(request) = details.bad_request() {
        let write = |violation: &FieldViolation| json!({"field": violation.field, "description": violation.description});
        let violations: Vec<_> = request.field_violations.iter().map(write).collect();
        objects.push(object("BadRequest", json!({"fieldViolations": violations})));
    }
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        objects.push(object("RetryInfo", json!({"retryDelay": seconds(delay)})));
    }
    A2aError::from_grpc_status(status.code().into(), status.message(), &objects)
}

fn object(name: &str, mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("@type".to_owned(), format!("type.googleapis.com/google.rpc.{name}").into());
    }
    value
}

fn seconds(delay: Duration) -> String {
    format!("{}.{:09}s", delay.as_secs(), delay.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_back_as_the_error_that_it_was() {
        let errors = [
            A2aError::task_not_found("t-1"),
            A2aError::invalid_params(vec![
                a2a::FieldViolation { field: "message.parts".to_owned(), description: "must not be empty".to_owned() },
                a2a::FieldViolation { field: String::new(), description: "is odd".to_owned() },
            ]),
            A2aError::resource_exhausted("full", Some(Duration::from_millis(1500))),
            A2aError::resource_exhausted("full", None),
            A2aError::unavailable("down").with("part", "store"),
        ];
        for error in errors {
            assert_eq!(read(&write(&error)), error);
        }
    }

    #[test]
    fn a_long_error_fits_into_headers_and_keeps_its_kind() {
        let violation = |n| a2a::FieldViolation { field: format!("message.parts[{n}]"), description: "é".repeat(200) };
        let error = A2aError::invalid_params((0..32).map(violation).collect());
        let status = write(&error);
        assert!(status.message().len() + status.details().len() < 3 * TEXT_BYTES_MAX);
        let ErrorKind::InvalidParams { violations } = read(&status).kind else { panic!("another kind") };
        assert!(!violations.is_empty() && violations.len() < 32);
    }

    #[test]
    fn a_status_without_details_is_known_by_its_code() {
        assert_eq!(read(&Status::unauthenticated("who?")).kind, ErrorKind::Unauthenticated);
        assert_eq!(read(&Status::unimplemented("what?")).kind, ErrorKind::MethodNotFound);
        assert_eq!(read(&Status::with_details(Code::NotFound, "?", vec![7, 7, 7].into())).kind, ErrorKind::TaskNotFound);
    }
}
