//! Tenants, people, keys and alerts that days are played with.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use incident::agents::monitoring::Monitoring;
use incident::agents::remediation::{Remediator, Rules as TenantRules};
use incident::alert::{Alert, AlertStatus, Correlation, Labels, Notification};
use incident::approval::{Directory, Policy, PolicyRule};
use incident::evidence::HypothesisKind;
use incident::heartbeat::{self, Heartbeat, Heartbeats};
use incident::id::{PersonId, SilenceId, TenantId, fingerprint};
use incident::matcher::Matcher;
use incident::runbook::{Runbook, RunbookAction, Verify, When};
use incident::silence::{Silence, SilenceOrder, Source};
use incident::storm::StormRules;
use incident::topology::{Service, Topology};

use crate::scenario::{Fires, Place, Rules};

const WATCHDOG: &str = "Watchdog";
const HEARTBEAT: &str = "prometheus";

/// All tenants.
pub(crate) const TENANTS: [&str; 2] = ["acme", "globex"];

/// A moment of virtual time.
pub(crate) type Time = DateTime<Utc>;

/// When every day begins: a Monday morning.
pub(crate) fn beginning() -> Time {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_458) + TimeDelta::hours(8)
}

/// Milliseconds.
pub(crate) fn ms(n: i64) -> TimeDelta {
    TimeDelta::milliseconds(n)
}

/// Seconds.
pub(crate) fn s(n: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(n))
}

#[expect(clippy::expect_used, reason = "names that stand in this file or were checked when the scenario was read")]
pub(crate) fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's name")
}

pub(crate) fn tenants() -> impl Iterator<Item = TenantId> {
    TENANTS.into_iter().map(tenant)
}

/// The gateway's key.
pub(crate) fn gateway_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// A key that somebody else made.
pub(crate) fn other_key() -> SigningKey {
    SigningKey::from_bytes(&[8; 32])
}

pub(crate) fn directory() -> Directory {
    let people = [("ana", "sre"), ("ben", "sre"), ("eve", "sales")];
    people.into_iter().filter_map(|(person, group)| Some((person.parse().ok()?, [group.to_owned()].into()))).collect()
}

pub(crate) fn policy(rules: &Rules) -> Policy {
    let Rules { approvers, expires_s, remind_s, .. } = *rules;
    Policy(vec![PolicyRule { namespaces: vec![], approvers, groups: ["sre".to_owned()].into(), expires_s, remind_s }])
}

pub(crate) fn monitoring(rules: &Rules) -> Monitoring {
    Monitoring {
        tenants: tenants().map(|tenant| (tenant, rules.lifecycle)).collect(),
        heartbeats: heartbeats(rules),
        topologies: topologies(rules),
        ..Monitoring::default()
    }
}

pub(crate) fn remediator(rules: &Rules) -> Remediator {
    let runbook = Runbook {
        name: "rollback".to_owned(),
        title: "Roll back".to_owned(),
        when: When { hypothesis: HypothesisKind::BadDeploy, confidence_percent_min: 50, alerts: vec![] },
        action: RunbookAction::RollBackToPreviousRevision,
        verify: Verify { settle_s: rules.settle_s, deadline_s: rules.deadline_s },
        risk: "Requests in flight may fail.".to_owned(),
    };
    let of_each = || TenantRules { policy: policy(rules), directory: directory() };
    let tenants: BTreeMap<TenantId, TenantRules> = tenants().map(|tenant| (tenant, of_each())).collect();
    Remediator { runbooks: vec![runbook], tenants, gateway_key: gateway_key().verifying_key() }
}

/// Alerts as Alertmanager sends them in one call.
pub(crate) fn alerts(fires: &Fires, (starts_at, ends_at): (Time, Option<Time>)) -> Vec<Alert> {
    let service = &fires.workload.name;
    let alert = |n: u32| {
        let usual = [
            ("alertname", fires.alert.clone()),
            ("namespace", "shop".to_owned()),
            ("service", service.clone()),
            ("severity", "critical".to_owned()),
            ("instance", n.to_string()),
        ];
        let labels: Labels =
            usual.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(fires.labels.clone()).collect();
        let names: Vec<&str> = labels.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
        Alert {
            fingerprint: fingerprint(&names).chars().take(16).collect(),
            status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
            labels,
            annotations: Labels::new(),
            starts_at,
            ends_at,
            expression: Some(format!("errors:ratio{{service=\"{service}\"}} > 0.1")),
        }
    };
    (0..fires.count).map(alert).collect()
}

/// When too much happens at once, for every tenant.
pub(crate) fn storms(rules: &Rules) -> BTreeMap<TenantId, StormRules> {
    let of_each = StormRules { opened: rules.storm_opened, within_s: 60, calm_s: 60 };
    tenants().map(|tenant| (tenant, of_each)).collect()
}

/// What a person orders who silences a workload.
pub(crate) fn silence(workload: &Place, (starts_at, ends_at): (Time, Time)) -> (TenantId, SilenceOrder) {
    let tenant = tenant(&workload.tenant);
    let silence = Silence {
        id: SilenceId::derive(&[&workload.tenant, &workload.name, &starts_at.to_string()]),
        owner: ana(),
        reason: "known".to_owned(),
        matchers: vec![Matcher::equal("service", &workload.name)],
        starts_at,
        ends_at,
        source: Source::Paramedic,
    };
    (tenant, SilenceOrder::Put(vec![silence]))
}

#[expect(clippy::expect_used, reason = "a name that stands here")]
fn ana() -> PersonId {
    "ana".parse().expect("a person's name")
}

/// What depends on what, for every tenant.
fn topologies(rules: &Rules) -> BTreeMap<TenantId, Arc<Topology>> {
    if !rules.topology {
        return BTreeMap::new();
    }
    let on = |names: &[&str]| Service { depends_on: names.iter().map(|&name| name.to_owned()).collect() };
    let services = [("web", on(&["checkout"])), ("checkout", on(&["payments"])), ("payments", on(&[]))];
    let services = services.into_iter().map(|(name, service)| (name.to_owned(), service)).collect();
    let topology = Arc::new(Topology { window_s: 600, services });
    tenants().map(|tenant| (tenant, topology.clone())).collect()
}

/// What every tenant's monitoring listens for.
pub(crate) fn heartbeats(rules: &Rules) -> BTreeMap<TenantId, Heartbeats> {
    if rules.heartbeat_s == 0 {
        return BTreeMap::new();
    }
    let heartbeat = Heartbeat { matchers: vec![Matcher::equal("alertname", WATCHDOG)], silent_after_s: rules.heartbeat_s };
    let named = || HEARTBEAT.parse().into_iter().map(|name| (name, heartbeat.clone())).collect();
    tenants().map(|tenant| (tenant, named())).collect()
}

/// What the gateway makes of heartbeats at this moment.
pub(crate) fn beats(rules: &Rules, now: Time) -> Vec<Notification> {
    let watchdog = Alert {
        fingerprint: fingerprint(&[WATCHDOG]).chars().take(16).collect(),
        status: AlertStatus::Firing,
        labels: [("alertname".to_owned(), WATCHDOG.to_owned())].into(),
        annotations: Labels::new(),
        starts_at: beginning(),
        ends_at: None,
        expression: None,
    };
    let of =
        |(tenant, heartbeats): (TenantId, Heartbeats)| heartbeat::take(&heartbeats, &tenant, &mut vec![watchdog.clone()], now);
    heartbeats(rules).into_iter().flat_map(of).collect()
}

/// What the gateway makes of one call of Alertmanager.
pub(crate) fn notifications(fires: &Fires, alerts: Vec<Alert>) -> Vec<Notification> {
    let Fires { workload, alert, .. } = fires;
    let group = format!("{{}}:{{alertname=\"{alert}\", service=\"{}\"}}", workload.name);
    Notification::split(&tenant(&workload.tenant), &group, alerts, 0, &Correlation::default())
}
