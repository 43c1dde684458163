use serde_json::json;

use super::*;

/// One of each kind, with every fact that it can hold.
fn every_error() -> Vec<A2aError> {
    let with_facts = |kind| match kind {
        ErrorKind::InvalidParams { .. } => {
            let violation = FieldViolation { field: "message.parts".to_owned(), description: "must not be empty".to_owned() };
            ErrorKind::InvalidParams { violations: vec![violation.clone(), violation] }
        }
        ErrorKind::ResourceExhausted { .. } => ErrorKind::ResourceExhausted { retry_after: Some(Duration::from_millis(1500)) },
        other => other,
    };
    let error = |kind: ErrorKind| A2aError::new(kind, "said so").with("taskId", "t-1");
    ErrorKind::all().into_iter().flat_map(|kind| [error(kind.clone()), error(with_facts(kind))]).collect()
}

#[test]
fn every_binding_reads_what_it_wrote() {
    for error in every_error() {
        assert_eq!(A2aError::from_json_rpc_error(&error.to_json_rpc_error()), error);
        assert_eq!(A2aError::from_http_body(error.codes().http, &error.to_http_body()), error);
        assert_eq!(A2aError::from_grpc_status(error.codes().grpc, &error.message, &error.details()), error);
        assert_eq!(A2aError::from_details(&error.message, &error.details()), Some(error));
    }
}

#[test]
fn no_two_kinds_are_called_alike() {
    let mut reasons: Vec<_> = ErrorKind::all().iter().map(|kind| kind.codes().reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), ErrorKind::all().len());
}

#[test]
fn a2a_errors_carry_the_error_info_that_the_spec_wants() {
    let error = A2aError::task_not_found("t-1");
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND",
        "domain": "a2a-protocol.org",
        "metadata": {"taskId": "t-1"},
    });
    assert_eq!(error.to_json_rpc_error(), json!({"code": -32001, "message": "there is no such task", "data": [info.clone()]}));
    assert_eq!(
        error.to_http_body(),
        json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "there is no such task", "details": [info]}})
    );
}

#[test]
fn violations_are_a_bad_request() {
    let error = A2aError::invalid_field("message.parts", "must not be empty");
    assert_eq!(error.message, "message.parts must not be empty");
    let two = vec![FieldViolation::new("id", "is required"), FieldViolation::new("", "is odd")];
    assert_eq!(A2aError::invalid_params(two).message, "id is required (and 1 more)");
    let details = error.details();
    assert_eq!(details[1]["@type"], "type.googleapis.com/google.rpc.BadRequest");
    assert_eq!(details[1]["fieldViolations"], json!([{"field": "message.parts", "description": "must not be empty"}]));
}

#[test]
fn forbidden_cannot_be_told_from_not_found() {
    assert_eq!(A2aError::forbidden("t-1"), A2aError::task_not_found("t-1"));
}

#[test]
fn errors_without_details_are_known_by_their_code() {
    let rpc = |code: i64| A2aError::from_json_rpc_error(&json!({"code": code, "message": "m"})).kind;
    let http = |status| A2aError::from_http_body(status, &json!("<html>")).kind;
    let grpc = |code| A2aError::from_grpc_status(code, "m", &[]).kind;
    for kind in ErrorKind::all() {
        let codes = kind.codes();
        assert_eq!(rpc(codes.json_rpc.into()).codes().json_rpc, if codes.json_rpc == -32000 { -32603 } else { codes.json_rpc });
        assert!(A2aError::from_http_body(codes.http, &json!({})).codes().http.abs_diff(codes.http) < 100);
    }
    assert_eq!(rpc(-1), ErrorKind::Internal);
    assert_eq!(http(404), ErrorKind::MethodNotFound);
    assert_eq!(http(503), ErrorKind::Unavailable);
    assert_eq!(http(302), ErrorKind::Internal);
    assert_eq!(grpc(5), ErrorKind::TaskNotFound);
    assert_eq!(grpc(2), ErrorKind::Internal);
}

#[test]
fn details_of_others_and_nonsense_do_no_harm() {
    let other = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TASK_NOT_FOUND", "domain": "example.org"});
    assert_eq!(A2aError::from_details("m", &[other, json!(7), json!({"@type": 3})]), None);
    for body in [json!(null), json!([]), json!({"error": 7}), json!({"error": {"details": {}, "message": []}})] {
        assert_eq!(A2aError::from_http_body(500, &body), A2aError::internal(""));
        assert_eq!(A2aError::from_json_rpc_error(&body), A2aError::internal(""));
    }
}

#[test]
fn delays_are_protobuf_durations() {
    let delay = |text: &str| {
        let details = [json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text})];
        A2aError::from_grpc_status(8, "m", &details).kind
    };
    for (text, nanos) in [("1.5s", Some(1_500_000_000)), ("0s", Some(0)), ("2.000000001s", Some(2_000_000_001)), ("-1s", None)] {
        assert_eq!(delay(text), ErrorKind::ResourceExhausted { retry_after: nanos.map(Duration::from_nanos) }, "{text}");
    }
    for nonsense in ["", "s", "1", "1.s s", "1.0000000001s", "1.x5s", "+1.+5s", "99999999999999999999s"] {
        let kind = delay(nonsense);
        assert_eq!(kind, ErrorKind::ResourceExhausted { retry_after: None }, "{nonsense}");
    }
}
