//! What we send, checked against the providers' own descriptions, where those are at hand.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use testkit::fakes::{Call, Failure};

use crate::world::{CHANNEL, World};

/// The folder of contracts beside the checkout, if it is there.
fn contracts() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contracts");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no provider contracts at {}", folder.display());
    None
}

fn read(folder: &Path, name: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(name)).expect(name);
    serde_json::from_str(&text).expect(name)
}

/// A schema inside a description, with what its references point to.
fn validator(description: &Value, schema: &Value) -> jsonschema::Validator {
    let mut schema = schema.clone();
    schema["components"] = description["components"].clone();
    jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&schema).expect("schema")
}

/// Every request a whole incident makes, look-ups included.
async fn every_request() -> (Vec<Call>, Vec<Call>) {
    let world = World::start().await;
    let blocks = json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "*x*" } }]);
    let card = |attempt: u32| {
        json!({
            "channel": CHANNEL, "text": "x", "blocks": blocks, "idempotency_key": "k1",
            "attempt": attempt,
        })
    };
    let posted = world.call("slack", "post_message", card(1)).await.expect("posted");
    world.call("slack", "post_message", card(2)).await.expect("found");
    let mut reply = card(2);
    reply["thread_ts"] = posted["ts"].clone();
    reply["idempotency_key"] = json!("k2");
    world.call("slack", "post_message", reply).await.expect("replied");
    let update = json!({ "channel": CHANNEL, "ts": posted["ts"], "text": "y", "blocks": blocks });
    world.call("slack", "update_message", update).await.expect("updated");
    let private = json!({ "channel": CHANNEL, "user": "U0ANN", "text": "no" });
    world.call("slack", "post_ephemeral", private).await.expect("answered");

    let issue = json!({
        "project": "OPS", "issue_type": "Task", "summary": "s", "labels": ["a"],
        "description": "one\ntwo\n\nthree", "idempotency_key": "k3",
    });
    world.jira.fail_next("createIssue", Failure::DropAfterCommit);
    world.fault("jira", "create_issue", issue.clone()).await;
    let mut again = issue;
    again["attempt"] = json!(2);
    world.call("jira", "create_issue", again).await.expect("found");
    let comment = json!({ "key": "OPS-1", "body": "x\n\ny", "idempotency_key": "k4", "attempt": 2 });
    world.call("jira", "add_comment", comment).await.expect("commented");
    let done = json!({ "key": "OPS-1", "to": "done" });
    world.call("jira", "transition_issue", done).await.expect("moved");
    (world.slack.calls(), world.jira.calls())
}

#[tokio::test]
async fn requests_keep_to_the_providers_descriptions() {
    let Some(folder) = contracts() else { return };
    let (slack_calls, jira_calls) = every_request().await;
    let slack = read(&folder, "slack/openapi.current.json");
    let methods = read(&folder, "slack/methods.json");
    for call in &slack_calls {
        check_slack(&slack, &methods, call);
    }
    let jira = read(&folder, "jira/openapi.platform.json");
    let adf = read(&folder, "jira/adf-schema.v1.json");
    let adf = jsonschema::options().with_draft(jsonschema::Draft::Draft4).build(&adf).expect("ADF");
    for call in &jira_calls {
        check_jira(&jira, &adf, call);
    }
    let seen = |calls: &[Call]| {
        let mut names: Vec<_> = calls.iter().map(|call| call.method.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(
        seen(&slack_calls),
        ["chat.postEphemeral", "chat.postMessage", "chat.update", "conversations.history", "conversations.replies",]
    );
    assert_eq!(
        seen(&jira_calls),
        [
            "addComment",
            "createIssue",
            "doTransition",
            "getComments",
            "getIssue",
            "getTransitions",
            "searchAndReconsileIssuesUsingJqlPost",
        ]
    );
}

fn check_slack(description: &Value, methods: &Value, call: &Call) {
    let name = &call.method;
    let known = &methods[name.as_str()]["args"];
    let known: Vec<_> = known.as_array().expect(name).iter().filter_map(Value::as_str).collect();
    for arg in call.body.as_object().expect("arguments").keys() {
        assert!(known.contains(&arg.as_str()), "{name} takes no {arg}");
    }
    let media = call.content_type.split(';').next().unwrap_or_default().trim();
    let content = &description["paths"][format!("/{name}")]["post"]["requestBody"]["content"];
    let schema = &content[media]["schema"];
    assert!(schema.is_object(), "{name} takes no {media}");
    let body = if media == "application/json" { call.body.clone() } else { typed_form(schema, &call.body) };
    check(&validator(description, schema), &body, name);
}

/// A form's texts, read as the types its schema names.
fn typed_form(schema: &Value, form: &Value) -> Value {
    let read = |name: &str, text: &Value| {
        let kind = schema["properties"][name]["type"].as_str().unwrap_or("string");
        match (kind, text.as_str()) {
            ("boolean" | "integer" | "number", Some(text)) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            _ => text.clone(),
        }
    };
    let fields = form.as_object().expect("form").iter();
    fields.map(|(name, text)| (name.clone(), read(name, text))).collect::<Map<_, _>>().into()
}

fn check_jira(description: &Value, adf: &jsonschema::Validator, call: &Call) {
    let (verb, path) = &call.http;
    let template = path.replace("/OPS-1", "/{issueIdOrKey}");
    let operation = &description["paths"][&template][verb.to_lowercase()];
    assert_eq!(operation["operationId"], json!(call.method), "{verb} {template}");
    if verb == "GET" {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for name in call.body.as_object().expect("query").keys() {
            let is_known = parameters.iter().any(|known| known["name"] == json!(name));
            assert!(is_known, "{} takes no {name}", call.method);
        }
        return;
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    check(&validator(description, schema), &call.body, &call.method);
    for pointer in ["/fields/description", "/body"] {
        if let Some(document) = call.body.pointer(pointer) {
            check(adf, document, &call.method);
        }
    }
}

fn check(validator: &jsonschema::Validator, body: &Value, what: &str) {
    let wrong: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:?} in {body}");
}
