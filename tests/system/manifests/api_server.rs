//! Manifests against a real API server.

use anyhow::{Context, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::Value;

use super::objects::{EXAMPLE, kind, moved, name, render};

/// What the oldest API server that tests run on (1.20) does not have yet; the schemas cover it.
const NEWER: [(&str, &str); 1] = [("policy/v1", "PodDisruptionBudget")];

/// Applies an object; a dry run does everything but keep it.
pub(crate) async fn apply(client: &Client, object: &Value, params: &PatchParams) -> Result<()> {
    let (resource, capabilities) = discovery::pinned_kind(client, &version_and_kind(object)).await?;
    let api: Api<DynamicObject> = match (capabilities.scope, object["metadata"]["namespace"].as_str()) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        (Scope::Cluster, None) => Api::all_with(client.clone(), &resource),
        (scope, namespace) => anyhow::bail!("{} {} is {scope:?}, its namespace {namespace:?}", kind(object), name(object)),
    };
    let applied = api.patch(name(object), params, &Patch::Apply(object)).await;
    applied.map(drop).with_context(|| format!("applying {} {}", kind(object), name(object)))
}

fn version_and_kind(object: &Value) -> GroupVersionKind {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    GroupVersionKind::gvk(group, version, kind(object))
}

async fn has(client: &Client, object: &Value) -> Result<bool> {
    match discovery::pinned_kind(client, &version_and_kind(object)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Discovery(_)) => Ok(false),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn a_real_api_server_takes_every_object() -> Result<()> {
    let cluster = testkit::kubernetes().await?;
    let (paramedic, shop) = (cluster.namespace("manifests").await?, cluster.namespace("manifests-shop").await?);
    let mut objects = render(EXAMPLE)?;
    moved(&mut objects, &paramedic, &shop);
    let params = PatchParams::apply("manifests").dry_run();
    let mut taken = 0;
    for object in &objects {
        if has(&cluster.client, object).await? {
            apply(&cluster.client, object, &params).await?;
            taken += 1;
        } else {
            let what = (object["apiVersion"].as_str().unwrap_or_default(), kind(object));
            ensure!(NEWER.contains(&what), "the API server does not know {what:?}");
            eprintln!("not tried here, this API server is older than {what:?}: {}", name(object));
        }
    }
    ensure!(taken + NEWER.len() >= objects.len(), "only {taken} of {} objects", objects.len());
    Ok(())
}

#[tokio::test]
async fn a_misspelt_field_is_noticed() -> Result<()> {
    let cluster = testkit::kubernetes().await?;
    let (paramedic, shop) = (cluster.namespace("manifests").await?, cluster.namespace("manifests-shop").await?);
    let mut objects = render(EXAMPLE)?;
    moved(&mut objects, &paramedic, &shop);
    let gateway = objects.iter_mut().find(|object| (kind(object), name(object)) == ("Deployment", "gateway"));
    let gateway = gateway.context("no gateway")?;
    gateway["spec"]["template"]["spec"]["containers"][0]["livelinessProbe"] = serde_json::json!({});
    let refused = apply(&cluster.client, gateway, &PatchParams::apply("manifests").dry_run()).await;
    ensure!(refused.is_err(), "the dry run would not notice anything");
    Ok(())
}
