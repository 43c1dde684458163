//! Jira's tools.

use std::time::Duration;

use mcp::FaultKind;
use serde_json::{Value, json};
use testkit::fakes::Failure;
use testkit::fakes::jira::JiraOptions;
use testkit::fakes::slack::SlackOptions;

use crate::world::World;

fn issue(key: &str, attempt: u32) -> Value {
    json!({
        "project": "OPS", "issue_type": "Task", "summary": "checkout is failing",
        "description": "Error ratio 12 %.\nSince 10:02.\n\n<script>h1. not markup</script>",
        "labels": ["incident"], "idempotency_key": key, "attempt": attempt,
    })
}

async fn created(world: &World) -> String {
    let created = world.call("jira", "create_issue", issue("eff_1", 1)).await.expect("created");
    created["key"].as_str().expect("key").to_owned()
}

#[tokio::test]
async fn an_issue_is_created_commented_and_closed() {
    let world = World::start().await;
    let answer = world.call("jira", "create_issue", issue("eff_1", 1)).await.expect("created");
    let url = format!("{}/browse/OPS-1", world.jira.base_url());
    assert_eq!((&answer["key"], &answer["url"], &answer["already"]), (&json!("OPS-1"), &json!(url), &json!(false)));
    let comment = json!({ "key": "OPS-1", "body": "Rolled back.\n\nRecovered.", "idempotency_key": "eff_2" });
    world.call("jira", "add_comment", comment).await.expect("commented");
    let done = json!({ "key": "OPS-1", "to": "done" });
    let moved = world.call("jira", "transition_issue", done.clone()).await.expect("moved");
    assert_eq!(moved, json!({ "key": "OPS-1", "status": "Done", "already": false }));
    let again = world.call("jira", "transition_issue", done).await.expect("already there");
    assert_eq!(again["already"], true);
    let open = json!({ "key": "OPS-1", "to": "open" });
    let moved = world.call("jira", "transition_issue", open).await.expect("moved back");
    assert_eq!(moved, json!({ "key": "OPS-1", "status": "To Do", "already": false }));

    let stored = world.jira.issue("OPS-1").expect("stored");
    assert_eq!(stored.labels, ["incident", "paramedic-eff_1"]);
    assert_eq!(stored.status_history.len(), 2, "moved once, and back");
    assert_eq!(stored.comments[0].text, "Rolled back.\nRecovered.\nparamedic-eff_2");
    let text = stored.description.to_string();
    assert!(text.contains("<script>h1. not markup</script>"), "text stays text: {text}");
}

#[tokio::test]
async fn a_lost_answer_never_makes_a_second_issue_however_search_lags() {
    let world = World::start().await;
    world.jira.fail_next("createIssue", Failure::DropAfterCommit);
    let fault = world.fault("jira", "create_issue", issue("eff_1", 1)).await;
    assert!(fault.outcome_unknown && fault.retryable, "{fault:?}");
    let found = world.call("jira", "create_issue", issue("eff_1", 2)).await.expect("found");
    assert_eq!((&found["key"], &found["already"]), (&json!("OPS-1"), &json!(true)));
    assert_eq!(world.jira.issues().len(), 1);
}

#[tokio::test]
async fn a_later_attempt_creates_what_no_earlier_one_did() {
    let world = World::start().await;
    created(&world).await;
    let key = "incident 7/ticket";
    let made = world.call("jira", "create_issue", issue(key, 2)).await.expect("created");
    assert_eq!((&made["key"], &made["already"]), (&json!("OPS-2"), &json!(false)));
    let again = world.call("jira", "create_issue", issue(key, 3)).await.expect("found");
    assert_eq!((&again["key"], &again["already"]), (&json!("OPS-2"), &json!(true)));
}

#[tokio::test]
async fn without_time_to_look_nothing_is_created() {
    let world = World::start().await;
    let brief = Duration::from_millis(300);
    let result: Result<Value, _> = world.client("jira").call("create_issue", &issue("eff_1", 2), brief).await;
    let error = result.expect_err("too brief for the index lag");
    assert_eq!(error.fault().map(|fault| fault.provider_code.as_str()), Some("lookup_needs_time"));
    assert!(world.jira.issues().is_empty());
}

#[tokio::test]
async fn a_lost_answer_never_makes_a_second_comment() {
    let world = World::start().await;
    let key = created(&world).await;
    let comment = |attempt| json!({ "key": key, "body": "Approved.", "idempotency_key": "eff 2", "attempt": attempt });
    world.jira.fail_next("addComment", Failure::DropAfterCommit);
    assert!(world.fault("jira", "add_comment", comment(1)).await.outcome_unknown);
    let found = world.call("jira", "add_comment", comment(2)).await.expect("found");
    assert_eq!(found["already"], true);
    let comments = world.jira.issue(&key).expect("issue").comments;
    assert_eq!((comments.len(), &json!(comments[0].id)), (1, &found["id"]));
    let other = json!({ "key": key, "body": "Approved.", "idempotency_key": "eff 3", "attempt": 2 });
    let added = world.call("jira", "add_comment", other).await.expect("added");
    assert_eq!(added["already"], false);
}

#[tokio::test]
async fn a_jira_that_is_slow_does_it_once() {
    let world = World::with(SlackOptions::default(), JiraOptions::default(), json!({ "request_ms": 600 })).await;
    let late = Failure::HangAndCommit(Duration::from_millis(1_200));
    world.jira.fail_next("createIssue", late);
    assert!(world.fault("jira", "create_issue", issue("eff_1", 1)).await.outcome_unknown);
    let found = world.call("jira", "create_issue", issue("eff_1", 2)).await.expect("found");
    assert_eq!((&found["already"], world.jira.issues().len()), (&json!(true), 1));
    let comment = |attempt| json!({ "key": found["key"], "body": "Approved.", "idempotency_key": "eff_2", "attempt": attempt });
    world.jira.fail_next("addComment", late);
    assert!(world.fault("jira", "add_comment", comment(1)).await.outcome_unknown);
    let again = world.call("jira", "add_comment", comment(2)).await.expect("found");
    assert_eq!((&again["already"], world.jira.issues()[0].comments.len()), (&json!(true), 1));
}

#[tokio::test]
async fn a_lost_transition_is_read_back() {
    let world = World::start().await;
    let key = created(&world).await;
    world.jira.fail_next("doTransition", Failure::DropAfterCommit);
    let to = json!({ "key": key, "to": "In Progress" });
    let moved = world.call("jira", "transition_issue", to).await.expect("read back");
    assert_eq!(moved["status"], "In Progress");
    assert_eq!(world.jira.issue(&key).expect("issue").status_history.len(), 1);
}

#[tokio::test]
async fn a_status_the_workflow_does_not_lead_to_is_a_conflict() {
    let world = World::start().await;
    let key = created(&world).await;
    world.jira.move_issue(&key, "Done").expect("moved by a person");
    let to = json!({ "key": key, "to": "In Progress" });
    let fault = world.fault("jira", "transition_issue", to).await;
    assert_eq!((fault.kind, fault.provider_code.as_str()), (FaultKind::Conflict, "no_transition"));
    assert!(fault.hint.contains("To Do"), "says what is open: {}", fault.hint);
}

#[tokio::test]
async fn limits_outages_and_refusals_are_typed() {
    let world = World::start().await;
    world.jira.fail_next("createIssue", Failure::RateLimited(90));
    let fault = world.fault("jira", "create_issue", issue("eff_1", 1)).await;
    assert_eq!((fault.kind, fault.provider_code.as_str()), (FaultKind::RateLimited, "jira-burst-based"));
    assert!(fault.retry_at.is_some());

    let mut unknown = issue("eff_1", 1);
    unknown["issue_type"] = json!("Epos");
    let world = World::start().await;
    let fault = world.fault("jira", "create_issue", unknown).await;
    assert_eq!(fault.kind, FaultKind::Invalid);
    assert!(fault.hint.contains("issuetype"), "{}", fault.hint);

    let comment = json!({ "key": "OPS-404", "body": "x", "idempotency_key": "k" });
    assert_eq!(world.fault("jira", "add_comment", comment).await.kind, FaultKind::NotFound);

    world.jira.fail_next("createIssue", Failure::Status(500));
    let fault = world.fault("jira", "create_issue", issue("eff_1", 1)).await;
    assert_eq!((fault.kind, fault.outcome_unknown), (FaultKind::Unavailable, true));

    world.jira.fail_next("getIssue", Failure::Status(502));
    let key = created(&world).await;
    world.call("jira", "transition_issue", json!({ "key": key, "to": "done" })).await.expect("reads are repeated");
}

#[tokio::test]
async fn wrong_credentials_are_told_and_no_secret_leaks() {
    let world = World::start().await;
    world.jira.fail_next("createIssue", Failure::Status(401));
    let error = world.call("jira", "create_issue", issue("eff_1", 1)).await.expect_err("refused");
    assert_eq!(error.fault().map(|fault| fault.kind), Some(FaultKind::Auth));
    assert!(!format!("{error:?}").contains(&world.jira.options().api_token));
}

#[tokio::test]
async fn wrong_arguments_never_reach_jira() {
    let world = World::with(SlackOptions::default(), JiraOptions::default(), json!({})).await;
    let change = |name: &str, value: Value| {
        let mut args = issue("eff_1", 1);
        args[name] = value;
        args
    };
    for args in [
        change("project", json!("OPS\" OR project = \"HR")),
        change("summary", json!("two\nlines")),
        change("summary", json!("x".repeat(256))),
        change("labels", json!(["two words"])),
        change("idempotency_key", json!("x".repeat(201))),
    ] {
        assert_eq!(world.fault("jira", "create_issue", args).await.kind, FaultKind::Invalid);
    }
    let traversal = json!({ "key": "OPS-1/../../x", "to": "done" });
    assert_eq!(world.fault("jira", "transition_issue", traversal).await.kind, FaultKind::Invalid);
    assert!(world.jira.calls().is_empty());
}
