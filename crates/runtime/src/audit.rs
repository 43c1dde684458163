//! The auditor: proves again and again that nothing of this role is stuck. Whatever is open has a timer, or something is owed for it; what
//! has neither is set going again, and that is told: in the log, in a metric, and by its agent in the incident's record.

use std::sync::Arc;

use chrono::TimeDelta;
use incident::agent::Agent;
use store::AuditPlace;

use crate::core::Core;
use crate::perform::chain;
use crate::{clock, metrics};

/// Open entities looked at in one statement: some milliseconds.
const PAGE: u32 = 1_000;
/// Pages of one audit. With more open entities than these hold, the next audit goes on where this one ended.
const PAGES_MAX: u32 = 20;

/// Audits until the process stops.
pub(crate) async fn run<A: Agent>(core: Arc<Core<A>>) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(core.audit_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut place = AuditPlace::default();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = core.life.stopping() => return Ok(()),
        }
        match audit(&core, place.clone()).await {
            Ok(next) => place = next,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(role = core.role.as_str(), error, "the store could not be audited; trying again");
            }
        }
    }
}

/// Looks at the next pages; answers with where to go on.
async fn audit<A: Agent>(core: &Core<A>, mut place: AuditPlace) -> Result<AuditPlace, store::StoreError> {
    // A step takes moments: what nobody has touched since the audit before is not in the middle of one.
    let idle = TimeDelta::from_std(core.audit_every).unwrap_or(TimeDelta::MAX);
    for _ in 0..PAGES_MAX {
        let audited = core.store.audit(&place, PAGE, idle, clock::now()).await?;
        for (tenant, entity) in audited.set_going {
            let role = core.role.as_str();
            metrics::SET_GOING.with_label_values(&[role]).inc();
            tracing::warn!(role, tenant = tenant.as_str(), entity, "was open and waited for nothing; it is set going again");
        }
        match audited.next {
            Some(next) => place = next,
            None => return Ok(AuditPlace::default()),
        }
    }
    Ok(place)
}
