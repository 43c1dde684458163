use std::collections::BTreeSet;
use std::path::Path;

use incident::alert::Correlation;
use runtime::secret::Secret;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::*;
use crate::config::{Person, TenantEdge};
use crate::tenants::Tenants;

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn edge(app: Option<&str>, team: Option<&str>) -> SlackEdge {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let replies_url = "https://hooks.slack.com".parse().unwrap();
    SlackEdge { signing_secret: Secret::new("s"), app_id: owned(app), team_id: owned(team), replies_url }
}

fn read_with(slack: &SlackEdge, payload: &Value) -> Result<Interaction, Problem> {
    click_with(slack, payload).map(|click| click.interaction)
}

fn click_with(slack: &SlackEdge, payload: &Value) -> Result<Click, Problem> {
    let person =
        Person { id: "ann".parse().unwrap(), groups: BTreeSet::new(), slack_user: Some("W111".to_owned()), token_sha256: None };
    let edge = TenantEdge {
        webhook_token: Secret::new("t"),
        correlation: Correlation::default(),
        heartbeats: [].into(),
        silences: None,
        slack: Some(slack.clone()),
        people: vec![person],
        a2a_clients: vec![],
    };
    let tenants = Tenants::new([("acme".parse().unwrap(), edge)].into()).unwrap();
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    read(tenants.named("acme").unwrap(), slack, body.as_bytes())
}

fn take(payload: &Value) -> Result<Interaction, Problem> {
    read_with(&edge(Some("A111"), Some("T111")), payload)
}

fn click() -> Value {
    json!({
        "type": "block_actions",
        "user": {"id": "W111", "username": "ann", "name": "ann", "team_id": "T111"},
        "api_app_id": "A111", "token": "verification_token",
        "container": {"type": "message", "message_ts": "111.222", "channel_id": "C111", "is_ephemeral": false},
        "trigger_id": "111.222.valid",
        "team": {"id": "T111", "domain": "workspace-domain", "enterprise_id": "E111", "enterprise_name": "Sandbox Org"},
        "channel": {"id": "C111", "name": "incidents"},
        "response_url": "https://hooks.slack.com/actions/T111/111/random-value",
        "actions": [{
            "action_id": "paramedic_approve", "block_id": "b", "type": "button",
            "text": {"type": "plain_text", "text": "Approve"},
            "value": format!("v1.apr_0123456789abcdef.{DIGEST}"), "action_ts": "1596530385.194939"
        }]
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut payload = click();
    change(&mut payload);
    payload
}

fn answer(payload: &Value) -> (String, PersonsAnswer) {
    match take(payload).unwrap() {
        Interaction::Answer { message_id, answer } => (message_id, answer),
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn a_press_is_a_persons_answer() {
    let (id, approve) = answer(&click());
    assert_eq!(approve.approval.as_str(), "apr_0123456789abcdef");
    assert_eq!(approve.digest, Some(Digest(DIGEST.to_owned())));
    assert_eq!((approve.person.as_str(), approve.channel, &approve.answer), ("ann", Channel::Slack, &Answer::Approve));
    let (_, reject) = answer(&changed(|p| p["actions"][0]["action_id"] = json!("paramedic_reject")));
    assert_eq!(reject.answer, Answer::Reject { reason: REASON.to_owned() });
    assert_eq!(id, answer(&click()).0, "a copy of a click");
    assert_ne!(id, answer(&changed(|p| p["trigger_id"] = json!("111.222.other"))).0, "another click");
}

#[test]
fn somebody_unknown_answers_as_a_stranger() {
    let (_, stranger) = answer(&changed(|p| p["user"]["id"] = json!("W999")));
    assert_eq!(stranger.person.as_str(), "slack-W999");
}

#[test]
fn clicks_that_cannot_count_are_answered_in_private() {
    let cases = [
        ("no value", changed(|p| p["actions"][0]["value"] = Value::Null)),
        ("short digest", changed(|p| p["actions"][0]["value"] = json!("v1.apr_1.0123"))),
        ("upper case", changed(|p| p["actions"][0]["value"] = json!(format!("v1.apr_1.{}", DIGEST.to_uppercase())))),
        ("other version", changed(|p| p["actions"][0]["value"] = json!(format!("v2.apr_1.{DIGEST}")))),
        ("bad id", changed(|p| p["actions"][0]["value"] = json!(format!("v1.a*b.{DIGEST}")))),
        ("more", changed(|p| p["actions"][0]["value"] = json!(format!("v1.apr_1.{DIGEST}.x")))),
        ("bot", changed(|p| p["user"]["is_bot"] = json!(true))),
        ("two", changed(|p| p["actions"] = json!([click()["actions"][0], click()["actions"][0]]))),
        ("odd user", changed(|p| p["user"]["id"] = json!("W 1"))),
    ];
    for (name, payload) in cases {
        assert!(matches!(take(&payload), Ok(Interaction::Tell(_))), "{name}");
    }
}

#[test]
fn answers_go_to_slack_and_nowhere_else() {
    let cases = [
        (json!("https://hooks.slack.com/actions/T111/1/x"), true),
        (json!("https://hooks.slack.com:443/x"), true),
        (json!("http://hooks.slack.com/x"), false),
        (json!("https://hooks.slack.com:8443/x"), false),
        (json!("https://hooks.slack.com.evil.example/x"), false),
        (json!("https://hooks.slack.com@evil.example/x"), false),
        (json!("https://user@hooks.slack.com/x"), false),
        (json!("http://169.254.169.254/latest/meta-data"), false),
        (json!("file:///etc/passwd"), false),
        (json!("/x"), false),
        (json!(""), false),
        (Value::Null, false),
    ];
    for (url, expected) in cases {
        let click = click_with(&edge(None, None), &changed(|p| p["response_url"] = url.clone())).unwrap();
        assert_eq!(click.reply_to.is_some(), expected, "{url}");
    }
}

#[test]
fn other_apps_workspaces_and_guests_are_refused() {
    let cases = [
        changed(|p| p["api_app_id"] = json!("A222")),
        changed(|p| drop(p.as_object_mut().unwrap().remove("api_app_id"))),
        changed(|p| p["team"]["id"] = json!("T222")),
        changed(|p| p["user"]["team_id"] = json!("T222")),
        changed(|p| {
            p["team"] = Value::Null;
            drop(p["user"].as_object_mut().unwrap().remove("team_id"));
        }),
    ];
    for payload in cases {
        assert_eq!(take(&payload).unwrap_err().names(), ["forbidden"], "{payload}");
        assert!(read_with(&edge(None, None), &payload).is_ok());
    }
}

#[test]
fn what_lacks_a_user_or_a_trigger_is_invalid() {
    for field in ["user", "trigger_id"] {
        let payload = changed(|p| drop(p.as_object_mut().unwrap().remove(field)));
        assert_eq!(read_with(&edge(None, None), &payload).unwrap_err().names(), ["slack-field"], "{field}");
    }
}

#[test]
fn what_is_no_payload_is_malformed() {
    for payload in [json!([]), json!({}), json!({"type": 1})] {
        assert_eq!(take(&payload).unwrap_err().names(), ["malformed"], "{payload}");
    }
}

#[test]
fn samples_of_slacks_own_tests_are_ignored_or_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts/slack/interaction-samples.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no {}", path.display());
        return;
    };
    let samples: Value = serde_json::from_str(&text).unwrap();
    let samples: Vec<(&String, &Value)> = samples.as_object().unwrap().iter().filter(|(_, v)| v.is_object()).collect();
    assert!(samples.len() >= 3);
    for (name, sample) in samples {
        assert!(matches!(take(sample), Ok(Interaction::Ignore { .. })), "{name}");
        let mut ours = sample.clone();
        if ours["type"] == "block_actions" {
            ours["actions"][0]["action_id"] = json!(APPROVE);
            assert!(matches!(take(&ours), Ok(Interaction::Tell(_))), "{name}");
        }
    }
}
