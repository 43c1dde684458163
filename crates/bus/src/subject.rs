//! Subjects: what is said where. Nothing else builds or takes apart a subject.

use std::fmt;
use std::str::FromStr;

use incident::id::{ApprovalId, IncidentId, TenantId, fingerprint};
use incident::task::Role;

/// Alerts of one tenant are spread over this many subjects, so that one correlation key keeps its order and many keys need not wait
/// for each other. Fixed: changing it would move keys while older alerts of theirs are under way.
pub const SHARDS: u8 = 16;

/// A place on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `alerts.<tenant>.<shard>`: notifications as they came in.
    Alerts {
        /// Whose.
        tenant: TenantId,
        /// From [`shard_of`].
        shard: u8,
    },
    /// `alerts.<tenant>.silences`: what people want to hear nothing of.
    Silences {
        /// Whose.
        tenant: TenantId,
    },
    /// `alerts.<tenant>.orders`: what people want of incidents.
    Orders {
        /// Whose.
        tenant: TenantId,
    },
    /// `alerts.<tenant>.related`: what incidents have to do with each other, by monitoring for itself.
    Related {
        /// Whose.
        tenant: TenantId,
    },
    /// `a2a.<tenant>.<agent>.request`: operations asked of an agent.
    Request {
        /// Whose.
        tenant: TenantId,
        /// Who is asked.
        agent: Role,
    },
    /// `a2a.<tenant>.<caller>.event`: how tasks stand, told to who asked for them.
    Event {
        /// Whose.
        tenant: TenantId,
        /// Who asked.
        caller: Role,
    },
    /// `a2a.<tenant>.monitoring.announced`: what communication announced while nobody could handle it.
    Announced {
        /// Whose.
        tenant: TenantId,
    },
    /// `approval.<tenant>.<id>.requested`: a plan waits for people.
    ApprovalRequested {
        /// Whose.
        tenant: TenantId,
        /// Which request.
        approval: ApprovalId,
    },
    /// `approval.<tenant>.<id>.closed`: a plan no longer waits.
    ApprovalClosed {
        /// Whose.
        tenant: TenantId,
        /// Which request.
        approval: ApprovalId,
    },
    /// `approval.<tenant>.<id>.decided`: signed votes; only the gateway may say this.
    ApprovalDecided {
        /// Whose.
        tenant: TenantId,
        /// Which request.
        approval: ApprovalId,
    },
    /// `fact.<tenant>.<incident>.<kind>`: what happened.
    Fact {
        /// Whose.
        tenant: TenantId,
        /// In which incident.
        incident: IncidentId,
        /// Of what kind; one token.
        kind: String,
    },
}

/// A text that is no subject of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject:?} is not a subject of Paramedic: {reason}")]
pub struct BadSubject {
    subject: String,
    reason: String,
}

/// The shard of a correlation key: the same on every machine and in every version.
pub fn shard_of(key: &str) -> u8 {
    let digest = fingerprint(&[key]);
    let first = digest.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or_default();
    u8::try_from(first).unwrap_or_default() % SHARDS
}

/// Where a role's dead letters go: `dead.<role>`.
pub fn dead(role: Role) -> String {
    format!("dead.{role}")
}

impl Subject {
    /// Whose.
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::Alerts { tenant, .. }
            | Self::Silences { tenant }
            | Self::Orders { tenant }
            | Self::Related { tenant }
            | Self::Request { tenant, .. }
            | Self::Event { tenant, .. }
            | Self::Announced { tenant }
            | Self::ApprovalRequested { tenant, .. }
            | Self::ApprovalClosed { tenant, .. }
            | Self::ApprovalDecided { tenant, .. }
            | Self::Fact { tenant, .. } => tenant,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orders { tenant } => write!(f, "alerts.{tenant}.orders"),
            Self::Related { tenant } => write!(f, "alerts.{tenant}.related"),
            Self::Silences { tenant } => write!(f, "alerts.{tenant}.silences"),
            Self::Alerts { tenant, shard } => write!(f, "alerts.{tenant}.{shard}"),
            Self::Request { tenant, agent } => write!(f, "a2a.{tenant}.{agent}.request"),
            Self::Event { tenant, caller } => write!(f, "a2a.{tenant}.{caller}.event"),
            Self::Announced { tenant } => write!(f, "a2a.{tenant}.monitoring.announced"),
            Self::ApprovalRequested { tenant, approval } => write!(f, "approval.{tenant}.{approval}.requested"),
            Self::ApprovalClosed { tenant, approval } => write!(f, "approval.{tenant}.{approval}.closed"),
            Self::ApprovalDecided { tenant, approval } => write!(f, "approval.{tenant}.{approval}.decided"),
            Self::Fact { tenant, incident, kind } => write!(f, "fact.{tenant}.{incident}.{kind}"),
        }
    }
}

impl FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        parse(text).map_err(|reason| BadSubject { subject: text.chars().take(256).collect(), reason })
    }
}

fn parse(text: &str) -> Result<Subject, String> {
    let tokens: Vec<&str> = text.split('.').collect();
    match *tokens.as_slice() {
        ["alerts", tenant, "orders"] => Ok(Subject::Orders { tenant: id(tenant)? }),
        ["alerts", tenant, "related"] => Ok(Subject::Related { tenant: id(tenant)? }),
        ["alerts", tenant, "silences"] => Ok(Subject::Silences { tenant: id(tenant)? }),
        ["alerts", tenant, shard] => {
            let shard = shard.parse().ok().filter(|shard| *shard < SHARDS);
            let shard = shard.ok_or_else(|| format!("the shard must be 0 to {}", SHARDS - 1))?;
            Ok(Subject::Alerts { tenant: id(tenant)?, shard })
        }
        ["a2a", tenant, agent, "request"] => Ok(Subject::Request { tenant: id(tenant)?, agent: agent.parse()? }),
        ["a2a", tenant, caller, "event"] => Ok(Subject::Event { tenant: id(tenant)?, caller: caller.parse()? }),
        ["a2a", tenant, "monitoring", "announced"] => Ok(Subject::Announced { tenant: id(tenant)? }),
        ["approval", tenant, approval, "requested"] => {
            Ok(Subject::ApprovalRequested { tenant: id(tenant)?, approval: id(approval)? })
        }
        ["approval", tenant, approval, "closed"] => Ok(Subject::ApprovalClosed { tenant: id(tenant)?, approval: id(approval)? }),
        ["approval", tenant, approval, "decided"] => {
            Ok(Subject::ApprovalDecided { tenant: id(tenant)?, approval: id(approval)? })
        }
        ["fact", tenant, incident, kind] if is_token(kind) => {
            Ok(Subject::Fact { tenant: id(tenant)?, incident: id(incident)?, kind: kind.to_owned() })
        }
        _ => Err("it has none of the known shapes".to_owned()),
    }
}

fn id<T: FromStr<Err = incident::id::BadId>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: incident::id::BadId| error.to_string())
}

/// A token that is a plain name: no wildcard, no blank.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_reads_back_as_itself() {
        let all = [
            "alerts.acme.0",
            "alerts.acme.15",
            "alerts.acme.orders",
            "alerts.acme.related",
            "alerts.acme.silences",
            "a2a.acme.diagnostics.request",
            "a2a.acme.monitoring.event",
            "a2a.acme.monitoring.announced",
            "approval.acme.apr_1.requested",
            "approval.acme.apr_1.closed",
            "approval.acme.apr_1.decided",
            "fact.acme.inc_1.alert_attached",
        ];
        for text in all {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(subject.to_string(), text);
            assert_eq!(subject.tenant().as_str(), "acme");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_with_its_reason() {
        let table = [
            ("alerts.acme.16", "the shard must be 0 to 15"),
            ("alerts.a b.1", "tenant"),
            ("a2a.acme.janitor.request", "unknown role"),
            ("approval.acme.*.decided", "approval id"),
            ("fact.acme.inc_1.>", "known shapes"),
            ("dead.gateway", "known shapes"),
            ("", "known shapes"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn shards_are_stable_and_all_used() {
        assert_eq!(shard_of("cluster=a,namespace=shop"), shard_of("cluster=a,namespace=shop"));
        let used: std::collections::BTreeSet<u8> = (0..500).map(|n| shard_of(&format!("key {n}"))).collect();
        assert_eq!(used, (0..SHARDS).collect());
        // A literal: if this moves, keys under way would be split over two shards by an upgrade.
        assert_eq!(shard_of("cluster=prod,namespace=shop,deployment=cart"), 9);
    }
}
