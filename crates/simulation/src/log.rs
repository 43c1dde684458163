//! The bus in memory, as JetStream is to its readers: a message stays until it is acknowledged, goes to any replica of its reader, comes
//! again when it was not acknowledged in time, and ends as a dead letter when its reader says so.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::TimeDelta;
use incident::agent::{Content, Message, Outgoing};
use incident::id::TenantId;
use incident::task::Role;

use crate::scene::ms;

/// What is held by a process that went away comes again after this.
pub(crate) const ACK_WAIT: TimeDelta = TimeDelta::seconds(5);
/// Attempts that are as long apart as was asked; after that the wait doubles.
const ATTEMPTS_AS_ASKED: u32 = 5;
/// Longest wait between two attempts.
const WAIT_MAX: TimeDelta = TimeDelta::seconds(10);

/// A message and its reader.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) to: Role,
    pub(crate) message: Rc<Message>,
    pub(crate) attempt: u32,
}

/// A message that could not be handled.
#[derive(Debug, Clone)]
pub(crate) struct Dead {
    pub(crate) tenant: TenantId,
    pub(crate) id: String,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    letters: BTreeMap<u64, Letter>,
    stored: u64,
    pub(crate) dead: Vec<Dead>,
}

impl Log {
    /// Stores a message; durable from here on. Answers with its number.
    pub(crate) fn store(&mut self, to: Role, message: Rc<Message>) -> u64 {
        self.stored += 1;
        self.letters.insert(self.stored, Letter { to, message, attempt: 1 });
        self.stored
    }

    /// The message, if nobody has acknowledged it.
    pub(crate) fn get(&self, number: u64) -> Option<&Letter> {
        self.letters.get(&number)
    }

    pub(crate) fn acknowledge(&mut self, number: u64) {
        self.letters.remove(&number);
    }

    /// Counts another attempt; answers with how long to wait for it, none if it was acknowledged.
    pub(crate) fn again(&mut self, number: u64, asked: TimeDelta) -> Option<TimeDelta> {
        let letter = self.letters.get_mut(&number)?;
        let doublings = letter.attempt.saturating_sub(ATTEMPTS_AS_ASKED).min(8);
        letter.attempt += 1;
        Some(ms(asked.num_milliseconds() << doublings).min(WAIT_MAX.max(asked)))
    }

    pub(crate) fn bury(&mut self, number: u64) {
        if let Some(letter) = self.letters.get(&number) {
            let (tenant, id) = (letter.message.tenant.clone(), letter.message.id.clone());
            self.dead.push(Dead { tenant, id });
        }
    }

    pub(crate) fn has(&self, tenant: &TenantId, id: &str) -> bool {
        self.letters.values().any(|letter| letter.message.id == id && letter.message.tenant == *tenant)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(crate) fn is_dead(&self, tenant: &TenantId, id: &str) -> bool {
        self.dead.iter().any(|dead| dead.id == id && dead.tenant == *tenant)
    }
}

/// An agent's message under its id, and who reads it.
pub(crate) fn letter(outgoing: &Outgoing) -> (Role, Message) {
    let (to, id, tenant, content) = match outgoing.clone() {
        Outgoing::Request(r) => (r.to, format!("request/{}", r.message_id), r.tenant.clone(), Content::Request(r)),
        Outgoing::Cancel(c) => (c.to, format!("cancel/{}", c.message_id), c.tenant.clone(), Content::Cancel(c)),
        Outgoing::Event(e) => (e.to, format!("event/{}.{}", e.task, e.number), e.tenant.clone(), Content::Event(e)),
        Outgoing::ApprovalRequested(r) => {
            (Role::Gateway, format!("requested/{}", r.approval), r.plan.tenant.clone(), Content::ApprovalRequested(r))
        }
        Outgoing::ApprovalClosed(c) => {
            (Role::Gateway, format!("closed/{}", c.approval), c.tenant.clone(), Content::ApprovalClosed(c))
        }
        Outgoing::Voted(v) => {
            let id = format!("decided/{}/{}", v.vote.approval, v.vote.person);
            (Role::Remediation, id, v.vote.tenant.clone(), Content::Voted(v))
        }
        Outgoing::Related(r) => (Role::Monitoring, format!("related/{}", r.message_id), r.tenant.clone(), Content::Related(r)),
        Outgoing::Silences { tenant, silences } => {
            let id = format!("silences/{}", silences.number);
            (Role::Monitoring, id, tenant.clone(), Content::Silences { tenant, silences })
        }
        Outgoing::Alerts(n) => (Role::Monitoring, n.message_id(), n.tenant.clone(), Content::Alerts(*n)),
    };
    (to, Message { id, tenant, trace: None, content })
}
