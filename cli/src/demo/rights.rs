//! As whom the demo's roles enter the cluster: each as a ServiceAccount of its own, with the rights that `k8s/` gives it in a real
//! deployment and no others. Nothing here reaches beyond the demo's namespace.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use incident::task::Role;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1 as rbac;
use kube::api::PostParams;
use kube::config::NamedCluster;
use kube::{Api, Client};
use serde_json::{Value, json};

/// A demo may wait half an hour for a person, and twice that for a forgotten one.
const TOKEN_SECONDS: i64 = 4 * 3_600;

/// `(API group, resource, verbs)`.
type Rules = &'static [(&'static str, &'static str, &'static [&'static str])];

/// The roles that talk to Kubernetes, and all that they may do there. A test holds it against `k8s/base/rights.yaml`.
const RIGHTS: [(Role, Rules); 2] = [
    (
        Role::Diagnostics,
        &[
            ("apps", "deployments", &["get"]),
            ("apps", "replicasets", &["list"]),
            ("", "pods", &["list"]),
            ("", "events", &["list"]),
        ],
    ),
    (Role::Remediation, &[("apps", "deployments", &["get", "patch"]), ("apps", "replicasets", &["list"])]),
];

/// One role's way in.
pub(crate) struct Entry {
    /// Whose.
    pub(crate) role: Role,
    /// Its kubeconfig.
    pub(crate) kubeconfig: PathBuf,
}

/// Creates the accounts in `namespace` and writes a kubeconfig for each into `folder`.
pub(crate) async fn grant(client: &Client, cluster: &NamedCluster, namespace: &str, folder: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (role, rules) in RIGHTS {
        let token =
            account(client, namespace, role, rules).await.with_context(|| format!("giving {role} its rights in {namespace}"))?;
        let kubeconfig = folder.join(format!("{role}.kubeconfig"));
        crate::up::write_private(&kubeconfig, &format!("{:#}\n", with_token(cluster, role, &token)))?;
        entries.push(Entry { role, kubeconfig });
    }
    Ok(entries)
}

async fn account(client: &Client, namespace: &str, role: Role, rules: Rules) -> anyhow::Result<String> {
    let name = role.as_str();
    let create = PostParams::default();
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    accounts.create(&create, &serde_json::from_value(json!({"metadata": {"name": name}}))?).await?;
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let listed: rbac::Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
    Api::namespaced(client.clone(), namespace).create(&create, &listed).await?;
    let binding: rbac::RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }))?;
    Api::namespaced(client.clone(), namespace).create(&create, &binding).await?;
    let wanted: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": TOKEN_SECONDS}}))?;
    let given = accounts.create_token_request(name, &create, &wanted).await?;
    given.status.and_then(|status| status.token).context("the API server gave no token")
}

fn rule((group, resource, verbs): &(&str, &str, &[&str])) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
}

/// JSON, which every reader of YAML reads.
fn with_token(cluster: &NamedCluster, role: Role, token: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": role, "user": {"token": token}}],
        "contexts": [{"name": "demo", "context": {"cluster": cluster.name, "user": role}}],
        "current-context": "demo",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize as _;

    use super::*;

    /// One verb on one resource, whichever way a list of rules is cut into rules.
    fn grants(rules: &[rbac::PolicyRule]) -> BTreeSet<(String, String, String)> {
        let of = |rule: &rbac::PolicyRule| {
            let (groups, resources) = (rule.api_groups.clone().unwrap_or_default(), rule.resources.clone().unwrap_or_default());
            let verbs = rule.verbs.clone();
            groups.into_iter().flat_map(move |group| {
                let verbs = verbs.clone();
                resources.clone().into_iter().flat_map(move |resource| {
                    let group = group.clone();
                    verbs.clone().into_iter().map(move |verb| (group.clone(), resource.clone(), verb))
                })
            })
        };
        rules.iter().flat_map(of).collect()
    }

    #[test]
    fn the_demo_grants_what_a_deployment_does() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/base/rights.yaml");
        let text = std::fs::read_to_string(path).unwrap();
        let mut compared = 0;
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let deployed = rbac::ClusterRole::deserialize(document).unwrap();
            let name = deployed.metadata.name.unwrap();
            let (_, ours) = RIGHTS.iter().find(|(role, _)| name == format!("paramedic-{role}")).unwrap();
            let ours: Vec<rbac::PolicyRule> = ours.iter().map(|r| serde_json::from_value(rule(r)).unwrap()).collect();
            assert_eq!(grants(&ours), grants(&deployed.rules.unwrap()), "{name}");
            compared += 1;
        }
        assert_eq!(compared, RIGHTS.len());
    }
}
