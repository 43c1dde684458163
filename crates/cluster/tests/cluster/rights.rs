//! The verbs in the crate's documentation are enough, and none of them is too much.

use anyhow::{Context, Result};
use chrono::TimeDelta;
use cluster::kubernetes::{DraftFault, Fault, Kubernetes, KubernetesConfig};
use incident::evidence::Finding;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::stage::{Stage, now};

/// `(API group, resource, verbs)`, as in the documentation of the crate.
type Rules = &'static [(&'static str, &'static str, &'static [&'static str])];

const DIAGNOSTICS: Rules =
    &[("apps", "deployments", &["get"]), ("apps", "replicasets", &["list"]), ("", "pods", &["list"]), ("", "events", &["list"])];
const REMEDIATION: Rules = &[("apps", "deployments", &["get", "patch"]), ("apps", "replicasets", &["list"])];

impl Stage {
    /// The crate, as a ServiceAccount that has just these rights.
    async fn with_rights(&self, name: &str, rules: Rules) -> Result<Kubernetes> {
        let (namespace, client) = (&self.workload.namespace, &self.cluster.client);
        let rules: Vec<Value> = rules.iter().map(|(g, r, v)| json!({"apiGroups": [g], "resources": [r], "verbs": v})).collect();
        let role: Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
        Api::<Role>::namespaced(client.clone(), namespace).create(&PostParams::default(), &role).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }))?;
        Api::<RoleBinding>::namespaced(client.clone(), namespace).create(&PostParams::default(), &binding).await?;

        let mut kubeconfig = Kubeconfig::read_from(&self.cluster.kubeconfig)?;
        let user = kubeconfig.auth_infos.first_mut().and_then(|named| named.auth_info.as_mut()).context("no user")?;
        user.impersonate = Some(format!("system:serviceaccount:{namespace}:{name}"));
        let folder = testkit::Folder::new()?;
        let path = folder.join("kubeconfig");
        // JSON is YAML.
        std::fs::write(&path, serde_json::to_vec(&kubeconfig)?)?;
        let config = KubernetesConfig { cluster: "default".to_owned(), kubeconfig: Some(path), context: None };
        Ok(Kubernetes::connect(&config).await?)
    }
}

#[tokio::test]
async fn diagnostics_sees_everything_and_changes_nothing() -> Result<()> {
    let stage = Stage::with(&["shop:v1", "shop:v2"]).await?;
    let kubernetes = stage.with_rights("diagnostics", DIAGNOSTICS).await?;
    let seen = kubernetes.observe(&stage.workload, now() - TimeDelta::hours(1), now()).await?;
    assert!(seen.iter().any(|o| matches!(o.finding, Finding::Revision(_))), "{seen:?}");
    assert!(seen.iter().any(|o| matches!(o.finding, Finding::Pods(_))), "{seen:?}");
    assert!(!seen.iter().any(|o| matches!(o.finding, Finding::Gap { .. })), "{seen:?}");
    // Not even a dry run.
    let draft = kubernetes.draft_rollback(&stage.workload, 1).await;
    assert!(matches!(draft, Err(DraftFault::Cluster(Fault::Forbidden { .. }))), "{draft:?}");
    Ok(())
}

#[tokio::test]
async fn remediation_rolls_back_and_sees_nothing_else() -> Result<()> {
    let stage = Stage::with(&["shop:v1", "shop:v2"]).await?;
    let kubernetes = stage.with_rights("remediation", REMEDIATION).await?;
    let approved = testkit::approved(kubernetes.draft_rollback(&stage.workload, 1).await?, now())?;
    let seen = kubernetes.look(approved.plan()).await?;
    assert!(!kubernetes.apply(&approved, seen).await?.already);
    kubernetes.rollout(&stage.workload).await?;
    assert!(!kubernetes.undo(approved.plan(), approved.templates()).await?.already);
    // What it may not read becomes a gap, not a failure.
    let seen = kubernetes.observe(&stage.workload, now() - TimeDelta::hours(1), now()).await?;
    let gaps = seen.iter().filter(|o| matches!(&o.finding, Finding::Gap { reason } if reason.contains("forbid"))).count();
    assert_eq!(gaps, 2, "pods and events: {seen:?}");
    Ok(())
}

#[tokio::test]
async fn without_rights_nothing_is_seen() -> Result<()> {
    let stage = Stage::with(&["shop:v1"]).await?;
    let kubernetes = stage.with_rights("nobody", &[]).await?;
    let seen = kubernetes.observe(&stage.workload, now() - TimeDelta::hours(1), now()).await;
    assert!(matches!(seen, Err(Fault::Forbidden { .. })), "{seen:?}");
    Ok(())
}
