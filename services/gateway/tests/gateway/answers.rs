//! People's answers, by button and by token.

use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use futures::stream;
use hmac::{Hmac, KeyInit as _, Mac as _};
use incident::approval::{Answer, ApprovalRequest, Channel};
use runtime::clock;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::Connection as _;
use testkit::fakes::slack::Ephemeral;
use url::form_urlencoded;

use crate::bed::{ANN, Answered, BOB, Bed, CID, DEE, SECRET, SOON, assert_problem, bed, call, request};

const PATH: &str = "/v1/slack/acme/interactions";
/// Slack shows the person an error if the acknowledgement takes longer.
const SLACK_WAITS: Duration = Duration::from_secs(3);
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

const CHANNEL: &str = "C0INCIDENTS";

fn click(bed: &Bed, request: &ApprovalRequest, action: &str, user: &str, trigger: &str) -> Value {
    json!({
        "type": "block_actions", "api_app_id": "A111", "trigger_id": trigger,
        "team": {"id": "T111"}, "user": {"id": user, "team_id": "T111"},
        "response_url": bed.slack.response_url(CHANNEL, user),
        "actions": [{"type": "button", "action_id": action, "value": format!("v1.{}.{}", request.approval, request.digest.0)}]
    })
}

fn form(payload: &Value) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish()
}

/// Posts a body signed with `secret`, `age_s` ago.
async fn signed(bed: &Bed, path: &str, body: &str, secret: &str, age_s: i64) -> Answered {
    let timestamp = (clock::now().timestamp() - age_s).to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let signature = format!("v0={}", hex::encode(mac.finalize().into_bytes()));
    let headers = [FORM, ("x-slack-request-timestamp", &timestamp), ("x-slack-signature", &signature)];
    bed.send(call(Method::POST, path, None, &headers, body.to_owned())).await
}

async fn press(bed: &Bed, payload: &Value) -> Answered {
    signed(bed, PATH, &form(payload), SECRET, 0).await
}

/// Acknowledged, and nothing more.
#[track_caller]
fn assert_acknowledged(answered: &Answered) {
    assert_eq!((answered.status.as_u16(), &answered.json), (200, &Value::Null), "Slack shows nobody what an answer says");
}

/// That the click was acknowledged, and its person is told something like `text` in private.
async fn assert_private(bed: &Bed, answered: &Answered, user: &str, text: &str) {
    assert_acknowledged(answered);
    let told = bed.slack.wait_for_ephemeral(text, SOON, |told| told.user == user && told.text.contains(text)).await;
    assert!(told.is_ok(), "{:?}", bed.slack.ephemerals());
}

#[tokio::test]
async fn a_button_is_a_signed_vote_and_a_replay_is_not_another() {
    let bed = bed().await;
    let request = request("one", 2);
    bed.ask(&request).await;
    let payload = click(&bed, &request, "paramedic_approve", "U0ANN", "1.1");
    for _ in 0..3 {
        assert_acknowledged(&press(&bed, &payload).await);
    }
    let vote = bed.vote(&request.approval).await.vote;
    assert_eq!((vote.person.as_str(), vote.channel, &vote.answer), ("ann", Channel::Slack, &Answer::Approve));
    assert_eq!(vote.digest, request.digest);
    // Pressed again is another click, by somebody who has answered.
    let again = press(&bed, &click(&bed, &request, "paramedic_approve", "U0ANN", "1.2")).await;
    assert_private(&bed, &again, "U0ANN", "answered already").await;
    assert_acknowledged(&press(&bed, &click(&bed, &request, "paramedic_reject", "U0BOB", "1.3")).await);
    let both = testkit::eventually("both votes", SOON, async || {
        Some(bed.votes(&request.approval).await).filter(|votes| votes.len() == 2)
    });
    let reason = "rejected in Slack".to_owned();
    assert_eq!(both.await.unwrap()[1].vote.answer, Answer::Reject { reason });
    let late = press(&bed, &click(&bed, &request, "paramedic_approve", "U0BOB", "1.4")).await;
    assert_private(&bed, &late, "U0BOB", "does not count").await;
    assert_eq!(bed.votes(&request.approval).await.len(), 2);
}

#[tokio::test]
async fn clicks_that_do_not_count_are_answered_in_private_and_change_nothing() {
    let bed = bed().await;
    let request = request("two", 1);
    bed.ask(&request).await;
    let approve = |user, trigger| click(&bed, &request, "paramedic_approve", user, trigger);
    let with = |mut payload: Value, name: &str, value: Value| {
        payload[name] = value;
        payload
    };
    let other = ApprovalRequest { digest: incident::plan::Digest::of(b"another plan"), ..request.clone() };
    let unknown = ApprovalRequest { approval: "apr_unknown".parse().unwrap(), ..request.clone() };
    let cases = [
        ("not in the group", "U0CID", approve("U0CID", "2.1")),
        ("not known", "U0EVE", approve("U0EVE", "2.2")),
        ("another plan", "U0ANN", click(&bed, &other, "paramedic_approve", "U0ANN", "2.3")),
        ("no such request", "U0BOB", click(&bed, &unknown, "paramedic_approve", "U0BOB", "2.4")),
    ];
    for (case, user, payload) in cases {
        let answered = press(&bed, &payload).await;
        assert_private(&bed, &answered, user, "Your answer does not count").await;
        assert!(answered.took < SLACK_WAITS, "{case} took {:?}", answered.took);
    }
    let elsewhere = press(&bed, &with(approve("U0CID", "2.5"), "response_url", json!("http://127.0.0.1:1/x"))).await;
    assert_acknowledged(&elsewhere);
    assert_acknowledged(&press(&bed, &json!({"type": "view_closed", "api_app_id": "A111", "team": {"id": "T111"}})).await);
    assert_eq!(bed.slack.ephemerals().len(), 4, "nothing is posted where the payload alone wants it");
    // Still waits, and nobody has agreed.
    let shown = bed.get(&format!("/v1/approvals/{}", request.approval), ANN).await;
    assert_eq!(shown.json["agreed"], json!([]));
    assert!(bed.votes(&request.approval).await.is_empty());
    // Refused answers are on the record (P3).
    let facts = bed.stream("FACTS").await;
    let recorded = testkit::eventually("refusals on the record", SOON, async || {
        let state = facts.get_info().await.ok()?.state;
        (state.messages == 4).then_some(())
    });
    recorded.await.unwrap();
}

#[tokio::test]
async fn what_slack_did_not_send_is_refused() {
    let bed = bed().await;
    let request = request("three", 1);
    bed.ask(&request).await;
    let payload = click(&bed, &request, "paramedic_approve", "U0ANN", "3.1");
    let body = form(&payload);
    let elsewhere = |tenant: &str| format!("/v1/slack/{tenant}/interactions");
    let unsigned = bed.send(call(Method::POST, PATH, None, &[FORM], body.clone())).await;
    let headers = [FORM, ("x-slack-request-timestamp", "soon"), ("x-slack-signature", "v0=00")];
    let no_number = bed.send(call(Method::POST, PATH, None, &headers, body.clone())).await;
    let cases = [
        ("unsigned", unsigned, 401, "unauthorized"),
        ("no number", no_number, 401, "unauthorized"),
        ("other secret", signed(&bed, PATH, &body, "another secret", 0).await, 401, "unauthorized"),
        ("old", signed(&bed, PATH, &body, SECRET, 301).await, 401, "unauthorized"),
        ("early", signed(&bed, PATH, &body, SECRET, -302).await, 401, "unauthorized"),
        ("no tenant", signed(&bed, &elsewhere("nobody"), &body, SECRET, 0).await, 401, "unauthorized"),
        ("no Slack", signed(&bed, &elsewhere("blue"), &body, SECRET, 0).await, 401, "unauthorized"),
        ("no Slack, empty secret", signed(&bed, &elsewhere("blue"), &body, "", 0).await, 401, "unauthorized"),
        ("no tenant, empty secret", signed(&bed, &elsewhere("nobody"), &body, "", 0).await, 401, "unauthorized"),
        ("twice", signed(&bed, PATH, &format!("{body}&{body}"), SECRET, 0).await, 400, "malformed"),
        ("no payload", signed(&bed, PATH, "other=1", SECRET, 0).await, 400, "malformed"),
        ("no JSON", signed(&bed, PATH, "payload=%7B", SECRET, 0).await, 400, "malformed"),
        ("no UTF-8", signed(&bed, PATH, "payload=%FF", SECRET, 0).await, 400, "malformed"),
        ("too large", signed(&bed, PATH, &format!("{body}&x={}", "x".repeat(1 << 20)), SECRET, 0).await, 413, "too-large"),
    ];
    for (case, answered, status, name) in cases {
        assert_eq!(answered.status.as_u16(), status, "{case}: {answered:?}");
        assert_problem(&answered, status, name, &[], case);
    }
    let mut other_app = payload.clone();
    other_app["api_app_id"] = json!("A222");
    assert_problem(&press(&bed, &other_app).await, 403, "forbidden", &[], "other app");
    let mut guest = payload;
    guest["user"]["team_id"] = json!("T222");
    assert_problem(&press(&bed, &guest).await, 403, "forbidden", &[], "guest");
    assert!(bed.votes(&request.approval).await.is_empty());
}

#[tokio::test]
async fn a_token_answers_through_the_api() {
    let bed = bed().await;
    let request = request("four", 2);
    bed.ask(&request).await;
    let path = format!("/v1/approvals/{}/decisions", request.approval);
    let approve = json!({"decision": "approve", "digest": request.digest});
    assert_problem(&bed.post(&path, "wrong", &approve).await, 401, "unauthorized", &[], "wrong token");
    assert_problem(&bed.post(&path, crate::bed::TOKEN, &approve).await, 401, "unauthorized", &[], "the webhook's token");
    assert_problem(&bed.post(&path, CID, &approve).await, 403, "forbidden", &[], "not in the group");
    assert_problem(&bed.post(&path, DEE, &approve).await, 404, "not-found", &[], "another tenant");
    let stale = json!({"decision": "approve", "digest": "0".repeat(64)});
    assert_problem(&bed.post(&path, ANN, &stale).await, 409, "conflict", &[], "another plan");
    assert_problem(&bed.post("/v1/approvals/apr_none/decisions", ANN, &approve).await, 404, "not-found", &[], "none");
    assert_problem(&bed.post("/v1/approvals/a*b/decisions", ANN, &approve).await, 404, "not-found", &[], "no id");
    let bad = [
        (json!({"decision": "maybe"}), "/decision"),
        (json!({"decision": "approve", "digest": "short"}), "/digest"),
        (json!({"decision": "reject", "reason": "x".repeat(2_000)}), "/reason"),
    ];
    for (body, field) in bad {
        assert_problem(&bed.post(&path, ANN, &body).await, 422, "invalid", &[field], field);
    }
    let answered = bed.post(&path, ANN, &approve).await;
    let expected = json!({"approval": request.approval, "decision": "approve", "recorded": true});
    assert_eq!((answered.status.as_u16(), &answered.json), (200, &expected));
    assert_problem(&bed.post(&path, ANN, &approve).await, 409, "conflict", &[], "answered already");
    let headers = [("content-type", "application/json"), ("paramedic-channel", "cli")];
    let reject = json!({"decision": "reject", "reason": " the other team is on it "}).to_string();
    let answered = bed.send(call(Method::POST, &path, Some(BOB), &headers, reject)).await;
    assert_eq!(answered.status.as_u16(), 200);
    assert_problem(&bed.post(&path, BOB, &approve).await, 404, "not-found", &[], "over");
    let both = testkit::eventually("both votes", SOON, async || {
        Some(bed.votes(&request.approval).await).filter(|votes| votes.len() == 2)
    });
    let votes: Vec<_> = both.await.unwrap().into_iter().map(|signed| signed.vote).collect();
    assert_eq!((votes[0].person.as_str(), votes[0].channel), ("ann", Channel::Api));
    let reason = "the other team is on it".to_owned();
    assert_eq!((votes[1].person.as_str(), votes[1].channel, &votes[1].answer), ("bob", Channel::Cli, &Answer::Reject { reason }));
}

fn endless() -> Body {
    Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

/// Headers as only Slack can make them, but for the signature.
fn claim<'a>(timestamp: &'a str, signature: &'a str) -> [(&'a str, &'a str); 3] {
    [FORM, ("x-slack-request-timestamp", timestamp), ("x-slack-signature", signature)]
}

#[tokio::test]
async fn nothing_is_read_of_what_cannot_be_slacks() {
    let bed = bed().await;
    let (now, old) = (clock::now().timestamp().to_string(), (clock::now().timestamp() - 301).to_string());
    let signature = format!("v0={}", "0".repeat(64));
    let mut other_type = claim(&now, &signature);
    other_type[0] = ("content-type", "application/json");
    let cases = [
        ("no signature", &[FORM][..], 401, "unauthorized"),
        ("old", &claim(&old, &signature), 401, "unauthorized"),
        ("short", &claim(&now, "v0=00"), 401, "unauthorized"),
        ("type", &other_type, 415, "media-type"),
    ];
    for (case, headers, status, name) in cases {
        let answered = bed.send(call(Method::POST, PATH, None, headers, endless())).await;
        assert_problem(&answered, status, name, &[], case);
    }
    let slow = bed.send(call(Method::POST, PATH, None, &claim(&now, &signature), endless())).await;
    assert_problem(&slow, 408, "too-slow", &[], "slow");
    assert!(slow.took < SLACK_WAITS, "{:?}", slow.took);
}

#[tokio::test]
async fn bodies_of_nobody_knows_whom_are_bounded() {
    let bed = bed().await;
    let (now, signature) = (clock::now().timestamp().to_string(), format!("v0={}", "0".repeat(64)));
    let mut under_way = vec![];
    let refused = loop {
        let mut sending = Box::pin(bed.send(call(Method::POST, PATH, None, &claim(&now, &signature), endless())));
        match futures::poll!(&mut sending) {
            std::task::Poll::Pending => under_way.push(sending),
            std::task::Poll::Ready(answered) => break answered,
        }
        assert!(under_way.len() < 100, "bodies under way are not bounded");
    };
    assert_problem(&refused, 503, "busy", &[], "full");
    drop(under_way);
    let request = request("busy", 1);
    bed.ask(&request).await;
    assert_acknowledged(&press(&bed, &click(&bed, &request, "paramedic_approve", "U0ANN", "6.1")).await);
}

#[tokio::test]
async fn an_answer_that_was_not_begun_in_time_does_not_count_later() {
    let bed = bed().await;
    let request = request("late", 2);
    bed.ask(&request).await;
    let mut admin = sqlx::PgConnection::connect(&bed.database.url).await.unwrap();
    let mut lock = admin.begin().await.unwrap();
    sqlx::query("lock table gateway.entity in access exclusive mode").execute(&mut *lock).await.unwrap();
    let (first, second) =
        (click(&bed, &request, "paramedic_approve", "U0ANN", "5.1"), click(&bed, &request, "paramedic_approve", "U0BOB", "5.2"));
    let late = async {
        let waits = "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())";
        let is_begun = async || {
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut *lock).await.unwrap();
            (waiting > 0).then_some(())
        };
        testkit::eventually("the first answer being begun", SOON, is_begun).await.unwrap();
        press(&bed, &second).await
    };
    let (stuck, late) = tokio::join!(press(&bed, &first), late);
    for (user, answered) in [("U0ANN", stuck), ("U0BOB", late)] {
        assert_problem(&answered, 503, "unavailable", &[], user);
        assert!(answered.took < SLACK_WAITS, "{:?}", answered.took);
        let says = |told: &Ephemeral| told.user == user && told.text.contains("not known whether it was recorded");
        bed.slack.wait_for_ephemeral("what is known", SOON, says).await.unwrap();
    }
    lock.rollback().await.unwrap();
    // Who asks now comes after both.
    let last = press(&bed, &click(&bed, &request, "paramedic_approve", "U0CID", "5.3")).await;
    assert_private(&bed, &last, "U0CID", "may not decide").await;
    let shown = bed.get(&format!("/v1/approvals/{}", request.approval), ANN).await;
    let agreed = shown.json["agreed"].as_array().unwrap();
    assert!(!agreed.contains(&json!("bob")), "told that it is not known, and counted behind his back: {agreed:?}");
}
