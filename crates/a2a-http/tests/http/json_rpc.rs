//! What our own client never sends over JSON-RPC, and how answers look to others.

use serde_json::{Value, json};

use crate::bed::{Answered, Bed, bed, bed_with, request};
use crate::samples::EXTENSION;

fn get(id: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": "GetTask", "params": {"id": "t"}}).to_string()
}

async fn post(bed: &Bed, headers: &[(&str, &str)], body: impl Into<axum::body::Body>) -> Answered {
    bed.send(request("POST", "/", headers, body)).await
}

/// Id and code of an error's answer.
fn refused(answered: &Answered, case: &str) -> (Value, i64) {
    assert_eq!((answered.status.as_u16(), answered.header("content-type")), (200, "application/json"), "{case}");
    let json = answered.json();
    assert_eq!((&json["jsonrpc"], json.get("result")), (&json!("2.0"), None), "{case}");
    assert!(json["error"]["message"].is_string() && json["error"]["data"].is_array(), "{case}: {json}");
    (json["id"].clone(), json["error"]["code"].as_i64().unwrap())
}

#[tokio::test]
async fn envelopes_that_are_none_are_refused() {
    let bed = bed().await;
    let request = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": "x", "method": method, "params": params});
    let without = |name: &str| {
        let mut request = request("GetTask", json!({"id": "t"}));
        request.as_object_mut().unwrap().remove(name);
        request.to_string()
    };
    for (body, id, code) in [
        (String::new(), json!(null), -32700),
        ("{".to_owned(), json!(null), -32700),
        (format!("{} x", get(json!(1))), json!(null), -32700),
        ("\u{feff}{}".to_owned(), json!(null), -32700),
        ("7".to_owned(), json!(null), -32600),
        ("[]".to_owned(), json!(null), -32600),
        (format!("[{}]", get(json!(1))), json!(null), -32600),
        (json!(["2.0", 1, "GetTask", {"id": "t"}]).to_string(), json!(null), -32600),
        (get(json!({})), json!(null), -32600),
        (get(json!([1])), json!(null), -32600),
        (without("id"), json!(null), -32600),
        (without("jsonrpc"), json!("x"), -32600),
        (without("method"), json!("x"), -32600),
        (request("tasks/get", json!({})).to_string(), json!("x"), -32601),
        (request("getTask", json!({})).to_string(), json!("x"), -32601),
        (request("GetTask", json!(["t"])).to_string(), json!("x"), -32602),
        (without("params"), json!("x"), -32602),
        (request("GetTask", json!({"id": 7})).to_string(), json!("x"), -32602),
    ] {
        let answered = post(&bed, &[], body.clone()).await;
        assert_eq!(refused(&answered, &body), (id, code), "{body}");
    }
    assert_eq!(bed.service.seen(), []);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let bed = bed().await;
    let send = |message: Value| json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
    let whole = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]});
    let with = |name: &str, value: Value| {
        let mut message = whole.clone();
        message[name] = value;
        send(message).to_string()
    };
    for (body, field) in [
        (with("role", json!("user")), "message.role"),
        (with("parts", json!([])), "message.parts"),
        (with("parts", json!([{"text": "a", "url": "b"}])), "message.parts[0]"),
        (with("parts", json!([{"text": 7}])), "message.parts[0].text"),
        (send(json!(["m", null, null, "ROLE_USER", [{"text": "x"}]])).to_string(), "message"),
        (with("messageId", json!(null)), "message.messageId"),
        (json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage"}).to_string(), "message"),
    ] {
        let answered = post(&bed, &[], body.clone()).await;
        assert_eq!(refused(&answered, &body), (json!(1), -32602), "{body}");
        let details = &answered.json()["error"]["data"];
        assert_eq!(details[1]["fieldViolations"][0]["field"], field, "{body}: {details}");
    }
}

#[tokio::test]
async fn ids_come_back_as_they_were_written() {
    let bed = bed().await;
    for id in ["1", "-0", "1.50", "12345678901234567890123", r#""a\u00e9""#, "\"\"", "null"] {
        let answered = post(&bed, &[], get(json!("@")).replace("\"@\"", id)).await;
        assert!(answered.text.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"#)), "{id}: {}", answered.text);
    }
}

#[tokio::test]
async fn other_spellings_of_json_are_read() {
    let bed = bed().await;
    let body =
        r#" {"params":{"history_length":"3","id":"t","unknown":[]},"extra":1,"method":"Get\u0054ask","id":1,"jsonrpc":"2.0"} "#;
    let answered = post(&bed, &[("content-type", "Application/JSON; charset=utf-8")], body).await;
    assert!(answered.json()["result"].is_object(), "{answered:?}");
    assert_eq!(bed.service.seen()[0].request, json!({"id": "t", "historyLength": 3}));
}

#[tokio::test]
async fn content_types_and_sizes_are_checked() {
    let bed = bed().await;
    for content_type in ["text/plain", "application/jsonx", "application/a2a+json", ""] {
        let answered = post(&bed, &[("content-type", content_type)], get(json!(1))).await;
        assert_eq!(refused(&answered, content_type), (json!(null), -32005), "{content_type}");
    }
    let bed = bed_with(a2a_http::Options { body_bytes_max: 1_000, ..Default::default() }, false).await;
    let pad = |bytes: usize| {
        let body = get(json!(1));
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert!(post(&bed, &[], pad(1_000)).await.json()["result"].is_object());
    assert_eq!(refused(&post(&bed, &[], pad(1_001)).await, "too large"), (json!(null), -32600));
}

#[tokio::test]
async fn only_version_1_0_is_spoken() {
    let bed = bed().await;
    let said = async |version: &str, path: &str| {
        let answered = bed.send(request("POST", path, &[("a2a-version", version)], get(json!(1)))).await;
        answered.json().get("error").map(|error| (answered.json()["id"].clone(), error["code"].as_i64().unwrap()))
    };
    for (version, path) in [("1.0", "/"), (" 1.0.1 ", "/"), ("", "/?A2A-Version=1.0"), ("1.0", "/?a2a-version=1.0")] {
        assert_eq!(said(version, path).await, None, "{version} {path}");
    }
    for (version, path) in [("", "/"), ("0.3", "/"), ("1.1", "/"), ("2.0", "/"), ("", "/?A2A-Version=0.3"), ("one", "/")] {
        assert_eq!(said(version, path).await, Some((json!(1), -32009)), "{version} {path}");
    }
    assert_eq!(said("1.0", "/?A2A-Version=0.3").await, Some((json!(1), -32602)));
}

#[tokio::test]
async fn extensions_are_declared_and_answered() {
    let bed = bed_with(a2a_http::Options::default(), true).await;
    let both = format!("https://example.org/other, {EXTENSION}");
    let answered = post(&bed, &[("a2a-extensions", &both)], get(json!(1))).await;
    assert_eq!((answered.header("a2a-extensions"), answered.json()["id"].clone()), (EXTENSION, json!(1)));
    let answered = post(&bed, &[("a2a-extensions", "https://example.org/other")], get(json!(1))).await;
    assert_eq!(refused(&answered, "missing"), (json!(1), -32008));
    let query = format!("/?A2A-Extensions={}", EXTENSION.replace(':', "%3A"));
    let answered = bed.send(request("POST", &query, &[], get(json!(1)))).await;
    assert_eq!(answered.header("a2a-extensions"), EXTENSION);
}

#[tokio::test]
async fn each_event_is_an_answer_of_its_own() {
    let bed = bed().await;
    let body = json!({"jsonrpc": "2.0", "id": "s", "method": "SubscribeToTask", "params": {"id": "t"}}).to_string();
    let answered = post(&bed, &[], body).await;
    assert_eq!((answered.status.as_u16(), answered.header("content-type")), (200, "text/event-stream"));
    assert_eq!(answered.header("cache-control"), "no-cache");
    let events: Vec<&str> = answered.text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3);
    for (event, member) in events.iter().zip(["task", "artifactUpdate", "statusUpdate"]) {
        let json: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&json["jsonrpc"], &json["id"]), (&json!("2.0"), &json!("s")));
        assert!(json["result"][member].is_object(), "{json}");
    }
}

#[tokio::test]
async fn the_prefix_is_the_address_with_and_without_a_slash() {
    let bed = bed().await;
    for path in ["/a2a/scripted", "/a2a/scripted/", "/a2a/scripted/?a=b"] {
        let answered = bed.send(request("POST", path, &[], get(json!(1)))).await;
        assert!(answered.json()["result"].is_object(), "{path}");
    }
}
