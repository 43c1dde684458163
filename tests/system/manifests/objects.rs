//! The manifests as kubectl renders them, and how to find things in them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

/// The installation to copy, which has everything in it.
pub(crate) const EXAMPLE: &str = "k8s/overlays/example";
/// Where it puts Paramedic, and what it lets Paramedic touch.
pub(crate) const PARAMEDIC: &str = "paramedic";
pub(crate) const SHOP: &str = "shop";

/// A file of the checkout.
pub(crate) fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(path)
}

/// Every object of a kustomization.
pub(crate) fn render(kustomization: &str) -> Result<Vec<Value>> {
    parse(&render_text(kustomization)?)
}

/// As YAML.
pub(crate) fn render_text(kustomization: &str) -> Result<String> {
    let folder = checkout(kustomization);
    run(Command::new(kubectl()?).arg("kustomize").arg(&folder))
}

fn parse(text: &str) -> Result<Vec<Value>> {
    let documents = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize);
    let objects = documents.collect::<Result<Vec<_>, _>>()?;
    ensure!(!objects.is_empty(), "nothing was rendered");
    Ok(objects)
}

/// The one of the machine, else one from a wheel.
fn kubectl() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|path| path.is_file());
    found.map_or_else(|| Ok(tools()?.join("kubectl")), Ok)
}

/// The folder that holds kubernetes-validate and kubectl. `testbed` has installed them; without one it is done here, the first time.
pub(crate) fn tools() -> Result<PathBuf> {
    let (environment, _) = testkit::programs();
    let folder = environment.tools.join("kubernetes-validate/bin");
    if folder.is_dir() {
        return Ok(folder);
    }
    let script = checkout("crates/local/install/kubernetes-validate.sh");
    run(Command::new("bash").arg(script).arg(&environment.tools))?;
    Ok(folder)
}

/// What a command prints; its complaints if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{command:?} ended with {}:\n{stdout}{stderr}", output.status);
    }
    Ok(stdout.into_owned())
}

pub(crate) fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// Those of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], wanted: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| kind(object) == wanted)
}

/// Deployments and Jobs: whatever makes pods.
pub(crate) fn workloads(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| object["spec"]["template"].is_object())
}

/// The spec of a workload's pods.
pub(crate) fn pod(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Two tests must not meet on a cluster that they share: every object that lies outside of namespaces gets a name of
/// its own, and the two namespaces of the example become the test's.
pub(crate) fn moved(objects: &mut [Value], paramedic: &str, shop: &str) {
    let owned: Vec<String> = ["ClusterRole", "Namespace"]
        .iter()
        .flat_map(|kind| of_kind(objects, kind).map(name).map(str::to_owned).collect::<Vec<_>>())
        .filter(|name| name != PARAMEDIC)
        .collect();
    for object in objects {
        rename(object, &owned, paramedic, shop);
    }
}

fn rename(object: &mut Value, owned: &[String], paramedic: &str, shop: &str) {
    let is_namespace = kind(object) == "Namespace";
    let is_cluster_role = kind(object) == "ClusterRole";
    let metadata = &mut object["metadata"];
    if is_namespace && metadata["name"] == PARAMEDIC {
        metadata["name"] = paramedic.into();
    }
    if is_cluster_role {
        metadata["name"] = format!("{}-{paramedic}", metadata["name"].as_str().unwrap_or_default()).into();
    }
    match metadata["namespace"].as_str() {
        Some(PARAMEDIC) => metadata["namespace"] = paramedic.into(),
        Some(SHOP) => metadata["namespace"] = shop.into(),
        _ => {}
    }
    if let Some(subjects) = object.get_mut("subjects").and_then(Value::as_array_mut) {
        for subject in subjects.iter_mut().filter(|subject| subject["namespace"] == PARAMEDIC) {
            subject["namespace"] = paramedic.into();
        }
        let role = object["roleRef"]["name"].as_str().unwrap_or_default().to_owned();
        if owned.contains(&role) {
            object["roleRef"]["name"] = format!("{role}-{paramedic}").into();
        }
    }
}
