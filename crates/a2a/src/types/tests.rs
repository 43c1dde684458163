use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// Reads JSON and compares what is written for it.
#[track_caller]
fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: Value, written: Value) {
    let read: T = crate::read_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(serde_json::to_value(read).unwrap(), written, "{json}");
}

/// Reads JSON that must be refused because of this field.
#[track_caller]
fn refused<T: DeserializeOwned + Debug>(json: Value, field: &str) {
    let crate::ErrorKind::InvalidParams { violations } = crate::read_value::<T>(json.clone()).unwrap_err().kind else {
        panic!("{json} is refused for another reason");
    };
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, [field], "{json}: {violations:?}");
}

#[test]
fn enums_are_read_by_name_and_number() {
    for state in TaskState::ALL {
        let written = json!({"state": state.as_str()});
        check::<TaskStatus>(json!({"state": state.as_str()}), written.clone());
        check::<TaskStatus>(json!({"state": state.number()}), written);
        assert_eq!(TaskState::from_number(state.number()), Some(*state));
    }
    for wrong in
        [json!("TASK_STATE_UNSPECIFIED"), json!(0), json!("TASK_STATE_DONE"), json!(9), json!(-1), json!(1.5), json!(null)]
    {
        refused::<TaskStatus>(json!({"state": wrong}), "state");
    }
    refused::<Message>(json!({"messageId": "m", "role": "ROLE_UNSPECIFIED", "parts": []}), "role");
    assert_eq!(TaskState::from_number(0), None);
}

#[test]
fn a_filter_by_no_state_is_no_filter() {
    for none in [json!("TASK_STATE_UNSPECIFIED"), json!(0), json!(null)] {
        check::<ListTasksRequest>(json!({"status": none}), json!({}));
    }
    check::<ListTasksRequest>(json!({"status": 2}), json!({"status": "TASK_STATE_WORKING"}));
    refused::<ListTasksRequest>(json!({"status": "working"}), "status");
}

#[test]
fn bytes_are_base64_of_any_kind() {
    for text in ["+/8=", "+/8", "-_8=", "-_8", "-/8"] {
        check::<Part>(json!({"raw": text}), json!({"raw": "+/8="}));
    }
    check::<Part>(json!({"raw": ""}), json!({"raw": ""}));
    for wrong in ["+", "%", "+/8==", "a b="] {
        refused::<Part>(json!({"raw": wrong}), "raw");
    }
}

#[test]
fn times_are_utc_in_milliseconds() {
    let state = "TASK_STATE_WORKING";
    for (text, written) in [
        ("2026-11-02T03:07:30Z", "2026-11-02T03:07:30.000Z"),
        ("2026-11-02T03:07:30.125999999Z", "2026-11-02T03:07:30.125Z"),
        ("2026-11-02T05:07:30.5+02:00", "2026-11-02T03:07:30.500Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ] {
        check::<TaskStatus>(json!({"state": state, "timestamp": text}), json!({"state": state, "timestamp": written}));
    }
    check::<TaskStatus>(json!({"state": state, "timestamp": null}), json!({"state": state}));
    for wrong in [
        "2026-11-02",
        "2026-11-02T03:07:30",
        "2026-11-02T03:07:60Z",
        "2026-13-02T03:07:30Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "12026-11-02T03:07:30Z",
        "",
    ] {
        refused::<TaskStatus>(json!({"state": state, "timestamp": wrong}), "timestamp");
    }
}

#[test]
fn counts_are_read_as_protobuf_writes_them() {
    for count in [json!(5), json!(5.0), json!("5")] {
        check::<GetTaskRequest>(json!({"id": "t", "historyLength": count}), json!({"id": "t", "historyLength": 5}));
    }
    check::<GetTaskRequest>(json!({"id": "t", "history_length": 0}), json!({"id": "t", "historyLength": 0}));
    for wrong in [json!(-1), json!("-1"), json!(1.5), json!(2_147_483_648_u32), json!("five"), json!(true), json!(1e300)] {
        refused::<GetTaskRequest>(json!({"id": "t", "historyLength": wrong}), "historyLength");
    }
    check::<ListTaskPushNotificationConfigsRequest>(json!({"taskId": "t", "pageSize": 0}), json!({"taskId": "t"}));
}

#[test]
fn a_part_holds_exactly_one_content() {
    for content in [json!({"text": ""}), json!({"url": "https://a.b"}), json!({"data": null}), json!({"data": {"text": 1}})] {
        check::<Part>(content.clone(), content);
    }
    check::<Part>(json!({"text": "a", "url": null, "unknown": 1}), json!({"text": "a"}));
    for wrong in [
        json!({}),
        json!({"text": "a", "data": null}),
        json!({"raw": "", "url": "x"}),
        json!({"text": null}),
        json!({"file": {}}),
    ] {
        refused::<Part>(wrong, "");
    }
    refused::<Message>(json!({"messageId": "m", "role": 1, "parts": [{"text": "a"}, {"text": 7}]}), "parts[1].text");
}

#[test]
fn integers_stay_integers() {
    let json = json!({"data": [9_007_199_254_740_993_i64, u64::MAX, -1, 1.5], "metadata": {"n": 9_007_199_254_740_993_i64}});
    check::<Part>(json.clone(), json);
}

#[test]
fn empty_and_null_are_absent_unless_presence_matters() {
    let message = json!({"messageId": "m", "role": "ROLE_USER", "parts": []});
    let mut empty = message.clone();
    empty["contextId"] = json!("");
    empty["taskId"] = json!(null);
    empty["metadata"] = json!({});
    empty["extensions"] = json!(null);
    check::<Message>(empty, message);
    let capabilities = json!({"streaming": false, "extensions": [{"uri": "u:x", "params": {}}]});
    check::<AgentCapabilities>(capabilities.clone(), capabilities);
}

#[test]
fn a_field_given_twice_is_refused() {
    for json in [r#"{"id": "a", "id": "b"}"#, r#"{"taskId": "a", "task_id": "b", "id": "c"}"#] {
        assert!(crate::read::<GetTaskPushNotificationConfigRequest>(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn missing_fields_are_named_with_their_path() {
    refused::<SendMessageRequest>(json!({}), "message");
    refused::<SendMessageRequest>(json!({"message": {"role": 1, "parts": []}}), "message.messageId");
    let response = json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {}}});
    refused::<StreamResponse>(response, "statusUpdate.status.state");
    refused::<ListTasksResponse>(json!({"tasks": [], "pageSize": 1, "totalSize": 0}), "nextPageToken");
}

#[test]
fn secrets_are_not_printed() {
    let authentication = AuthenticationInfo { scheme: "Bearer".to_owned(), credentials: Some("hunter2".to_owned()) };
    let config = TaskPushNotificationConfig {
        token: Some("hunter2".to_owned()),
        authentication: Some(authentication),
        ..TaskPushNotificationConfig::default()
    };
    let printed = format!("{config:?}");
    assert!(printed.contains("Bearer") && !printed.contains("hunter2"), "{printed}");
}
