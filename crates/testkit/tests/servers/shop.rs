//! The shop on a real control plane, seen by a real Prometheus: rollouts, crash loops, and errors that follow the pods.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use local::shop::{DEPLOYMENT, Shop, deploy, set_image};
use serde_json::Value;
use testkit::eventually;

use super::SOON;

/// Waits until all replicas run `image`, ready.
async fn await_rollout(client: &Client, namespace: &str, image: &str) -> Result<()> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    eventually(&format!("the rollout of {image}"), SOON, async || {
        let deployment = deployments.get(DEPLOYMENT).await.ok()?;
        let wanted = deployment.spec.template.spec.as_ref()?.containers.first()?.image.as_deref()?;
        let status = deployment.status.as_ref()?;
        let seen = status.observed_generation == deployment.metadata.generation;
        let ready = status.updated_replicas == Some(3) && status.available_replicas == Some(3) && status.replicas == Some(3);
        (seen && ready && wanted == image).then_some(())
    })
    .await
}

async fn error_ratio(prometheus: &str, namespace: &str) -> Option<f64> {
    let of = |code: &str| format!("sum(rate(http_requests_total{{namespace=\"{namespace}\"{code}}}[3s]))");
    let query = format!("{} / {}", of(",code=\"500\""), of(""));
    let client = reqwest::Client::builder().no_proxy().build().ok()?;
    let url = format!("{prometheus}/api/v1/query");
    let answer: Value = client.get(url).query(&[("query", query)]).send().await.ok()?.json().await.ok()?;
    answer.pointer("/data/result/0/value/1")?.as_str()?.parse().ok()
}

async fn await_ratio(prometheus: &str, namespace: &str, from: f64, to: f64) -> Result<f64> {
    eventually(&format!("an error ratio from {from} to {to}"), SOON, async || {
        error_ratio(prometheus, namespace).await.filter(|ratio| (from..=to).contains(ratio))
    })
    .await
}

#[tokio::test]
async fn the_error_ratio_follows_the_pods_that_run() -> Result<()> {
    let cluster = testkit::kubernetes().await?;
    let namespace = cluster.namespace("shop").await?;
    let shop = Shop::start(cluster.client.clone(), [namespace.clone()]).await?;
    let config = format!(
        "global: {{scrape_interval: 500ms}}\n\
         scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{}']}}]}}]\n",
        shop.address()
    );
    let prometheus = testkit::prometheus(&config, "").await?;
    prometheus.running.await_target_up("shop", SOON).await?;

    deploy(&cluster.client, &namespace, "shop:v1").await?;
    await_rollout(&cluster.client, &namespace, "shop:v1").await?;
    await_ratio(&prometheus.url(), &namespace, 0.0, 0.0).await?;

    set_image(&cluster.client, &namespace, "shop:v2-err30").await?;
    await_rollout(&cluster.client, &namespace, "shop:v2-err30").await?;
    await_ratio(&prometheus.url(), &namespace, 0.28, 0.32).await?;

    set_image(&cluster.client, &namespace, "shop:v1").await?;
    await_rollout(&cluster.client, &namespace, "shop:v1").await?;
    await_ratio(&prometheus.url(), &namespace, 0.0, 0.0).await?;
    shop.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_crashing_image_loops_and_the_old_pods_stay() -> Result<()> {
    let cluster = testkit::kubernetes().await?;
    let namespace = cluster.namespace("crash").await?;
    let shop = Shop::start(cluster.client.clone(), [namespace.clone()]).await?;
    deploy(&cluster.client, &namespace, "shop:v1").await?;
    await_rollout(&cluster.client, &namespace, "shop:v1").await?;
    set_image(&cluster.client, &namespace, "shop:v3-bad-crash").await?;

    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &namespace);
    let crashed = eventually("a second restart of a crashing pod", SOON, async || {
        let listed = pods.list(&ListParams::default()).await.ok()?;
        listed.items.into_iter().find(|pod| restarts(pod) >= 2)
    })
    .await?;
    let status = crashed.status.context("a status")?.container_statuses.context("containers")?;
    let state = serde_json::to_value(&status[0])?;
    ensure!(state["state"]["waiting"]["reason"] == "CrashLoopBackOff", "{state}");
    ensure!(state["lastState"]["terminated"]["exitCode"] == 1, "{state}");

    let events = Api::<Event>::namespaced(cluster.client.clone(), &namespace);
    eventually("a counted warning", SOON, async || {
        let listed = events.list(&ListParams::default()).await.ok()?;
        listed.items.into_iter().find(|event| event.reason.as_deref() == Some("BackOff") && event.count >= Some(2))
    })
    .await?;
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &namespace);
    let status = deployments.get(DEPLOYMENT).await?.status.context("a status")?;
    ensure!(status.available_replicas == Some(3), "{status:?}");

    deployments.delete(DEPLOYMENT, &DeleteParams::background()).await?;
    eventually("the end of all pods", SOON, async || {
        pods.list(&ListParams::default()).await.ok()?.items.is_empty().then_some(())
    })
    .await?;
    shop.stop().await;
    Ok(())
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

#[tokio::test]
async fn a_durable_control_plane_keeps_its_objects() -> Result<()> {
    let (environment, progress) = testkit::programs();
    let programs = local::install::kubernetes(&environment, &progress).await?;
    let folder = testkit::Folder::new()?;
    let options = || local::kubernetes::Options {
        programs: programs.clone(),
        dir: folder.join("kubernetes"),
        durability: local::kubernetes::Durability::Durable,
    };
    let mut plane = local::kubernetes::ControlPlane::start(options()).await?;
    ensure!(plane.pids().len() == 3);
    deploy(&plane.client(), "default", "shop:v1").await?;
    plane.restart().await?;
    let kept = Api::<Deployment>::namespaced(plane.client(), "default").get(DEPLOYMENT).await?;
    let pids = plane.pids();
    plane.stop().await?;
    for pid in pids {
        ensure!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid)?), None).is_err());
    }

    let mut again = local::kubernetes::ControlPlane::start(options()).await?;
    let found = Api::<Deployment>::namespaced(again.client(), "default").get(DEPLOYMENT).await?;
    ensure!(found.metadata.uid == kept.metadata.uid);
    Ok(again.stop().await?)
}
