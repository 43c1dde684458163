//! The tenant, its people and the moment that all inputs are read for.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use gateway::{Person, SlackEdge, TenantEdge, Tenants};
use incident::alert::Correlation;
use incident::heartbeat::Heartbeat;
use incident::id::TenantId;
use incident::matcher::Matcher;
use incident::runbook::Runbook;
use runtime::secret::Secret;

/// The tenant's name.
pub(crate) const TENANT: &str = "acme";
/// Where Slack's answers go, and nothing else may.
pub(crate) const REPLIES: &str = "https://hooks.slack.com";
/// 2026-11-23 05:00 UTC, in seconds: the moment at which everything arrives.
const NOW_S: i64 = 1_795_410_000;

/// The moment at which everything arrives.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW_S, 0).unwrap_or_default()
}

/// The tenant.
pub(crate) static ACME: LazyLock<TenantId> = LazyLock::new(|| good(TENANT.parse()));

/// The tenant as the gateway has it: with a heartbeat, a person, and a Slack app of any id.
pub(crate) static TENANTS: LazyLock<Tenants> = LazyLock::new(|| {
    let heartbeat = Heartbeat { matchers: vec![Matcher::equal("alertname", "Watchdog")], silent_after_s: 300 };
    let slack = SlackEdge {
        signing_secret: Secret::new("8f742231b10e8888abcd99yyyzzz85a5"),
        app_id: None,
        team_id: Some("T111".to_owned()),
        replies_url: good(REPLIES.parse()),
    };
    let edge = TenantEdge {
        webhook_token: Secret::new("hook"),
        correlation: Correlation::default(),
        heartbeats: [(good("am".parse()), heartbeat)].into(),
        silences: None,
        slack: Some(slack),
        people: vec![Person {
            id: good("ann".parse()),
            groups: ["sre".to_owned()].into(),
            slack_user: Some("W111".to_owned()),
            token_sha256: None,
        }],
        a2a_clients: vec![],
    };
    good(Tenants::new([(ACME.clone(), edge)].into()))
});

/// The runbook that comes with Paramedic.
pub(crate) static RUNBOOK: LazyLock<Runbook> = LazyLock::new(|| {
    let text = include_str!("../../../runbooks/rollback-bad-deploy.yaml");
    good(cli::texts::runbook("rollback-bad-deploy.yaml", text))
});

fn good<T, E: std::fmt::Display>(constant: Result<T, E>) -> T {
    constant.unwrap_or_else(|error| panic!("the fixture is wrong: {error:#}"))
}
