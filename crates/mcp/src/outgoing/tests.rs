//! The policy against a real server that answers from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use reqwest::Method;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::Instant;
use url::Url;

use super::{Answer, Ask, LaneKey, Outgoing, Policy, Safety, Tier, Verdict, retry_after};
use crate::{FaultKind, ToolFault};

const SECRET: &str = "xoxb-very-secret";

/// What the provider does next.
#[derive(Clone, Copy)]
enum Step {
    Ok,
    Status(u16),
    Limit(&'static str),
    Hang,
    QuoteSecret,
}

#[derive(Clone)]
struct Provider {
    script: Arc<Mutex<VecDeque<Step>>>,
    seen: Arc<Mutex<Vec<Instant>>>,
    url: Url,
}

impl Provider {
    async fn start(script: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}/x", listener.local_addr().expect("address"));
        let provider = Self {
            script: Arc::new(Mutex::new(script.iter().copied().collect())),
            seen: Arc::default(),
            url: url.parse().expect("url"),
        };
        let answering = provider.clone();
        let app = axum::Router::new().fallback(move || answering.clone().answer());
        tokio::spawn(async move { axum::serve(listener, app).await });
        provider
    }

    async fn answer(self) -> Response {
        self.seen.lock().expect("lock").push(Instant::now());
        let step = self.script.lock().expect("lock").pop_front().unwrap_or(Step::Ok);
        match step {
            Step::Ok => "fine".into_response(),
            Step::Status(status) => StatusCode::from_u16(status).expect("status").into_response(),
            Step::Limit(after) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", after)]).into_response(),
            Step::Hang => std::future::pending().await,
            Step::QuoteSecret => (StatusCode::BAD_REQUEST, SECRET).into_response(),
        }
    }

    fn requests(&self) -> usize {
        self.seen.lock().expect("lock").len()
    }

    fn outgoing(&self, policy: Policy) -> Outgoing {
        Outgoing::new("fixture", &self.url, policy, vec![SecretString::from(SECRET)]).expect("client")
    }
}

fn judge(answer: &Answer) -> Verdict {
    match answer.status {
        200 => Verdict::Done,
        429 => Verdict::Limited { after: retry_after(&answer.headers), lane: 0, code: "http_429".to_owned() },
        500.. => Verdict::Broken { code: format!("http_{}", answer.status) },
        other => {
            let said = String::from_utf8_lossy(&answer.body);
            let hint = format!("said: {said}");
            Verdict::Refused(ToolFault::new(FaultKind::Invalid, format!("http_{other}"), hint))
        }
    }
}

fn ask(outgoing: &Outgoing, url: &Url, safety: Safety, within_ms: u64) -> Ask {
    Ask {
        request: outgoing.request(Method::POST, url.clone()).body("x").build().expect("request"),
        lanes: vec![(LaneKey::route("x"), Tier::new(60_000, 1_000))],
        safety,
        deadline: Instant::now() + Duration::from_millis(within_ms),
        judge,
    }
}

/// Runs one call against `script` and returns its result and how many requests it took.
async fn run(script: &[Step], safety: Safety, within_ms: u64) -> (Result<(), ToolFault>, usize) {
    let provider = Provider::start(script).await;
    let outgoing = provider.outgoing(Policy { request_ms: 1_000, ..Policy::default() });
    let result = outgoing.ask(&ask(&outgoing, &provider.url, safety, within_ms)).await;
    (result.map(drop), provider.requests())
}

#[tokio::test]
async fn a_repeatable_request_is_repeated_after_an_unclear_failure() {
    let (result, requests) = run(&[Step::Status(500), Step::Hang, Step::Ok], Safety::Repeatable, 5_000).await;
    assert_eq!((result, requests), (Ok(()), 3));
}

#[tokio::test]
async fn a_once_request_is_never_repeated_after_an_unclear_failure() {
    for step in [Step::Status(500), Step::Hang] {
        let (result, requests) = run(&[step, Step::Ok], Safety::Once, 5_000).await;
        let fault = result.expect_err("unclear");
        assert_eq!((fault.kind, fault.outcome_unknown), (FaultKind::Unavailable, true));
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn a_limit_is_waited_out_even_for_a_once_request() {
    let (result, requests) = run(&[Step::Limit("1"), Step::Ok], Safety::Once, 5_000).await;
    assert_eq!((result, requests), (Ok(()), 2));
}

#[tokio::test]
async fn a_limit_beyond_the_deadline_is_answered_at_once_with_a_time() {
    let (result, requests) = run(&[Step::Limit("30")], Safety::Once, 2_000).await;
    let fault = result.expect_err("limited");
    assert_eq!(fault.kind, FaultKind::RateLimited);
    assert!(fault.retry_at.is_some() && fault.retryable && !fault.outcome_unknown);
    // Waited out, it would have ended as a deadline that passed, not as a limit.
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn retry_after_zero_is_no_loop() {
    let provider = Provider::start(&[Step::Limit("0"); 50]).await;
    let outgoing = provider.outgoing(Policy::default());
    let fault = outgoing.ask(&ask(&outgoing, &provider.url, Safety::Repeatable, 60_000)).await.expect_err("limited for ever");
    assert_eq!(fault.kind, FaultKind::RateLimited);
    let seen = provider.seen.lock().expect("lock").clone();
    assert_eq!(seen.len(), 4, "bounded tries");
    for pair in seen.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_millis(240), "{:?}", pair[1] - pair[0]);
    }
}

#[tokio::test]
async fn the_breaker_opens_on_failures_and_not_on_limits() {
    let script = [Step::Limit("0"), Step::Limit("0"), Step::Status(503), Step::Status(503)];
    let provider = Provider::start(&script).await;
    let policy = Policy { breaker_failures: 2, breaker_pause_ms: 1_500, retry_after_max_ms: 1, ..Policy::default() };
    let outgoing = provider.outgoing(policy);
    for _ in 0..2 {
        let fault = outgoing.ask(&ask(&outgoing, &provider.url, Safety::Once, 2_000)).await.expect_err("the provider is down");
        assert_eq!(fault.provider_code, "http_503");
    }
    let sent = provider.requests();
    assert_eq!(sent, 4, "both limits were retried");
    let refused = outgoing.ask(&ask(&outgoing, &provider.url, Safety::Once, 2_000)).await;
    let refused = refused.expect_err("open");
    assert_eq!(refused.provider_code, "breaker_open");
    assert!(!refused.outcome_unknown && refused.retry_at.is_some());
    assert_eq!(provider.requests(), sent, "nothing was sent");

    let deadline = Instant::now() + Duration::from_secs(10);
    let mut again = tokio::time::interval(Duration::from_millis(20));
    while outgoing.ask(&ask(&outgoing, &provider.url, Safety::Once, 2_000)).await.is_err() {
        assert!(Instant::now() < deadline, "the probe never got through");
        again.tick().await;
    }
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url: Url = format!("http://{}/", listener.local_addr().expect("address")).parse().expect("url");
    drop(listener);
    let outgoing = Outgoing::new("fixture", &url, Policy::default(), vec![]).expect("client");
    let fault = outgoing.ask(&ask(&outgoing, &url, Safety::Once, 3_000)).await.expect_err("refused");
    assert_eq!(fault.provider_code, "connect");
    assert!(!fault.outcome_unknown && fault.retryable);
}

#[tokio::test]
async fn a_quoted_secret_does_not_travel_on() {
    let (result, _) = run(&[Step::QuoteSecret], Safety::Once, 2_000).await;
    let fault = result.expect_err("refused");
    assert_eq!(fault.hint, "said: [secret]");
}
