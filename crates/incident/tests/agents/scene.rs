//! People, alerts, evidence and rules that the tests play with.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use incident::agents::remediation::{Remediator, Rules};
use incident::alert::{Alert, AlertStatus, Correlation, Labels, Notification};
use incident::approval::{Directory, Policy, PolicyRule};
use incident::evidence::{Evidence, ExpressionChange, FieldChange, Finding, HypothesisKind, PodsState, RevisionChange, Source};
use incident::id::TenantId;
use incident::runbook::{Runbook, RunbookAction, Verify, When};
use incident::workload::{Workload, WorkloadKind};

pub(crate) fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(s, 0).unwrap()
}

pub(crate) fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

pub(crate) fn workload() -> Workload {
    let (cluster, namespace, name) = ("default".to_owned(), "shop".to_owned(), "checkout".to_owned());
    Workload { cluster, namespace, kind: WorkloadKind::Deployment, name }
}

pub(crate) fn labels() -> Labels {
    let pairs = [("alertname", "HighErrorRatio"), ("namespace", "shop"), ("service", "checkout"), ("severity", "critical")];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

pub(crate) fn alert(status: AlertStatus, start_s: i64) -> Alert {
    Alert {
        fingerprint: "f1".to_owned(),
        status,
        labels: labels(),
        annotations: Labels::new(),
        starts_at: at(start_s),
        ends_at: (status == AlertStatus::Resolved).then(|| at(start_s + 60)),
        expression: Some("errors / requests > 0.1".to_owned()),
    }
}

pub(crate) fn notification(status: AlertStatus, start_s: i64) -> Notification {
    Notification::split(&tenant(), "{}:{}", vec![alert(status, start_s)], 0, &Correlation::default()).remove(0)
}

pub(crate) fn directory() -> Directory {
    let group = |name: &str| [name.to_owned()].into();
    [("ana", "sre"), ("ben", "sre"), ("eve", "sales")].into_iter().map(|(p, g)| (p.parse().unwrap(), group(g))).collect()
}

pub(crate) fn remediator(key: &SigningKey) -> Remediator {
    let rule = PolicyRule { namespaces: vec![], approvers: 1, groups: ["sre".to_owned()].into(), expires_s: 300, remind_s: 100 };
    let rules = Rules { policy: Policy(vec![rule]), directory: directory() };
    let runbook = Runbook {
        name: "rollback".to_owned(),
        title: "Roll back".to_owned(),
        when: When { hypothesis: HypothesisKind::BadDeploy, confidence_percent_min: 50, alerts: vec![] },
        action: RunbookAction::RollBackToPreviousRevision,
        verify: Verify { settle_s: 3, deadline_s: 20 },
        risk: "some".to_owned(),
    };
    Remediator { runbooks: vec![runbook], tenants: BTreeMap::from([(tenant(), rules)]), gateway_key: key.verifying_key() }
}

/// Revision `bad` came, and everything went wrong.
pub(crate) fn bad_deploy(bad: u64) -> Vec<Evidence> {
    let evidence = |n: u32, source, finding| Evidence {
        id: format!("e{n}"),
        source,
        query: "q".to_owned(),
        from: at(0),
        to: at(1_000),
        finding,
    };
    let change = RevisionChange {
        workload: workload(),
        from_revision: Some(bad - 1),
        from_ran_s: None,
        passed_over: vec![],
        to_revision: bad,
        changed_at: at(900),
        changes: vec![FieldChange {
            path: "containers[web].image".to_owned(),
            from: Some("shop:v1".to_owned()),
            to: Some("shop:v2".to_owned()),
        }],
        restores: None,
    };
    let pods = PodsState { revision: bad, pods: 3, ready: 0, restarts: 9, reasons: vec!["CrashLoopBackOff".to_owned()] };
    let expression = ExpressionChange {
        expression: "errors / requests".to_owned(),
        before: Some(0.0),
        now: Some(0.4),
        changed_at: Some(at(910)),
    };
    vec![
        evidence(1, Source::Kubernetes, Finding::Revision(change)),
        evidence(2, Source::Kubernetes, Finding::Pods(pods)),
        evidence(3, Source::Prometheus, Finding::Expression(expression)),
    ]
}
