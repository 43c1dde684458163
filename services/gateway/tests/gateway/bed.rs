//! A gateway with everything behind it, and calls to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bus::{Bus, Connect, User};
use ed25519_dalek::SigningKey;
use gateway::{A2aClient, A2aEdge, Agents, Parts, Person, Replies, SlackEdge, Tell, TenantEdge, Tenants, TokenDigest, Ways};
use incident::agent::Content;
use incident::agents::ballot::BallotKeeper;
use incident::agents::gateway::Gateway;
use incident::alert::Correlation;
use incident::approval::{ApprovalRequest, Needs, SignedVote};
use incident::id::{ApprovalId, TenantId};
use incident::plan::{Action, Digest, Plan, Target, Undo, Verification};
use incident::task::Role;
use incident::workload::{Workload, WorkloadKind};
use runtime::lifecycle::Lifecycle;
use runtime::secret::Secret;
use runtime::{Context, Handle, clock};
use serde_json::Value;
use store::{Options, Store, migrate, role_url};
use testkit::fakes::slack::{SlackFake, SlackOptions};
use testkit::{Database, Nats};
use tower::ServiceExt as _;

/// Webhook token of the tenant `acme`.
pub(crate) const TOKEN: &str = "acmes-webhook-token";
/// Signing secret of its Slack app.
pub(crate) const SECRET: &str = "acmes-signing-secret";
/// Tokens of people: Ann and Bob are on call, Cid is not; Dee is of another tenant.
pub(crate) const ANN: &str = "anns-own-token";
pub(crate) const BOB: &str = "bobs-own-token";
pub(crate) const CID: &str = "cids-own-token";
pub(crate) const DEE: &str = "dees-own-token";
/// Tokens of A2A clients: the bot gives work, the voice brings Ann's decisions, the busybody does both.
pub(crate) const BOT: &str = "the-bots-token";
pub(crate) const VOICE: &str = "the-voices-token";
pub(crate) const BUSYBODY: &str = "the-busybodys-token";
/// Everything here takes milliseconds; a busy machine may need more.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Shorter than in production, so that an absent server is noticed while a test waits.
const ACK_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 8 << 20;

pub(crate) struct Bed {
    pub(crate) router: Router,
    pub(crate) nats: Nats,
    pub(crate) ledger: Store,
    pub(crate) slack: SlackFake,
    pub(crate) ballots: Handle<Gateway>,
    pub(crate) store: Store,
    pub(crate) life: Lifecycle,
    pub(crate) database: Database,
}

/// An answer of the edge.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    pub(crate) took: Duration,
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn person(id: &str, group: &str, user: Option<&str>, token: &str) -> Person {
    Person {
        id: id.parse().unwrap(),
        groups: BTreeSet::from([group.to_owned()]),
        slack_user: user.map(str::to_owned),
        token_sha256: Some(TokenDigest::of(token)),
    }
}

fn edges(replies_url: &str) -> BTreeMap<TenantId, TenantEdge> {
    let slack = |secret| {
        let owned = |text: &str| Some(text.to_owned());
        let replies_url = replies_url.parse().unwrap();
        Some(SlackEdge { signing_secret: Secret::new(secret), app_id: owned("A111"), team_id: owned("T111"), replies_url })
    };
    let edge = |token, slack, people| TenantEdge {
        webhook_token: Secret::new(token),
        correlation: Correlation::default(),
        heartbeats: [].into(),
        silences: None,
        slack,
        people,
        a2a_clients: vec![],
    };
    let people = vec![
        person("ann", "on-call", Some("U0ANN"), ANN),
        person("bob", "on-call", Some("U0BOB"), BOB),
        person("cid", "visitors", Some("U0CID"), CID),
    ];
    let others = vec![person("dee", "on-call", None, DEE)];
    let acme = TenantEdge { a2a_clients: clients(), ..edge(TOKEN, slack(SECRET), people) };
    BTreeMap::from([(tenant(), acme), ("blue".parse().unwrap(), edge("blues-webhook-token", None, others))])
}

pub(crate) fn clients() -> Vec<A2aClient> {
    let client = |name: &str, token, agents: &[Role], speaks_for: Option<&str>| A2aClient {
        name: name.to_owned(),
        token_sha256: TokenDigest::of(token),
        agents: agents.iter().copied().collect(),
        nats_password: None,
        speaks_for: speaks_for.map(|person| person.parse().unwrap()),
    };
    vec![
        client("bot", BOT, &[Role::Diagnostics, Role::Remediation], None),
        client("voice", VOICE, &[], Some("ann")),
        client("busybody", BUSYBODY, &[Role::Remediation, Role::Communication], Some("bob")),
    ]
}

pub(crate) async fn bed() -> Bed {
    let (nats, database) = tokio::join!(testkit::nats(""), testkit::postgres_database());
    let (nats, database) = (nats.unwrap(), database.unwrap());
    let admin = Bus::connect(&Connect::new(nats.url(), User::Admin, None)).await.unwrap();
    bus::ensure(&admin, &bus::Settings::default()).await.unwrap();
    let passwords = [Role::Gateway, Role::Ledger].map(|role| (role, format!("{role}-password")));
    migrate(&database.url, &passwords).await.unwrap();
    let stores = passwords.map(|(role, password)| Options::new(role_url(&database.url, role, &password).unwrap(), role));
    let [gateway, ledger] = &stores;
    let (store, ledger) = (Store::connect(gateway).await.unwrap(), Store::connect(ledger).await.unwrap());
    let connect = Connect { ack_within: ACK_WITHIN, ..Connect::new(nats.url(), User::Role(Role::Gateway), None) };
    let bus = Bus::connect(&connect).await.unwrap();
    let life = Lifecycle::default();
    let (intake, worker) = bus.intake();
    life.spawn_work(worker.run());
    let slack = SlackFake::start(SlackOptions::default()).await.unwrap();
    let tenants = Tenants::new(edges(&slack.hooks_url())).unwrap();
    let agent = Gateway { ballots: BallotKeeper { directories: tenants.directories(), key: key() } };
    let agents = Agents::start(&store, &bus, ways()).await.unwrap();
    let context = Context {
        role: Role::Gateway,
        bus,
        store: store.clone(),
        life: life.clone(),
        lease: Duration::from_secs(5),
        audit_every: Duration::from_mins(1),
    };
    let ballots = runtime::start(context, agent, Tell::new(agents.clone()));
    let replies = Replies::new(life.clone()).unwrap();
    let parts = Parts { tenants, intake, ballots: ballots.clone(), store: store.clone(), replies, agents };
    let router = gateway::routers(parts, &[]).unwrap().edge;
    Bed { router, nats, ledger, slack, ballots, store, life, database }
}

fn ways() -> Ways {
    Ways::new(&"https://paramedic.example".parse().unwrap(), &A2aEdge::default()).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.life.stop();
    }
}

impl Bed {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let began = Instant::now();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.unwrap();
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        Answered { status: head.status, headers: head.headers, json, took: began.elapsed() }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answered {
        self.send(call(Method::GET, path, Some(token), &[], "")).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answered {
        self.send(call(Method::POST, path, Some(token), &[("content-type", "application/json")], body.to_string())).await
    }

    /// A plan waits for people from now on.
    pub(crate) async fn ask(&self, request: &ApprovalRequest) {
        let content = Content::ApprovalRequested(Box::new(request.clone()));
        let (tenant, id) = (request.plan.tenant.clone(), format!("requested-{}", request.approval));
        self.ballots.submit(tenant, id, content, tokio::time::Instant::now() + SOON).await.unwrap();
    }

    pub(crate) async fn stream(&self, name: &str) -> Stream {
        let client = async_nats::connect(self.nats.url()).await.unwrap();
        async_nats::jetstream::new(client).get_stream(name).await.unwrap()
    }

    /// Messages on the stream of alerts.
    pub(crate) async fn stored(&self) -> u64 {
        self.stream("ALERTS").await.cached_info().state.messages
    }

    /// Votes that were published for a request.
    pub(crate) async fn votes(&self, approval: &ApprovalId) -> Vec<SignedVote> {
        let stream = self.stream("APPROVALS").await;
        let subject = format!("approval.acme.{approval}.decided");
        let mut votes = vec![];
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            if message.subject.as_str() == subject {
                votes.push(serde_json::from_slice(&message.payload).unwrap());
            }
        }
        votes
    }

    /// Waits for the first vote on a request.
    pub(crate) async fn vote(&self, approval: &ApprovalId) -> SignedVote {
        testkit::eventually("a vote", SOON, async || self.votes(approval).await.pop()).await.unwrap()
    }
}

pub(crate) fn call(
    method: Method,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

/// That an answer is a problem document of this status, with the rules' fields.
#[track_caller]
pub(crate) fn assert_problem(answered: &Answered, status: u16, name: &str, fields: &[&str], case: &str) {
    assert_eq!(answered.status.as_u16(), status, "{case}: {answered:?}");
    assert_eq!(answered.headers["content-type"], "application/problem+json", "{case}");
    assert_eq!(answered.json["type"], format!("urn:paramedic:problem:{name}"), "{case}");
    assert_eq!(answered.json["status"], status, "{case}");
    assert!(answered.json["title"].is_string() && answered.json["detail"].is_string(), "{case}");
    let errors = answered.json["errors"].as_array().cloned().unwrap_or_default();
    let named: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(named, fields, "{case}");
    assert_eq!(answered.headers.contains_key("www-authenticate"), status == 401, "{case}");
    assert_eq!(answered.headers.contains_key("retry-after"), status == 503, "{case}");
}

/// A plan that waits, of which so many people must say yes.
pub(crate) fn request(name: &str, quorum: u8) -> ApprovalRequest {
    let workload = Workload {
        cluster: "default".to_owned(),
        namespace: "shop".to_owned(),
        kind: WorkloadKind::Deployment,
        name: "checkout".to_owned(),
    };
    let now = clock::now();
    let plan = Plan {
        tenant: tenant(),
        incident: format!("inc_{name}").parse().unwrap(),
        task: format!("task_{name}").parse().unwrap(),
        requested_by: None,
        generation: 1,
        runbook: "rollback-bad-deploy".to_owned(),
        target: Target { workload, uid: "0c2b".to_owned(), resource_version: "17".to_owned(), spec_digest: Digest::of(b"spec") },
        action: Action::RollBack { from_revision: 2, to_revision: 1, template: Digest::of(b"shop:v1") },
        undo: Undo::RestoreTemplate { template: Digest::of(b"shop:v2") },
        diff: vec!["- image: shop:v2".to_owned(), "+ image: shop:v1".to_owned()],
        verification: Verification { expressions: BTreeSet::new(), settle_s: 30, deadline_s: 300 },
        risk: "requests in flight are cut".to_owned(),
        proposed_at: now,
        expires_at: now + Duration::from_mins(10),
    };
    let digest = plan.digest().unwrap();
    let needs = Needs { quorum, groups: BTreeSet::from(["on-call".to_owned()]) };
    ApprovalRequest { approval: format!("apr_{name}").parse().unwrap(), plan, digest, needs, trace: None }
}
