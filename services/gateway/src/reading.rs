//! Bodies from outside, read as the HTTP doors read them, but without a server: for whoever tries the readers with anything at all.
//!
//! It must hold no rule of its own: what is refused here is refused at the door, and the other way round.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use incident::alert::Notification;

pub use crate::slack::{Click, Interaction};

use crate::problem::Problem;
use crate::slack::signature;
use crate::tenants::{Tenant, Tenants};
use crate::{alertmanager, slack};

/// A body that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status that its caller gets.
    pub status: u16,
    /// Why, for the caller.
    pub detail: String,
    /// How many broken rules are named.
    pub rules: usize,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status(), detail: problem.detail().to_owned(), rules: problem.errors.len() }
    }
}

/// A notification, and its body for the bus.
pub type Published = (Notification, Vec<u8>);

/// What `POST /v1/alertmanager/{tenant}` makes of a body that came `now`: notifications, each with its body for the bus. None: there is no
/// such tenant.
pub fn webhook(tenants: &Tenants, tenant: &str, body: &[u8], now: DateTime<Utc>) -> Option<Result<Vec<Published>, Refused>> {
    let written = alertmanager::read(tenants.named(tenant)?.sorting(), body, now);
    Some(written.map(|all| all.into_iter().map(|one| (one.notification, one.body)).collect()).map_err(Refused::from))
}

/// Whether `POST /v1/slack/{tenant}/interactions` would take headers and body, come `now`, for genuine. None: the tenant has no Slack.
pub fn is_signed(tenants: &Tenants, tenant: &str, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Option<bool> {
    let secret = tenants.named(tenant)?.slack.as_ref()?.signing_secret.reveal();
    Some(signature::claim(headers, now).and_then(|claim| claim.verify(secret, body)).is_ok())
}

/// What it makes of a body that is genuine. None: the tenant has no Slack.
pub fn click(tenants: &Tenants, tenant: &str, body: &[u8]) -> Option<Result<Click, Refused>> {
    let tenant: &Tenant = tenants.named(tenant)?;
    Some(slack::read(tenant, tenant.slack.as_ref()?, body).map_err(Refused::from))
}
