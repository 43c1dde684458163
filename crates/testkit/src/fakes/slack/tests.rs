//! The fake against the contract it claims.

use std::time::Duration;

use serde_json::{Value, json};

use super::{SlackFake, SlackOptions};
use crate::fakes::Failure;

async fn call(slack: &SlackFake, method: &str, body: Value) -> (u16, Value) {
    let token = slack.options().token;
    post(slack, method, &token, body).await.expect("answered")
}

async fn post(slack: &SlackFake, method: &str, token: &str, body: Value) -> anyhow::Result<(u16, Value)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/{method}", slack.base_url());
    let response = http.post(url).bearer_auth(token).json(&body).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or_default()))
}

async fn start() -> SlackFake {
    SlackFake::start(SlackOptions::default()).await.expect("start")
}

fn hello() -> Value {
    json!({ "channel": "C0INCIDENTS", "text": "hello" })
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_with_slacks_code() {
    let slack = start().await;
    let (_, posted) = call(&slack, "chat.postMessage", hello()).await;
    assert_eq!(posted["ok"], true);
    for (method, body, code) in [
        ("chat.postMessage", json!({ "channel": "C0INCIDENTS" }), "no_text"),
        ("chat.postMessage", json!({ "text": "x" }), "invalid_arguments"),
        ("chat.postMessage", json!({ "channel": "#ops", "text": "x" }), "channel_not_found"),
        ("chat.postMessage", json!({ "channel": "C0INCIDENTS", "text": "x", "txt": 1 }), "invalid_arguments"),
        ("chat.postMessage", json!({ "channel": "C0INCIDENTS", "text": "x".repeat(4_001) }), "msg_too_long"),
        ("chat.postMessage", json!({ "channel": "C0INCIDENTS", "text": "x", "thread_ts": "1.2" }), "cannot_reply_to_message"),
        ("chat.postMessage", json!({ "channel": "C0INCIDENTS", "text": "x", "blocks": [{ "type": "?" }] }), "invalid_blocks"),
        (
            "chat.postMessage",
            json!({ "channel": "C0INCIDENTS", "text": "x", "metadata": { "event_type": "e" } }),
            "invalid_metadata_format",
        ),
        ("chat.update", json!({ "channel": "C0INCIDENTS", "ts": "1.2", "text": "x" }), "message_not_found"),
        ("conversations.replies", json!({ "channel": "C0INCIDENTS", "ts": posted["ts"] }), "invalid_arguments"),
        ("chat.delete", json!({}), "unknown_method"),
    ] {
        let (status, answer) = call(&slack, method, body.clone()).await;
        assert_eq!((status, &answer["error"]), (200, &json!(code)), "{method} {body}");
    }
    let (status, answer) = post(&slack, "chat.postMessage", "wrong", hello()).await.expect("answer");
    assert_eq!((status, &answer["error"]), (200, &json!("invalid_auth")));
    assert_eq!(slack.messages().len(), 1);
}

#[tokio::test]
async fn history_shows_metadata_only_when_asked() {
    let slack = start().await;
    let metadata = json!({ "event_type": "e", "event_payload": { "key": "k" } });
    let mut body = hello();
    body["metadata"] = metadata.clone();
    call(&slack, "chat.postMessage", body).await;
    let asked = json!({ "channel": "C0INCIDENTS", "include_all_metadata": true });
    let (_, with) = call(&slack, "conversations.history", asked).await;
    assert_eq!(with["messages"][0]["metadata"], metadata);
    let (_, without) = call(&slack, "conversations.history", json!({ "channel": "C0INCIDENTS" })).await;
    assert!(without["messages"][0].get("metadata").is_none());
}

#[tokio::test]
async fn a_channel_takes_a_burst_and_then_one_a_second() {
    let options = SlackOptions { post_burst: 3.0, ..SlackOptions::default() };
    let slack = SlackFake::start(options).await.expect("start");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(call(&slack, "chat.postMessage", hello()).await.0);
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[tokio::test]
async fn a_drop_after_commit_leaves_the_effect_and_no_answer() {
    let slack = start().await;
    let token = slack.options().token;
    slack.fail_next("chat.postMessage", Failure::DropBeforeCommit);
    slack.fail_next("chat.postMessage", Failure::DropAfterCommit);
    assert!(post(&slack, "chat.postMessage", &token, hello()).await.is_err());
    assert_eq!(slack.messages().len(), 0);
    assert!(post(&slack, "chat.postMessage", &token, hello()).await.is_err());
    assert_eq!(slack.messages().len(), 1);
    assert!(post(&slack, "chat.postMessage", &token, hello()).await.is_ok());
    assert_eq!(slack.calls().iter().filter(|call| call.status.is_none()).count(), 2);
}

#[tokio::test]
async fn a_click_carries_the_message_and_only_for_buttons_it_shows() {
    let slack = start().await;
    let mut body = hello();
    body["blocks"] = json!([{ "type": "actions", "block_id": "decide", "elements": [{
        "type": "button", "action_id": "approve", "value": "v1.apr_1",
        "text": { "type": "plain_text", "text": "Approve" },
    }] }]);
    call(&slack, "chat.postMessage", body).await;
    let message =
        slack.wait_for_message("the card", Duration::from_secs(5), |message| !message.blocks.is_null()).await.expect("posted");
    let click = slack.click(&message, "approve", "U0ANN").expect("click");
    assert_eq!(click.payload["actions"][0]["value"], "v1.apr_1");
    assert_eq!(click.payload["actions"][0]["block_id"], "decide");
    assert_eq!(click.payload["message"]["blocks"], message.blocks);
    assert_ne!(click.forged().expect("forged").signature, click.signature);
    let update = json!({ "channel": message.channel, "ts": message.ts, "text": "approved" });
    call(&slack, "chat.update", update).await;
    assert!(slack.click(&message, "approve", "U0ANN").is_err(), "the button is gone");
}

#[tokio::test]
async fn who_clicked_is_answered_at_the_address_of_the_click_and_five_times_at_most() {
    let slack = start().await;
    let url = slack.response_url("C0INCIDENTS", "U0ANN");
    let answer = async |url: &str, body: Value| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("client");
        http.post(url).json(&body).send().await.expect("answered").status().as_u16()
    };
    let private = json!({ "response_type": "ephemeral", "replace_original": false, "text": "not you" });
    let loud = json!({ "response_type": "in_channel", "text": "not you" });
    assert_eq!(answer(&format!("{}/actions/T0FAKE/99/fake", slack.hooks_url()), private.clone()).await, 404);
    assert_eq!(answer(&url, loud).await, 500);
    for _ in 0..4 {
        assert_eq!(answer(&url, private.clone()).await, 200);
    }
    assert_eq!(answer(&url, private).await, 404, "used up");
    let shown = slack.ephemerals();
    assert_eq!((shown.len(), shown[0].user.as_str(), shown[0].text.as_str()), (4, "U0ANN", "not you"));
}
