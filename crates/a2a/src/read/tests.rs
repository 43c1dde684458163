use std::borrow::Cow;

use serde_json::json;

use super::*;
use crate::types::{GetTaskRequest, ListTasksRequest, SendMessageRequest, TaskState};

#[test]
fn what_is_no_json_is_a_parse_error() {
    for bytes in [&b""[..], b"{", b"{\"id\": \"t\"}}", b"{\"id\": 1e999}", b"\xff", b"{\"id\": \"\\ud800\"}", b"nul"] {
        let error = read::<GetTaskRequest>(bytes).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParseError, "{error}");
    }
}

#[test]
fn what_has_another_shape_is_invalid_params() {
    for (json, field, description) in [
        ("{}", "id", "is required"),
        ("{\"id\": 5}", "id", "invalid type: integer `5`, expected a string"),
        (r#"["acme", "t-1", 5]"#, "", "invalid type: sequence, expected struct GetTaskRequest"),
        ("7", "", "invalid type: integer `7`, expected struct GetTaskRequest"),
    ] {
        assert_eq!(read::<GetTaskRequest>(json.as_bytes()), Err(A2aError::invalid_field(field, description)));
    }
}

#[test]
fn an_array_is_no_message_however_deep() {
    for json in [
        json!({"message": ["m", "c", "t", 1, []]}),
        json!({"message": {"messageId": "m", "role": 1, "parts": [["text"]]}}),
        json!({"message": {"messageId": "m", "role": 1, "parts": []}, "configuration": [[]]}),
    ] {
        assert!(read_value::<SendMessageRequest>(json.clone()).is_err(), "{json}");
        assert!(read::<SendMessageRequest>(json.to_string().as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn bytes_and_values_are_refused_alike() {
    for json in [json!({}), json!({"message": 5}), json!({"message": {"messageId": "m", "role": 1, "parts": [{}]}})] {
        let bytes = serde_json::to_vec(&json).unwrap();
        assert_eq!(read::<SendMessageRequest>(&bytes), read_value::<SendMessageRequest>(json));
    }
}

#[test]
fn the_rules_are_checked_where_that_is_asked() {
    let json = b"{\"id\": \"\"}";
    assert!(read::<GetTaskRequest>(json).is_ok());
    assert_eq!(read_valid::<GetTaskRequest>(json), Err(A2aError::invalid_field("id", "must not be empty")));
}

#[test]
fn refusals_are_short() {
    let json = json!({"id": {"x".repeat(100_000): 1}, "tenant": "y".repeat(100_000)}).to_string();
    let error = read::<GetTaskRequest>(json.replace("\"tenant\":", "\"historyLength\":").as_bytes()).unwrap_err();
    assert!(error.to_json_rpc_error().to_string().len() < 3000, "{error}");
}

#[test]
fn a_query_is_read_as_the_request() {
    let pairs = [("status", "TASK_STATE_WORKING"), ("pageSize", "7"), ("includeArtifacts", "true"), ("contextId", "true")];
    let request: ListTasksRequest = read_pairs(pairs.map(|(name, value)| (name, Cow::from(value)))).unwrap();
    assert_eq!((request.status, request.page_size), (Some(TaskState::Working), Some(7)));
    assert_eq!((request.include_artifacts, request.context_id.as_deref()), (Some(true), Some("true")));
    let wrong = |name, value| read_pairs::<ListTasksRequest>([(name, Cow::from(value))]).is_err();
    assert!(wrong("pageSize", "many") && wrong("includeArtifacts", "yes") && wrong("statusTimestampAfter", "today"));
    let twice = [("pageSize", Cow::from("1")), ("pageSize", Cow::from("2"))];
    assert_eq!(read_pairs::<ListTasksRequest>(twice), Err(A2aError::invalid_field("pageSize", "must be given once")));
}

#[test]
fn a_bad_answer_is_the_agents_fault() {
    let error = read::<GetTaskRequest>(b"{}").unwrap_err().in_response();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidAgentResponse, "id is required"));
}

#[test]
fn a_request_holds_so_many_values() {
    let request = |parts: usize| {
        let parts = vec![r#"{"text":"a, [b] {c} \" d"}"#; parts].join(",");
        format!(r#"{{"message":{{"messageId":"m","role":"ROLE_USER","parts":[{parts}]}}}}"#)
    };
    // The request, the message, its id, its role, its parts; and of each part the object and the text, which share a comma.
    let most = (VALUES_MAX - 5) / 2;
    assert_eq!(values(request(3).as_bytes()), 5 + 3 + 3);
    let read = |parts| read_request::<SendMessageRequest>(request(parts).as_bytes());
    assert!(read(most).is_ok());
    let ErrorKind::InvalidParams { violations } = read(most + 1).unwrap_err().kind else { panic!("another error") };
    assert!(violations.iter().all(|violation| violation.description.contains("65536 values")), "{violations:?}");
}
