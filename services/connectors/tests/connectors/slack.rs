//! Slack's tools.

use std::time::{Duration, Instant};

use mcp::{FaultKind, Sent};
use serde_json::{Value, json};
use testkit::fakes::Failure;
use testkit::fakes::jira::JiraOptions;
use testkit::fakes::slack::SlackOptions;

use crate::world::{CHANNEL, World};

fn post(key: &str, attempt: u32) -> Value {
    json!({
        "channel": CHANNEL, "text": "checkout is failing", "idempotency_key": key,
        "attempt": attempt,
    })
}

fn card(key: &str) -> Value {
    let mut args = post(key, 1);
    args["blocks"] = json!([
        { "type": "section", "text": { "type": "mrkdwn", "text": "*Roll back* checkout" } },
        { "type": "actions", "block_id": "decide", "elements": [{
            "type": "button", "action_id": "approve", "value": "v1.apr_1", "style": "primary",
            "text": { "type": "plain_text", "text": "Approve" },
        }] },
    ]);
    args
}

#[tokio::test]
async fn a_card_is_posted_answered_in_its_thread_and_updated() {
    let world = World::start().await;
    let posted = world.call("slack", "post_message", card("eff_1")).await.expect("posted");
    assert_eq!(posted["already"], false);
    let mut reply = post("eff_2", 1);
    reply["thread_ts"] = posted["ts"].clone();
    world.call("slack", "post_message", reply).await.expect("replied");
    let update = json!({ "channel": CHANNEL, "ts": posted["ts"], "text": "rolled back" });
    let updated = world.call("slack", "update_message", update).await.expect("updated");
    assert_eq!(updated, json!({ "channel": CHANNEL, "ts": posted["ts"] }));

    let messages = world.slack.messages();
    let [first, second] = messages.as_slice() else { panic!("{messages:?}") };
    assert_eq!((first.text.as_str(), first.versions.len()), ("rolled back", 1));
    assert!(first.blocks.is_null(), "the buttons are gone");
    assert_eq!(second.thread_ts.as_deref(), posted["ts"].as_str());
}

#[tokio::test]
async fn a_private_answer_reaches_one_person() {
    let world = World::start().await;
    let args = json!({ "channel": CHANNEL, "user": "U0ANN", "text": "you may not approve this" });
    world.call("slack", "post_ephemeral", args).await.expect("answered");
    let shown = world.slack.ephemerals();
    assert_eq!((shown.len(), shown[0].user.as_str()), (1, "U0ANN"));
    assert!(world.slack.messages().is_empty());
}

#[tokio::test]
async fn a_lost_answer_never_makes_a_second_message() {
    let world = World::start().await;
    let root = world.call("slack", "post_message", post("eff_root", 1)).await.expect("posted");
    for (key, thread) in [("eff_channel", Value::Null), ("eff_thread", root["ts"].clone())] {
        let args = |attempt| {
            let mut args = post(key, attempt);
            if !thread.is_null() {
                args["thread_ts"] = thread.clone();
            }
            args
        };
        world.slack.fail_next("chat.postMessage", Failure::DropAfterCommit);
        let fault = world.fault("slack", "post_message", args(1)).await;
        assert!(fault.outcome_unknown && fault.retryable, "{fault:?}");
        let again = world.call("slack", "post_message", args(2)).await.expect("found");
        assert_eq!(again["already"], true);
        let ours =
            |message: &&testkit::fakes::slack::Message| message.metadata.pointer("/event_payload/key") == Some(&json!(key));
        let messages = world.slack.messages();
        let ours: Vec<_> = messages.iter().filter(ours).collect();
        assert_eq!(ours.len(), 1, "{key}");
        assert_eq!(again["ts"], json!(ours[0].ts));
    }
}

#[tokio::test]
async fn a_slack_that_is_slow_posts_once() {
    let world = World::with(SlackOptions::default(), JiraOptions::default(), json!({ "request_ms": 600 })).await;
    world.slack.fail_next("chat.postMessage", Failure::HangAndCommit(Duration::from_millis(1_200)));
    let fault = world.fault("slack", "post_message", post("eff_1", 1)).await;
    assert!(fault.outcome_unknown && world.slack.messages().is_empty(), "{fault:?}");
    let again = world.call("slack", "post_message", post("eff_1", 2)).await.expect("found");
    assert_eq!(again["already"], true);
    assert_eq!(world.slack.messages().len(), 1);
}

#[tokio::test]
async fn without_time_to_look_nothing_is_posted() {
    let world = World::start().await;
    let brief = Duration::from_millis(500);
    let result: Result<Value, _> = world.client("slack").call("post_message", &post("eff_1", 2), brief).await;
    let error = result.expect_err("too brief for a slow Slack");
    assert_eq!(error.fault().map(|fault| fault.provider_code.as_str()), Some("lookup_needs_time"));
    assert!(error.is_retryable() && world.slack.messages().is_empty());
}

#[tokio::test]
async fn a_later_attempt_posts_what_no_earlier_one_did() {
    let world = World::start().await;
    for other in ["eff_a", "eff_b"] {
        world.call("slack", "post_message", post(other, 1)).await.expect("posted");
    }
    world.slack.fail_next("chat.postMessage", Failure::DropBeforeCommit);
    let fault = world.fault("slack", "post_message", post("eff_c", 1)).await;
    assert!(fault.outcome_unknown);
    let posted = world.call("slack", "post_message", post("eff_c", 2)).await.expect("posted");
    assert_eq!(posted["already"], false);
    assert_eq!(world.slack.messages().len(), 3);
}

/// Others talk in the channel, past the connector.
async fn chatter(world: &World, messages: usize) {
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let (url, token) = (format!("{}/chat.postMessage", world.slack.base_url()), world.slack.options().token);
    for number in 0..messages {
        let body = json!({ "channel": CHANNEL, "text": format!("chatter {number}") });
        let sent = client.post(&url).bearer_auth(&token).json(&body).send().await.expect("sent");
        assert_eq!(sent.status(), 200);
    }
}

fn talkative() -> SlackOptions {
    SlackOptions { post_burst: 2_000.0, ..SlackOptions::default() }
}

#[tokio::test]
async fn a_message_is_found_behind_hundreds_of_others() {
    let world = World::with(talkative(), JiraOptions::default(), json!({})).await;
    let first = world.call("slack", "post_message", post("eff_first", 1)).await.expect("posted");
    chatter(&world, 250).await;
    let found = world.call("slack", "post_message", post("eff_first", 2)).await.expect("found");
    assert_eq!((&found["ts"], &found["already"]), (&first["ts"], &json!(true)));
}

#[tokio::test]
async fn what_cannot_be_looked_through_is_said_and_nothing_posted() {
    let world = World::with(talkative(), JiraOptions::default(), json!({})).await;
    chatter(&world, 1_001).await;
    let fault = world.fault("slack", "post_message", post("eff_1", 2)).await;
    assert_eq!((fault.provider_code.as_str(), fault.outcome_unknown), ("lookup_incomplete", true), "{fault:?}");
    assert_eq!(world.slack.messages().len(), 1_001);
    // All of it is older than what is looked for, whatever the clocks say.
    let mut bounded = post("eff_1", 2);
    bounded["not_before"] = json!("2099-01-01T00:00:00Z");
    let posted = world.call("slack", "post_message", bounded).await.expect("posted");
    assert_eq!(posted["already"], false);
}

#[tokio::test]
async fn a_failing_look_up_posts_nothing() {
    let options = SlackOptions { scopes: vec!["chat:write".to_owned()], ..SlackOptions::default() };
    let world = World::with(options, JiraOptions::default(), json!({})).await;
    let fault = world.fault("slack", "post_message", post("eff_1", 2)).await;
    assert_eq!((fault.kind, fault.retryable), (FaultKind::Scope, false));
    assert!(fault.hint.contains("channels:history"), "{}", fault.hint);
    assert!(world.slack.messages().is_empty());
}

#[tokio::test]
async fn a_short_limit_is_waited_out_and_a_long_one_told() {
    let world = World::start().await;
    world.slack.fail_next("chat.postMessage", Failure::RateLimited(1));
    let start = Instant::now();
    world.call("slack", "post_message", post("eff_1", 1)).await.expect("posted after the wait");
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());

    world.slack.fail_next("chat.postMessage", Failure::RateLimited(60));
    for _ in 0..2 {
        let start = Instant::now();
        let fault = world.fault("slack", "post_message", post("eff_2", 1)).await;
        assert_eq!((fault.kind, fault.outcome_unknown), (FaultKind::RateLimited, false));
        assert!(fault.retry_at.is_some());
        assert!(start.elapsed() < Duration::from_secs(30), "half of the limit was waited out");
    }
    let posts = world.slack.calls().iter().filter(|call| call.method == "chat.postMessage").count();
    assert_eq!(posts, 3, "the closed channel was not asked again");
    let ts = &world.slack.messages()[0].ts;
    let update = json!({ "channel": CHANNEL, "ts": ts, "text": "y" });
    world.call("slack", "update_message", update).await.expect("other methods go on");
}

#[tokio::test]
async fn the_breaker_spares_a_provider_that_is_down_and_lets_it_return() {
    let policy = json!({ "breaker_failures": 3, "breaker_pause_ms": 1_500 });
    let world = World::with(SlackOptions::default(), JiraOptions::default(), policy).await;
    world.slack.outage(Some(Failure::Status(503)));
    for attempt in 1..=3 {
        let fault = world.fault("slack", "post_message", post("eff_1", 1)).await;
        assert_eq!(fault.provider_code, "http_503", "attempt {attempt}");
    }
    let asked = world.slack.calls().len();
    let fault = world.fault("slack", "post_message", post("eff_1", 1)).await;
    assert_eq!((fault.provider_code.as_str(), fault.retryable), ("breaker_open", true));
    assert_eq!(world.slack.calls().len(), asked);
    let issue = json!({
        "project": "OPS", "issue_type": "Task", "summary": "s", "idempotency_key": "eff_9",
    });
    world.call("jira", "create_issue", issue).await.expect("Jira is not concerned");

    world.slack.outage(None);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut again = tokio::time::interval(Duration::from_millis(20));
    while world.call("slack", "post_message", post("eff_1", 2)).await.is_err() {
        assert!(Instant::now() < deadline, "never closed again");
        again.tick().await;
    }
    assert_eq!(world.slack.messages().len(), 1);
}

#[tokio::test]
async fn wrong_arguments_never_reach_slack() {
    let world = World::start().await;
    let change = |name: &str, value: Value| {
        let mut args = post("eff_1", 1);
        args[name] = value;
        args
    };
    for args in [
        change("channel", json!("#incidents")),
        change("text", json!("")),
        change("text", json!("x".repeat(4_001))),
        change("blocks", json!(vec![json!({ "type": "divider" }); 51])),
        change("idempotency_key", json!("")),
    ] {
        let fault = world.fault("slack", "post_message", args).await;
        assert_eq!((fault.kind, fault.provider_code.as_str()), (FaultKind::Invalid, "invalid_argument"));
    }
    assert!(world.slack.calls().is_empty());

    let mut blocks = card("eff_1");
    blocks["blocks"][1]["elements"][0]["value"] = json!("x".repeat(2_001));
    let fault = world.fault("slack", "post_message", blocks).await;
    assert_eq!(fault.provider_code, "invalid_blocks");
    assert!(fault.hint.contains("/blocks/1/elements/0/value"), "{}", fault.hint);
}

#[tokio::test]
async fn a_revoked_token_is_told_and_no_secret_leaks() {
    let world = World::start().await;
    let secret = world.slack.options().token;
    world.slack.rotate_token("xoxb-another");
    let error = world.call("slack", "post_message", post("eff_1", 1)).await.expect_err("refused");
    let fault = error.fault().expect("typed").clone();
    assert_eq!((fault.kind, fault.provider_code.as_str()), (FaultKind::Auth, "invalid_auth"));
    let shown = format!("{error} {error:?} {fault} {fault:?} {:?}", world.client("slack"));
    for hidden in [secret.as_str(), crate::world::TOKEN] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[tokio::test]
async fn a_hanging_slack_costs_the_caller_its_budget_and_no_more() {
    let world = World::start().await;
    world.slack.fail_next("chat.postMessage", Failure::Hang(Duration::from_secs(30)));
    let start = Instant::now();
    let budget = Duration::from_secs(2);
    let result: Result<Value, _> = world.client("slack").call("post_message", &post("eff_1", 1), budget).await;
    let error = result.expect_err("no answer");
    assert!(error.may_have_happened() && error.is_retryable());
    assert_eq!(error.fault().map(|fault| fault.kind), Some(FaultKind::Unavailable), "{error}");
    // Far from the end of the hanging, however busy the machine is.
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test]
async fn connectors_that_are_down_are_told_apart_from_a_lost_answer() {
    let mut world = World::start().await;
    let client = world.client("slack");
    world.stop().await;
    let down: Result<Value, _> = client.call("post_message", &post("eff_1", 1), Duration::from_secs(2)).await;
    match down.expect_err("down") {
        mcp::CallError::Unreachable { sent, .. } => assert_eq!(sent, Sent::Never),
        other => panic!("{other}"),
    }
    world.restart().await;
    let posted: Value =
        client.call("post_message", &post("eff_1", 1), Duration::from_secs(5)).await.expect("the same client goes on");
    assert_eq!(posted["already"], false);
}
