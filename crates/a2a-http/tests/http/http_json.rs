//! What our own client never sends over HTTP+JSON, and how answers look to others.

use axum::body::Body;
use serde_json::{Value, json};

use crate::bed::{Answered, Bed, bed, request};

async fn get(bed: &Bed, path: &str) -> Answered {
    bed.send(request("GET", path, &[], Body::empty())).await
}

/// Status, reason and fields of an error's answer.
fn refused(answered: &Answered, case: &str) -> (u16, String, Vec<String>) {
    assert_eq!(answered.header("content-type"), "application/a2a+json", "{case}");
    let error = &answered.json()["error"];
    assert_eq!(error["code"], answered.status.as_u16(), "{case}: {error}");
    assert!(error["status"].is_string() && error["message"].is_string(), "{case}: {error}");
    let details = error["details"].as_array().unwrap();
    let violations = details.iter().filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
    let fields = violations.map(|violation| violation["field"].as_str().unwrap().to_owned()).collect();
    (answered.status.as_u16(), details[0]["reason"].as_str().unwrap().to_owned(), fields)
}

fn message() -> Value {
    json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}})
}

#[tokio::test]
async fn queries_are_read_in_both_spellings() {
    let bed = bed().await;
    for query in [
        "contextId=c&status=TASK_STATE_INPUT_REQUIRED&pageSize=5&pageToken=p&historyLength=2&includeArtifacts=true",
        "context_id=c&status=6&page_size=5&page_token=p&history_length=2&include_artifacts=true&unknown=x",
        "contextId=c&status=input-required&pageSize=5&pageToken=p&historyLength=2&includeArtifacts=true&A2A-Version=1.0",
    ] {
        for time in ["statusTimestampAfter=2026-11-26T08:00:00Z", "status_timestamp_after=2026-11-26T10:00:00.000%2B02:00"] {
            let answered = get(&bed, &format!("/tasks?{query}&{time}")).await;
            let is_status_by_number = query.contains("status=6");
            if is_status_by_number {
                // A query holds texts, and ProtoJSON's numbers of enums are no texts.
                assert_eq!(refused(&answered, query).2, ["status"]);
                continue;
            }
            assert_eq!(answered.status, 200, "{answered:?}");
            let expected = json!({
                "contextId": "c", "status": "TASK_STATE_INPUT_REQUIRED", "pageSize": 5, "pageToken": "p", "historyLength": 2,
                "includeArtifacts": true, "statusTimestampAfter": "2026-11-26T08:00:00.000Z",
            });
            assert_eq!(bed.service.seen()[0].request, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn bad_values_of_a_query_are_named() {
    let bed = bed().await;
    for (query, field) in [
        ("pageSize=0", "pageSize"),
        ("pageSize=101", "pageSize"),
        ("pageSize=-1", "pageSize"),
        ("pageSize=many", "pageSize"),
        ("pageSize=", "pageSize"),
        ("page_size=2147483648", "page_size"),
        ("historyLength=-1", "historyLength"),
        ("historyLength=1.5", "historyLength"),
        ("includeArtifacts=yes", "includeArtifacts"),
        ("status=TASK_STATE_BUSY", "status"),
        ("status=busy", "status"),
        ("statusTimestampAfter=yesterday", "statusTimestampAfter"),
        // The plus sign is a space here.
        ("statusTimestampAfter=2026-11-26T08:00:00+00:00", "statusTimestampAfter"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("contextId=%00", "contextId"),
    ] {
        let answered = get(&bed, &format!("/tasks?{query}")).await;
        let expected = (400, "INVALID_PARAMS".to_owned(), vec![field.to_owned()]);
        assert_eq!(refused(&answered, query), expected, "{query}");
    }
    for query in ["pageSize=1&page_size=1", "A2A-Version=0.3"] {
        assert_eq!(get(&bed, &format!("/tasks?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(refused(&get(&bed, "/tasks/t?id=other").await, "id twice").2, ["id"]);
    assert_eq!(bed.service.seen(), []);
}

#[tokio::test]
async fn content_types_are_checked_and_answers_fit_what_is_accepted() {
    let bed = bed().await;
    let send = async |headers: &[(&str, &str)], body: String| bed.send(request("POST", "/message:send", headers, body)).await;
    for content_type in ["application/json", "application/a2a+json", "APPLICATION/A2A+JSON ; charset=utf-8"] {
        assert_eq!(send(&[("content-type", content_type)], message().to_string()).await.status, 200, "{content_type}");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let answered = send(&[("content-type", content_type)], message().to_string()).await;
        let expected = (400, "CONTENT_TYPE_NOT_SUPPORTED".to_owned(), vec![]);
        assert_eq!(refused(&answered, content_type), expected);
    }
    for (accept, given) in [
        ("", "application/a2a+json"),
        ("*/*", "application/a2a+json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json, application/a2a+json", "application/a2a+json"),
    ] {
        assert_eq!(send(&[("accept", accept)], message().to_string()).await.header("content-type"), given, "{accept}");
    }
    let refusal = |answered: Answered| refused(&answered, "body");
    assert_eq!(refusal(send(&[], "{".to_owned()).await), (400, "PARSE_ERROR".to_owned(), vec![]));
    assert_eq!(refusal(send(&[], "{}".to_owned()).await).2, ["message"]);
    assert_eq!(refusal(send(&[], "[]".to_owned()).await).1, "INVALID_PARAMS");
    // Fields in their order, without their names.
    let list = json!(["m", null, null, "ROLE_USER", [{"text": "x"}]]);
    assert_eq!(refusal(send(&[], json!({"message": list}).to_string()).await).2, ["message"]);
    assert_eq!(refusal(send(&[], json!([null, message()["message"], null, null]).to_string()).await).1, "INVALID_PARAMS");
}

#[tokio::test]
async fn paths_that_are_none_are_refused_in_our_own_words() {
    let bed = bed().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/a2a/scripted/"),
        ("PUT", "/message:send"),
        ("GET", "/message:send"),
        ("POST", "/tasks"),
        ("POST", "/tasks/t:pause"),
        ("DELETE", "/tasks/t"),
        ("GET", "/a2a/scripted/nothing/here"),
    ] {
        let answered = bed.send(request(method, path, &[], Body::empty())).await;
        let expected = (404, "METHOD_NOT_FOUND".to_owned(), vec![]);
        assert_eq!(refused(&answered, path), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn bodies_may_be_absent_but_never_contradict_the_path() {
    let bed = bed().await;
    let post = async |path: &str, body: &str| {
        let content_type = if body.is_empty() { "" } else { "application/json" };
        bed.send(request("POST", path, &[("content-type", content_type)], body.to_owned())).await
    };
    for body in ["", "{}", r#"{"id":"t"}"#, r#"{"metadata":{}}"#, r#"{"tenant":"acme"}"#] {
        assert_eq!(post("/tasks/t:cancel", body).await.status, 200, "{body}");
        assert_eq!(bed.service.seen()[0].request["id"], "t", "{body}");
    }
    assert_eq!(refused(&post("/tasks/t:cancel", r#"{"id":"u"}"#).await, "other id").2, ["id"]);
    assert_eq!(refused(&post("/tasks/t:cancel", r#"{"id":7}"#).await, "number").2, ["id"]);
    let config = r#"{"url":"https://example.org","taskId":"u"}"#;
    assert_eq!(refused(&post("/tasks/t/pushNotificationConfigs", config).await, "other task").2, ["taskId"]);
    assert_eq!(
        refused(
            &post("/acme/message:send", &{
                let mut message = message();
                message["tenant"] = json!("blue");
                message.to_string()
            })
            .await,
            "other tenant"
        )
        .2,
        ["tenant"]
    );
    assert_eq!(bed.service.seen(), []);
}

#[tokio::test]
async fn the_tenant_of_a_path_must_be_the_callers() {
    let bed = bed().await;
    assert_eq!(get(&bed, "/acme/tasks/t").await.status, 200);
    assert_eq!(bed.service.seen()[0].request, json!({"id": "t", "tenant": "acme"}));
    for path in ["/blue/tasks/t", "/nowhere/tasks/t", "/tasks/t?tenant=blue"] {
        assert_eq!(refused(&get(&bed, path).await, path).2, ["tenant"]);
    }
}

#[tokio::test]
async fn both_ways_to_subscribe_give_events() {
    let bed = bed().await;
    for method in ["GET", "POST"] {
        let answered = bed.send(request(method, "/tasks/t:subscribe", &[("content-type", "")], Body::empty())).await;
        assert_eq!((answered.status.as_u16(), answered.header("content-type")), (200, "text/event-stream"), "{method}");
        let events: Vec<&str> = answered.text.split_terminator("\n\n").collect();
        for (event, member) in events.iter().zip(["task", "artifactUpdate", "statusUpdate"]) {
            let json: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
            assert!(json[member].is_object() && json.as_object().unwrap().len() == 1, "{json}");
        }
        assert_eq!(events.len(), 3);
    }
}

#[tokio::test]
async fn an_empty_answer_is_an_empty_object() {
    let bed = bed().await;
    let answered = bed.send(request("DELETE", "/tasks/t/pushNotificationConfigs/p", &[], Body::empty())).await;
    assert_eq!((answered.status.as_u16(), answered.text.as_str()), (200, "{}"));
}
