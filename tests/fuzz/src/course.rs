//! What the agents make of what was taken: no input may be taken that they cannot bear. Each hears of it, is stored as JSON and loaded
//! again, hears of it once more, and then its timers run out.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use ed25519_dalek::VerifyingKey;
use incident::agent::{Agent, Content, Entity, Event};
use incident::agents::communication::Communicator;
use incident::agents::diagnostics::Diagnostician;
use incident::agents::ledger::Ledger;
use incident::agents::monitoring::Monitoring;
use incident::agents::remediation::{Remediator, Rules};
use incident::approval::{Policy, PolicyRule};
use incident::fact::Fact;
use incident::record::{Head, Record};
use serde::de::DeserializeOwned;

use crate::fixture::{ACME, RUNBOOK, now};
use crate::twice;

static REMEDIATOR: LazyLock<Remediator> = LazyLock::new(|| {
    let groups = ["sre".to_owned()].into();
    let rule = PolicyRule { namespaces: vec![], approvers: 1, groups, expires_s: 1_800, remind_s: 600 };
    let rules = Rules { policy: Policy(vec![rule]), ..Rules::default() };
    Remediator { runbooks: vec![RUNBOOK.clone()], tenants: [(ACME.clone(), rules)].into(), gateway_key: VerifyingKey::default() }
});
static COMMUNICATOR: LazyLock<Communicator> =
    LazyLock::new(|| Communicator { chat: [ACME.clone()].into(), ticket: [ACME.clone()].into(), ..Communicator::default() });
static MONITORING: LazyLock<Monitoring> = LazyLock::new(Monitoring::default);

/// Everybody whose business it is hears of it.
pub(crate) fn heard(content: &Content) {
    hears(&*MONITORING, content);
    hears(&Diagnostician, content);
    hears(&*COMMUNICATOR, content);
    hears(&*REMEDIATOR, content);
    hears(&Ledger, content);
    if let Content::Fact(fact) = content {
        chained(fact);
    }
}

fn hears<A: Agent>(agent: &A, content: &Content) {
    if agent.locate(content).is_err() {
        return;
    }
    let first = agent.decide(None, Event::Message(content.clone()), now());
    for effect in &first.effects {
        twice::json(&effect.body);
    }
    let Some(entity) = first.next else { return };
    let entity = stored(entity);
    let _again = agent.decide(Some(entity.clone()), Event::Message(content.clone()), now());
    for timer in first.timers {
        let at: DateTime<Utc> = timer.at.unwrap_or_else(now);
        let late = agent.decide(Some(entity.clone()), Event::Timer(timer.name), at);
        let _stored = late.next.map(stored);
    }
}

fn stored<S: serde::Serialize + DeserializeOwned>(entity: Entity<S>) -> Entity<S> {
    Entity { state: twice::json(&entity.state), ..entity }
}

/// The record of a fact is still whole when it is read again.
fn chained(fact: &Fact) {
    let Ok(record) = Head::default().append(fact.clone()) else { return };
    let again: Record = twice::json(&record);
    assert_eq!(Head::default().follow(&again), Ok(()), "what was recorded looks like a forgery: {record:?}");
}
