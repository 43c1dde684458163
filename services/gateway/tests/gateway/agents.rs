//! A2A clients from outside: what they ask goes to the agents, what the agents say comes back, and a decision counts as the person's for
//! whom the client speaks.

use axum::http::Method;
use bus::{Bus, Connect, Publication, User};
use incident::approval::{ApprovalRequest, Channel};
use incident::id::TaskId;
use incident::task::{Artifact, Role, TaskEvent, TaskStatus};
use serde_json::{Value, json};

use crate::bed::{ANN, Answered, BOT, BUSYBODY, Bed, SOON, VOICE, bed, call, request, tenant};

const EXTENSION: &str = "https://paramedic.dev/a2a/ext/approval/v1";

impl Bed {
    /// One JSON-RPC call to an agent.
    async fn rpc(&self, agent: &str, token: &str, method: &str, params: Value) -> Answered {
        let headers = [("content-type", "application/json"), ("a2a-version", "1.0"), ("a2a-extensions", EXTENSION)];
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        self.send(call(Method::POST, &format!("/a2a/{agent}"), Some(token), &headers, body)).await
    }

    /// Gives an agent an errand, and does not wait for its end. The task.
    async fn give(&self, agent: &str, token: &str, message_id: &str, errand: Value) -> Value {
        let message = json!({"messageId": message_id, "role": "ROLE_USER", "parts": [{"data": errand}]});
        let params = json!({"message": message, "configuration": {"returnImmediately": true}});
        let answered = self.rpc(agent, token, "SendMessage", params).await;
        answered.json["result"]["task"].clone()
    }

    async fn task(&self, agent: &str, token: &str, id: &Value) -> Value {
        self.rpc(agent, token, "GetTask", json!({"id": id})).await.json["result"].clone()
    }

    /// Waits until a task stands so.
    async fn stands(&self, agent: &str, id: &Value, state: &str) -> Value {
        let task = async || Some(self.task(agent, BOT, id).await).filter(|task| task["status"]["state"] == state);
        testkit::eventually(state, SOON, task).await.unwrap()
    }

    /// Says something as one of our agents.
    async fn says(&self, event: &TaskEvent) {
        let body = serde_json::to_vec(&runtime::wire::event_to_a2a(event).unwrap()).unwrap();
        let subject = format!("a2a.{}.{}.event", event.tenant, event.to);
        let id = format!("event/{}.{}", event.task, event.number);
        let headers = runtime::wire::a2a_headers(a2a::nats::Method::SendMessage);
        let agent = Bus::connect(&Connect::new(self.nats.url(), User::Role(event.from), None)).await.unwrap();
        for result in agent.publish_all(&[Publication { subject, id, trace: None, headers, body: body.into() }]).await {
            result.unwrap();
        }
    }

    /// Messages that agents were sent.
    async fn requests(&self) -> Vec<(String, Value)> {
        let stream = self.stream("A2A").await;
        let mut requests = vec![];
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            if message.subject.ends_with(".request") {
                requests.push((message.subject.to_string(), serde_json::from_slice(&message.payload).unwrap()));
            }
        }
        requests
    }
}

fn diagnose() -> Value {
    json!({"skill": "diagnose", "workload": null, "alerts": []})
}

fn remediate() -> Value {
    let verdict = json!({"verdict": "inconclusive", "reason": "nothing stands out"});
    json!({"skill": "remediate", "alerts": [], "diagnosis": {"verdict": verdict, "evidence": []}})
}

/// What an agent says of the task that an engine's task became.
fn event(agent: Role, engine_task: &Value, number: u32, status: TaskStatus) -> TaskEvent {
    let message_id = engine_task.as_str().unwrap().to_owned();
    let task = TaskId::derive(&["acme", "gateway", agent.as_str(), &message_id]);
    let incident = "inc_of_the_client".parse().unwrap();
    TaskEvent { tenant: tenant(), task, message_id, incident, from: agent, to: Role::Gateway, number, status }
}

fn working(note: &str) -> TaskStatus {
    TaskStatus::Working { note: note.to_owned() }
}

#[tokio::test]
async fn an_errand_reaches_the_agent_once_and_its_news_come_back_in_order() {
    let bed = bed().await;
    let task = bed.give("diagnostics", BOT, "m-1", diagnose()).await;
    let again = bed.give("diagnostics", BOT, "m-1", diagnose()).await;
    assert_eq!(task["id"], again["id"], "{task}");
    let asked = testkit::eventually("a request", SOON, async || Some(bed.requests().await).filter(|all| !all.is_empty()));
    let asked = asked.await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0, "a2a.acme.diagnostics.request");
    let message = &asked[0].1["message"];
    assert_eq!(message["parts"][0]["data"], diagnose());
    assert_eq!(message["metadata"], json!({"from": "gateway", "to": "diagnostics", "client": "bot"}));
    assert!(message["contextId"].as_str().unwrap().starts_with("inc_"), "a client's context is no incident of monitoring's");

    bed.says(&event(Role::Diagnostics, &task["id"], 2, working("looking"))).await;
    bed.stands("diagnostics", &task["id"], "TASK_STATE_WORKING").await;
    // Late news, and doubled news, are no news.
    bed.says(&event(Role::Diagnostics, &task["id"], 1, working("beginning"))).await;
    let artifact = Artifact::Delivered { place: None };
    bed.says(&event(Role::Diagnostics, &task["id"], 3, TaskStatus::Completed { artifact })).await;
    let done = bed.stands("diagnostics", &task["id"], "TASK_STATE_COMPLETED").await;
    assert_eq!(done["artifacts"][0]["parts"][0]["data"], json!({"artifact": "delivered", "place": null}));
    let said: Vec<_> = done["history"].as_array().unwrap().iter().map(|message| message["parts"][0].clone()).collect();
    assert!(!said.contains(&json!({"text": "beginning"})), "{said:?}");
}

#[tokio::test]
async fn a_client_uses_the_agents_that_it_may_and_sees_its_own_tasks() {
    let bed = bed().await;
    let task = bed.give("remediation", BOT, "m-1", remediate()).await;
    let others = bed.rpc("remediation", BUSYBODY, "GetTask", json!({"id": task["id"]})).await;
    assert_eq!(others.json["error"]["code"], -32001, "{others:?}");
    for (agent, token, reason) in [
        ("diagnostics", BUSYBODY, "PERMISSION_DENIED"),
        ("communication", BOT, "PERMISSION_DENIED"),
        ("approvals", BOT, "PERMISSION_DENIED"),
        ("diagnostics", ANN, "UNAUTHENTICATED"),
        ("diagnostics", "nobodys-token", "UNAUTHENTICATED"),
    ] {
        let refused = bed.rpc(agent, token, "ListTasks", json!({})).await;
        assert_eq!(refused.json["error"]["data"][0]["reason"], reason, "{agent} {token}");
    }
    for (errand, field) in [
        (json!({"skill": "remediate"}), "message.parts[0].data"),
        (json!({"skill": "sing"}), "message.parts[0].data"),
        (diagnose(), "message.parts"),
    ] {
        let message = json!({"messageId": "m-2", "role": "ROLE_USER", "parts": [{"data": errand}]});
        let refused = bed.rpc("remediation", BOT, "SendMessage", json!({"message": message})).await;
        assert_eq!(refused.json["error"]["code"], -32602, "{refused:?}");
        let named = refused.json["error"]["data"][1]["fieldViolations"][0]["field"].as_str().unwrap();
        assert!(named.starts_with(field), "{named}");
    }
    let card = bed.send(call(Method::GET, "/a2a/remediation/.well-known/agent-card.json", None, &[], "")).await;
    assert_eq!(card.json["supportedInterfaces"][0]["url"], "https://paramedic.example/a2a/remediation");
    let own = bed.send(call(Method::GET, "/.well-known/agent-card.json", None, &[], "")).await;
    assert_eq!(own.json["supportedInterfaces"][0]["url"], "https://paramedic.example/a2a/approvals");
}

#[tokio::test]
async fn a_client_takes_its_work_back() {
    let bed = bed().await;
    let task = bed.give("diagnostics", BOT, "m-1", diagnose()).await;
    bed.says(&event(Role::Diagnostics, &task["id"], 1, working("looking"))).await;
    bed.stands("diagnostics", &task["id"], "TASK_STATE_WORKING").await;
    let asked = bed.rpc("diagnostics", BOT, "CancelTask", json!({"id": task["id"]})).await;
    assert!(asked.json["error"].is_null(), "{asked:?}");
    let cancel = async || bed.requests().await.into_iter().find(|(_, body)| body["metadata"]["reason"].is_string());
    let (_, cancel) = testkit::eventually("a cancellation", SOON, cancel).await.unwrap();
    let agents_task = TaskId::derive(&["acme", "gateway", "diagnostics", task["id"].as_str().unwrap()]);
    assert_eq!(cancel["id"], json!(agents_task));
    let failed = TaskStatus::Failed { reason: "taken back".to_owned() };
    bed.says(&event(Role::Diagnostics, &task["id"], 2, failed)).await;
    bed.stands("diagnostics", &task["id"], "TASK_STATE_CANCELED").await;
}

/// A decision as a message.
fn decision(request: &ApprovalRequest, decision: &str) -> Value {
    let metadata = json!({EXTENSION: {"approval": request.approval, "digest": request.digest, "decision": decision}});
    json!({"message": {
        "messageId": format!("{decision}-{}", request.approval),
        "role": "ROLE_USER",
        "parts": [{"text": "decided"}],
        "extensions": [EXTENSION],
        "metadata": metadata,
    }})
}

/// Which rule a decision broke.
fn refusal(answered: &Answered) -> &str {
    answered.json["error"]["data"][0]["metadata"]["refusal"].as_str().unwrap_or_else(|| panic!("{answered:?}"))
}

#[tokio::test]
async fn a_client_brings_a_persons_decision() {
    let bed = bed().await;
    let waiting = request("plan", 1);
    bed.ask(&waiting).await;

    let mut other_plan = decision(&waiting, "approve");
    other_plan["message"]["metadata"][EXTENSION]["digest"] = json!("0".repeat(64));
    assert_eq!(refusal(&bed.rpc("approvals", VOICE, "SendMessage", other_plan).await), "other_plan");
    let mut unknown = decision(&waiting, "approve");
    unknown["message"]["metadata"][EXTENSION]["approval"] = json!("apr_unknown");
    assert_eq!(refusal(&bed.rpc("approvals", VOICE, "SendMessage", unknown).await), "not_pending");
    for (member, wrong) in [("digest", json!("abc")), ("decision", json!("maybe")), ("approval", json!(7))] {
        let mut bad = decision(&waiting, "approve");
        bad["message"]["metadata"][EXTENSION][member] = wrong;
        let refused = bed.rpc("approvals", VOICE, "SendMessage", bad).await;
        let field = refused.json["error"]["data"][1]["fieldViolations"][0]["field"].as_str().unwrap().to_owned();
        assert!(field.ends_with(member), "{field}");
    }
    let mut text = decision(&waiting, "approve");
    text["message"]["metadata"] = json!({});
    let text = bed.rpc("approvals", VOICE, "SendMessage", text).await;
    assert_eq!(text.json["error"]["code"], -32602, "text is never taken for consent: {text:?}");
    assert!(bed.votes(&waiting.approval).await.is_empty());

    let counted = bed.rpc("approvals", VOICE, "SendMessage", decision(&waiting, "approve")).await;
    let data = &counted.json["result"]["message"]["parts"][0]["data"];
    assert_eq!(*data, json!({"approval": waiting.approval, "decision": "approve", "recorded": true}), "{counted:?}");
    let vote = bed.vote(&waiting.approval).await.vote;
    assert_eq!((vote.person.as_str(), vote.channel, vote.digest), ("ann", Channel::A2a, waiting.digest.clone()));
    assert_eq!(refusal(&bed.rpc("approvals", VOICE, "SendMessage", decision(&waiting, "approve")).await), "not_pending");
}

/// The JSON blocks of the page that specifies decisions.
fn samples() -> Vec<Value> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/a2a-approval.md")).unwrap();
    let blocks = page.split("```json").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap()).collect()
}

#[tokio::test]
async fn the_page_about_decisions_shows_what_is_sent_and_answered() {
    let bed = bed().await;
    let waiting = request("sample", 1);
    bed.ask(&waiting).await;
    let [mut asked, mut expected]: [Value; 2] = samples().try_into().unwrap();
    let given = &mut asked["message"]["metadata"][EXTENSION];
    (given["approval"], given["digest"]) = (json!(waiting.approval), json!(waiting.digest));
    let answered = bed.rpc("approvals", VOICE, "SendMessage", asked).await.json["result"].clone();
    expected["message"]["parts"][0]["data"]["approval"] = json!(waiting.approval);
    expected["message"]["messageId"] = answered["message"]["messageId"].clone();
    assert_eq!(answered, expected);
}

#[tokio::test]
async fn only_remediation_puts_plans_to_people() {
    let bed = bed().await;
    let waiting = request("real", 1);
    let mut harmless = waiting.clone();
    harmless.plan.diff = vec!["+ nothing to see".to_owned()];
    let mut bulletin = json!({
        "number": 1, "title": "t", "severity": "critical", "phase": "awaiting_approval", "news": null, "findings": [],
        "ask": {"request": harmless}, "gaps": [], "opened_at": "2026-11-01T00:00:00Z",
    });
    let announce = |bulletin: &Value, id: &str| {
        let errand = json!({"skill": "announce", "bulletin": bulletin});
        json!({"message": {"messageId": id, "role": "ROLE_USER", "parts": [{"data": errand}]},
            "configuration": {"returnImmediately": true}})
    };
    let refused = bed.rpc("communication", BUSYBODY, "SendMessage", announce(&bulletin, "m-1")).await;
    let violation = &refused.json["error"]["data"][1]["fieldViolations"][0];
    assert_eq!(violation["field"], "bulletin.ask", "{refused:?}");
    bulletin["ask"] = Value::Null;
    let taken = bed.rpc("communication", BUSYBODY, "SendMessage", announce(&bulletin, "m-2")).await;
    assert!(taken.json["error"].is_null(), "{taken:?}");
}

#[tokio::test]
async fn work_waits_for_a_bus_that_is_away() {
    let mut bed = bed().await;
    bed.nats.server().stop().await.unwrap();
    let task = bed.give("diagnostics", BOT, "m-1", diagnose()).await;
    assert_eq!(task["status"]["state"], "TASK_STATE_SUBMITTED", "{task}");
    bed.nats.server().restart().await.unwrap();
    let asked = async || Some(bed.requests().await).filter(|all| !all.is_empty());
    let asked = testkit::eventually("the request", SOON, asked).await.unwrap();
    assert_eq!((asked.len(), asked[0].0.as_str()), (1, "a2a.acme.diagnostics.request"));
    assert_eq!(bed.task("diagnostics", BOT, &task["id"]).await["status"]["state"], "TASK_STATE_SUBMITTED");
}

#[tokio::test]
async fn nobody_agrees_to_what_they_asked_for() {
    let bed = bed().await;
    let task = bed.give("remediation", BUSYBODY, "m-1", remediate()).await;
    let mut waiting = request("own", 1);
    waiting.plan.task = TaskId::derive(&["acme", "gateway", "remediation", task["id"].as_str().unwrap()]);
    let asked = async || bed.requests().await.into_iter().next();
    let (_, asked) = testkit::eventually("the request", SOON, asked).await.unwrap();
    waiting.plan.requested_by = asked["message"]["metadata"]["client"].as_str().map(str::to_owned);
    assert_eq!(waiting.plan.requested_by.as_deref(), Some("busybody"));
    waiting.digest = waiting.plan.digest().unwrap();
    // The client knows of the plan before the ballot does.
    let early = bed.rpc("approvals", BUSYBODY, "SendMessage", decision(&waiting, "approve"));
    let (early, ()) = tokio::join!(early, bed.ask(&waiting));
    assert_eq!(refusal(&early), "not_authorised");
    let auth = TaskStatus::AuthRequired { request: Box::new(waiting.clone()), reminders: 0 };
    bed.says(&event(Role::Remediation, &task["id"], 1, auth)).await;
    let stands = async || {
        let task = bed.task("remediation", BUSYBODY, &task["id"]).await;
        Some(task).filter(|task| task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED")
    };
    let stands = testkit::eventually("the question", SOON, stands).await.unwrap();
    assert_eq!(stands["status"]["message"]["metadata"][EXTENSION]["request"]["digest"], json!(waiting.digest));

    assert_eq!(refusal(&bed.rpc("approvals", BUSYBODY, "SendMessage", decision(&waiting, "approve")).await), "not_authorised");
    let mut to_the_task = decision(&waiting, "approve");
    to_the_task["message"]["taskId"] = task["id"].clone();
    let refused = bed.rpc("remediation", BUSYBODY, "SendMessage", to_the_task).await;
    assert_eq!(refused.json["error"]["code"], -32004, "{refused:?}");
    assert!(bed.votes(&waiting.approval).await.is_empty());
    let counted = bed.rpc("approvals", VOICE, "SendMessage", decision(&waiting, "approve")).await;
    assert!(counted.json["error"].is_null(), "{counted:?}");
}
