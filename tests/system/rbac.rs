//! The rights in `k8s/`, on a real API server with RBAC on, with the tokens that pods would have.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use cluster::kubernetes::{DraftFault, Fault, Kubernetes, KubernetesConfig};
use incident::evidence::Finding;
use incident::task::Role;
use incident::workload::{Workload, WorkloadKind};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client};
use local::shop::{self, Shop};
use serde_json::json;
use testkit::{Cluster, Folder, eventually};

use crate::manifests::apply;
use crate::manifests::objects::{EXAMPLE, kind, moved, render};

/// Rollouts here take two seconds; a loaded machine is slower.
const ROLLOUT_WITHIN: Duration = Duration::from_mins(1);
/// RBAC reaches the authorizer by a watch.
const GRANTED_WITHIN: Duration = Duration::from_secs(30);

/// `verb group/resource`, and `of NAME` where only one object is meant.
type Rights = BTreeSet<String>;

/// What everybody who is known to the API server may: ask what they may.
const EVERYBODY: [&str; 2] =
    ["create authorization.k8s.io/selfsubjectaccessreviews", "create authorization.k8s.io/selfsubjectrulesreviews"];
/// The table in the documentation of `cluster`.
const DIAGNOSTICS: [&str; 4] = ["get apps/deployments", "list apps/replicasets", "list /pods", "list /events"];
const REMEDIATION: [&str; 3] = ["get apps/deployments", "patch apps/deployments", "list apps/replicasets"];

fn rights(own: &[&str]) -> Rights {
    EVERYBODY.iter().chain(own).map(|&right| right.to_owned()).collect()
}

/// The example installation's accounts and rights, applied for real, around a shop with two revisions.
struct Installation {
    cluster: Cluster,
    paramedic: String,
    workload: Workload,
    _shop: Shop,
    folder: Folder,
}

/// An account as its pod would be: by its token.
struct Account {
    client: Client,
    kubernetes: Kubernetes,
}

impl Installation {
    async fn new() -> Result<Self> {
        let cluster = testkit::kubernetes().await?;
        let (paramedic, namespace) = (cluster.namespace("rbac").await?, cluster.namespace("rbac-shop").await?);
        let mut objects = render(EXAMPLE)?;
        moved(&mut objects, &paramedic, &namespace);
        for object in objects.iter().filter(|object| ["ServiceAccount", "ClusterRole", "RoleBinding"].contains(&kind(object))) {
            apply(&cluster.client, object, &PatchParams::apply("manifests")).await?;
        }
        let shop = Shop::start(cluster.client.clone(), [namespace.clone()]).await?;
        let workload = Workload {
            cluster: "default".to_owned(),
            namespace: namespace.clone(),
            kind: WorkloadKind::Deployment,
            name: shop::DEPLOYMENT.to_owned(),
        };
        let installation = Self { cluster, paramedic, workload, _shop: shop, folder: Folder::new()? };
        let admin = installation.administrator().await?;
        shop::deploy(&installation.cluster.client, &namespace, "shop:v1").await?;
        installation.rolled_out(&admin).await?;
        shop::set_image(&installation.cluster.client, &namespace, "shop:v2").await?;
        installation.rolled_out(&admin).await?;
        Ok(installation)
    }

    async fn administrator(&self) -> Result<Kubernetes> {
        let kubeconfig = Some(self.cluster.kubeconfig.clone());
        Ok(Kubernetes::connect(&KubernetesConfig { cluster: "default".to_owned(), kubeconfig, context: None }).await?)
    }

    async fn rolled_out(&self, kubernetes: &Kubernetes) -> Result<()> {
        let complete = async || {
            let rollout = kubernetes.rollout(&self.workload).await.ok()?;
            (rollout == cluster::kubernetes::Rollout::Complete).then_some(())
        };
        eventually("the rollout's end", ROLLOUT_WITHIN, complete).await
    }

    async fn account(&self, name: &str) -> Result<Account> {
        let accounts = Api::<ServiceAccount>::namespaced(self.cluster.client.clone(), &self.paramedic);
        let request = TokenRequest::default();
        let token = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token = token.status.and_then(|status| status.token).context("no token")?;
        let mut kubeconfig = Kubeconfig::read_from(&self.cluster.kubeconfig)?;
        let user = kubeconfig.auth_infos.first_mut().context("no user")?;
        let token_file = self.folder.join(&format!("{name}.token"));
        std::fs::write(&token_file, token)?;
        user.auth_info = Some(AuthInfo { token_file: Some(token_file.display().to_string()), ..AuthInfo::default() });
        let path = self.folder.join(&format!("{name}.kubeconfig"));
        // JSON is YAML.
        std::fs::write(&path, serde_json::to_vec(&kubeconfig)?)?;
        let client = local::kubernetes::client(&path).await?;
        let config = KubernetesConfig { cluster: "default".to_owned(), kubeconfig: Some(path), context: None };
        Ok(Account { client, kubernetes: Kubernetes::connect(&config).await? })
    }

    /// Waits until the API server grants in the shop's namespace what was bound there, and that is all of it.
    async fn await_rights(&self, account: &Account, expected: &[&str]) -> Result<()> {
        let expected = rights(expected);
        let found = async || (account.rights(&self.workload.namespace).await.ok()? == expected).then_some(());
        if eventually("the rights that were bound", GRANTED_WITHIN, found).await.is_err() {
            assert_eq!(account.rights(&self.workload.namespace).await?, expected);
        }
        Ok(())
    }

    /// Without a binding there is nothing: not where Paramedic runs, not in a neighbour's namespace.
    async fn expect_nothing_elsewhere(&self, account: &Account) -> Result<()> {
        let neighbour = self.cluster.namespace("rbac-neighbour").await?;
        for namespace in [&self.paramedic, &neighbour, "default", "kube-system"] {
            assert_eq!(account.rights(namespace).await?, rights(&[]), "{namespace}");
        }
        shop::deploy(&self.cluster.client, &neighbour, "shop:v1").await?;
        let deployments = Api::<Deployment>::namespaced(account.client.clone(), &neighbour);
        assert_forbidden(deployments.get(shop::DEPLOYMENT).await);
        assert_forbidden(deployments.patch(shop::DEPLOYMENT, &PatchParams::default(), &Patch::Merge(json!({}))).await);
        assert_forbidden(Api::<Deployment>::all(account.client.clone()).list(&ListParams::default()).await);
        Ok(())
    }

    /// What neither may anywhere, tried for real.
    async fn expect_no_harm(&self, account: &Account) -> Result<()> {
        let (client, namespace) = (account.client.clone(), self.workload.namespace.as_str());
        let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
        assert_forbidden(deployments.delete(shop::DEPLOYMENT, &DeleteParams::default()).await);
        assert_forbidden(deployments.create(&PostParams::default(), &Deployment::default()).await);
        assert_forbidden(deployments.get_scale(shop::DEPLOYMENT).await);
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let seen = Api::<Pod>::namespaced(self.cluster.client.clone(), namespace).list(&ListParams::default()).await?;
        let victim = seen.items.first().and_then(|pod| pod.metadata.name.as_deref()).context("no pods")?;
        assert_forbidden(pods.delete(victim, &DeleteParams::default()).await);
        assert_forbidden(pods.create(&PostParams::default(), &Pod::default()).await);
        for namespace in [namespace, self.paramedic.as_str()] {
            let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
            assert_forbidden(secrets.list(&ListParams::default()).await);
            assert_forbidden(secrets.get("any").await);
        }
        let accounts = Api::<ServiceAccount>::namespaced(client, &self.paramedic);
        assert_forbidden(accounts.create_token_request("remediation", &PostParams::default(), &TokenRequest::default()).await);
        Ok(())
    }

    async fn image(&self) -> Result<String> {
        let deployments = Api::<Deployment>::namespaced(self.cluster.client.clone(), &self.workload.namespace);
        let pod = deployments.get(shop::DEPLOYMENT).await?.spec.template.spec.context("no pod template")?;
        pod.containers.into_iter().next().and_then(|container| container.image).context("no image")
    }
}

impl Account {
    /// All that it may do in a namespace, as the API server says.
    async fn rights(&self, namespace: &str) -> Result<Rights> {
        let mut review = SelfSubjectRulesReview::default();
        review.spec.namespace = Some(namespace.to_owned());
        let answer = Api::<SelfSubjectRulesReview>::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let status = answer.status.context("no rules")?;
        ensure!(!status.incomplete, "the API server cannot say: {:?}", status.evaluation_error);
        let mut rights = Rights::new();
        for rule in status.resource_rules {
            let (groups, resources) = (rule.api_groups.unwrap_or_default(), rule.resources.unwrap_or_default());
            let only = rule.resource_names.filter(|names| !names.is_empty()).map(|names| format!(" of {}", names.join(",")));
            let only = only.unwrap_or_default();
            for verb in &rule.verbs {
                let places = groups.iter().flat_map(|group| resources.iter().map(move |resource| format!("{group}/{resource}")));
                rights.extend(places.map(|place| format!("{verb} {place}{only}")));
            }
        }
        Ok(rights)
    }
}

#[track_caller]
fn assert_forbidden<T: std::fmt::Debug>(answer: Result<T, kube::Error>) {
    let is_forbidden = matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403);
    assert!(is_forbidden, "{answer:?}");
}

#[tokio::test]
async fn diagnostics_looks_and_nothing_more() -> Result<()> {
    let installation = Installation::new().await?;
    let account = installation.account("diagnostics").await?;
    installation.await_rights(&account, &DIAGNOSTICS).await?;

    let now = now();
    let seen = account.kubernetes.observe(&installation.workload, now - TimeDelta::hours(1), now).await?;
    assert!(seen.iter().any(|o| matches!(o.finding, Finding::Revision(_))), "{seen:?}");
    assert!(seen.iter().any(|o| matches!(o.finding, Finding::Pods(_))), "{seen:?}");
    assert!(!seen.iter().any(|o| matches!(o.finding, Finding::Gap { .. })), "{seen:?}");

    // Not even a dry run of a rollback.
    let draft = account.kubernetes.draft_rollback(&installation.workload, 1).await;
    assert!(matches!(draft, Err(DraftFault::Cluster(Fault::Forbidden { .. }))), "{draft:?}");
    let deployments = Api::<Deployment>::namespaced(account.client.clone(), &installation.workload.namespace);
    assert_forbidden(deployments.patch(shop::DEPLOYMENT, &PatchParams::default(), &Patch::Merge(json!({}))).await);
    installation.expect_no_harm(&account).await?;
    installation.expect_nothing_elsewhere(&account).await
}

#[tokio::test]
async fn remediation_rolls_back_and_nothing_more() -> Result<()> {
    let installation = Installation::new().await?;
    let account = installation.account("remediation").await?;
    installation.await_rights(&account, &REMEDIATION).await?;
    installation.expect_no_harm(&account).await?;
    installation.expect_nothing_elsewhere(&account).await?;

    let approved = testkit::approved(account.kubernetes.draft_rollback(&installation.workload, 1).await?, now())?;
    assert_eq!(installation.image().await?, "shop:v2");
    let seen = account.kubernetes.look(approved.plan()).await?;
    account.kubernetes.apply(&approved, seen).await?;
    assert_eq!(installation.image().await?, "shop:v1");
    installation.rolled_out(&account.kubernetes).await?;
    account.kubernetes.undo(approved.plan(), approved.templates()).await?;
    assert_eq!(installation.image().await?, "shop:v2");
    Ok(())
}

#[tokio::test]
async fn the_other_roles_have_no_rights_at_all() -> Result<()> {
    let installation = Installation::new().await?;
    // Once the two have theirs, the others would have had theirs too.
    installation.await_rights(&installation.account("diagnostics").await?, &DIAGNOSTICS).await?;
    installation.await_rights(&installation.account("remediation").await?, &REMEDIATION).await?;
    let others = Role::ALL.into_iter().filter(|role| !matches!(role, Role::Diagnostics | Role::Remediation));
    for name in others.map(Role::as_str).chain(["migrate"]) {
        let account = installation.account(name).await?;
        for namespace in [&installation.workload.namespace, &installation.paramedic, "default"] {
            assert_eq!(account.rights(namespace).await?, rights(&[]), "{name} in {namespace}");
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a test is a process edge")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
