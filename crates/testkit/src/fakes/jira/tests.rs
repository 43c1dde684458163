//! The fake against the contract it claims.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{JiraFake, JiraOptions};

async fn call(jira: &JiraFake, method: Method, path: &str, body: Value) -> (u16, Value) {
    let options = jira.options();
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    let mut request = http
        .request(method.clone(), format!("{}/rest/api/3/{path}", jira.base_url()))
        .basic_auth(options.email, Some(options.api_token));
    if method == Method::POST {
        request = request.json(&body);
    }
    let response = request.send().await.expect("answered");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

fn issue(summary: &str) -> Value {
    json!({ "fields": {
        "project": { "key": "OPS" }, "issuetype": { "name": "Task" }, "summary": summary,
        "labels": ["paramedic-eff_1"],
    } })
}

#[tokio::test]
async fn issues_follow_the_workflow() {
    let jira = JiraFake::start(JiraOptions::default()).await.expect("start");
    let (status, created) = call(&jira, Method::POST, "issue", issue("pods crash")).await;
    assert_eq!((status, &created["key"]), (201, &json!("OPS-1")));
    let steps = |answer: &Value| {
        let steps = answer["transitions"].as_array().cloned().unwrap_or_default();
        steps.iter().map(|step| step["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let (_, open) = call(&jira, Method::GET, "issue/OPS-1/transitions", Value::Null).await;
    assert_eq!(steps(&open), ["11", "31"]);
    let take = |id: &str| json!({ "transition": { "id": id } });
    let (status, _) = call(&jira, Method::POST, "issue/OPS-1/transitions", take("41")).await;
    assert_eq!(status, 400, "not open from here");
    let (status, _) = call(&jira, Method::POST, "issue/OPS-1/transitions", take("31")).await;
    assert_eq!(status, 204);
    let stored = jira.issue("OPS-1").expect("stored");
    assert_eq!(stored.status.name, "Done");
    assert_eq!(stored.status_history[0].name, "To Do");
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused() {
    let jira = JiraFake::start(JiraOptions::default()).await.expect("start");
    let mut spaced = issue("x");
    spaced["fields"]["labels"] = json!(["two words"]);
    let mut plain = issue("x");
    plain["fields"]["description"] = json!("not a document");
    let mut unknown = issue("x");
    unknown["fields"]["severity"] = json!(1);
    for body in [issue(""), issue("a\nb"), issue(&"x".repeat(256)), spaced, plain, unknown, json!({})] {
        let (status, answer) = call(&jira, Method::POST, "issue", body.clone()).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["errors"].is_object(), "{answer}");
    }
    let unbounded = json!({ "jql": "ORDER BY created" });
    assert_eq!(call(&jira, Method::POST, "search/jql", unbounded).await.0, 400);
    assert_eq!(call(&jira, Method::GET, "issue/OPS-9", Value::Null).await.0, 404);
    let anonymous = reqwest::Client::builder().no_proxy().build().expect("client");
    let url = format!("{}/rest/api/3/myself", jira.base_url());
    assert_eq!(anonymous.get(url).send().await.expect("answered").status(), 401);
    assert!(jira.issues().is_empty());
}

#[tokio::test]
async fn search_lags_behind_writes() {
    let options = JiraOptions { search_lag: Duration::from_millis(200), ..JiraOptions::default() };
    let jira = JiraFake::start(options).await.expect("start");
    call(&jira, Method::POST, "issue", issue("x")).await;
    let created = jira.issues()[0].clone();
    let query = json!({ "jql": "project = OPS AND labels = \"paramedic-eff_1\"", "fields": ["status"] });
    let mut reconciled = query.clone();
    reconciled["reconcileIssues"] = json!([created.id.parse::<u64>().expect("numeric")]);
    let (_, now) = call(&jira, Method::POST, "search/jql", query.clone()).await;
    assert_eq!(now["issues"], json!([]));
    let (_, reconciled) = call(&jira, Method::POST, "search/jql", reconciled).await;
    assert_eq!(reconciled["issues"][0]["key"], "OPS-1");
    let deadline = created.changed_at + Duration::from_secs(5);
    loop {
        let (_, answer) = call(&jira, Method::POST, "search/jql", query.clone()).await;
        if answer["issues"][0]["key"] == "OPS-1" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "never indexed");
    }
}
