//! The manifests under `k8s/` and the compose file: what they promise about every role, and that real parts take them.

mod api_server;
mod compose;
mod configuration;
mod filled;
pub(crate) mod objects;
mod schemas;

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use incident::task::Role;
use serde_json::{Value, json};

pub(crate) use api_server::apply;
pub(crate) use configuration::paramedic;
use objects::{EXAMPLE, kind, list, name, of_kind, pod, render, workloads};

/// The process gives work under way this long; killing it earlier would waste that.
const GRACE_SECONDS: u64 = 20;
/// Roles that may talk to Kubernetes.
const WITH_TOKEN: [&str; 2] = ["diagnostics", "remediation"];

fn names(objects: &[Value], kind: &str) -> BTreeSet<String> {
    of_kind(objects, kind).map(|object| name(object).to_owned()).collect()
}

#[test]
fn every_role_is_deployed_under_its_own_account() -> Result<()> {
    for kustomization in ["k8s/base", EXAMPLE] {
        let objects = render(kustomization)?;
        let roles: BTreeSet<String> = Role::ALL.iter().map(|role| role.as_str().to_owned()).collect();
        assert_eq!(names(&objects, "Deployment"), roles);
        for workload in workloads(&objects) {
            assert_eq!(pod(workload)["serviceAccountName"], name(workload));
        }
        for deployment in of_kind(&objects, "Deployment") {
            assert_eq!(pod(deployment)["containers"][0]["args"][1], name(deployment));
        }
        assert!(names(&objects, "ServiceAccount").is_superset(&roles));
        assert!(of_kind(&objects, "ServiceAccount").all(|account| account["automountServiceAccountToken"] == false));
    }
    Ok(())
}

#[test]
fn every_pod_is_locked_down() -> Result<()> {
    for workload in workloads(&render(EXAMPLE)?) {
        let (who, pod) = (name(workload), pod(workload));
        assert_eq!(pod["automountServiceAccountToken"], WITH_TOKEN.contains(&who), "{who}");
        assert_eq!(pod["enableServiceLinks"], false, "{who}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{who}");
        assert_eq!(pod["securityContext"]["seccompProfile"], json!({"type": "RuntimeDefault"}), "{who}");
        assert!(pod["terminationGracePeriodSeconds"].as_u64().is_some_and(|grace| grace > GRACE_SECONDS), "{who}");
        assert_eq!(list(&pod["containers"]).len(), 1, "{who}");
        let container = &pod["containers"][0];
        let allowed = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], allowed, "{who}");
        assert!(container["resources"]["requests"]["cpu"].is_string(), "{who}");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{who}");
        assert!(list(&container["volumeMounts"]).iter().all(|mount| mount["readOnly"] == true), "{who}");
        if kind(workload) == "Deployment" {
            assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz", "{who}");
            assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz", "{who}");
        }
    }
    Ok(())
}

/// Names of all Secrets that a pod can see.
fn secrets_of(workload: &Value) -> BTreeSet<String> {
    let volumes = list(&pod(workload)["volumes"]);
    let mounted = volumes.iter().map(|volume| &volume["secret"]["secretName"]);
    let projected = volumes.iter().flat_map(|volume| list(&volume["projected"]["sources"])).map(|from| &from["secret"]["name"]);
    let containers = list(&pod(workload)["containers"]);
    let variables = containers.iter().flat_map(|container| list(&container["env"]));
    let environment = variables.map(|variable| &variable["valueFrom"]["secretKeyRef"]["name"]);
    mounted.chain(projected).chain(environment).filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn nobody_sees_the_secrets_of_another() -> Result<()> {
    for workload in workloads(&render("k8s/base")?) {
        let who = name(workload);
        let mut expected = BTreeSet::from([who.to_owned()]);
        if ["communication", "connectors"].contains(&who) {
            expected.insert("connectors-token".to_owned());
        }
        assert_eq!(secrets_of(workload), expected, "{who}");
        for container in list(&pod(workload)["containers"]) {
            assert!(list(&container["envFrom"]).iter().all(|from| from["secretRef"].is_null()), "{who}");
        }
    }
    Ok(())
}

#[test]
fn no_configuration_holds_a_secret() -> Result<()> {
    for map in of_kind(&render(EXAMPLE)?, "ConfigMap") {
        let Some(text) = map["data"]["paramedic.toml"].as_str() else { continue };
        let table: toml::Table = text.parse().with_context(|| name(map).to_owned())?;
        secrets_are_files(&table, name(map))?;
    }
    Ok(())
}

fn secrets_are_files(table: &toml::Table, of: &str) -> Result<()> {
    for (key, value) in table {
        let is_secret = ["token", "secret", "signing_key", "password", "bearer"].iter().any(|word| key.ends_with(word));
        match value {
            toml::Value::String(text) => ensure!(!is_secret, "{of}: {key} = {text:?}"),
            toml::Value::Table(inner) if key == "passwords" => {
                ensure!(inner.values().all(toml::Value::is_table), "{of}: {inner}");
            }
            toml::Value::Table(inner) => secrets_are_files(inner, of)?,
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn only_the_gateway_can_be_reached_from_outside() -> Result<()> {
    let objects = render("k8s/base")?;
    let policies: Vec<&Value> = of_kind(&objects, "NetworkPolicy").collect();
    let closed = policies.iter().find(|policy| name(policy) == "closed").context("nothing is closed")?;
    assert_eq!(closed["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(closed["spec"]["ingress"].is_null() && closed["spec"]["egress"].is_null());
    // It must fit every pod: it asks for no label that one of them has not.
    let asked = closed["spec"]["podSelector"]["matchLabels"].as_object().context("no labels")?;
    for workload in workloads(&objects) {
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert!(asked.iter().all(|(key, value)| &labels[key] == value), "{}", name(workload));
    }
    let mut doors = BTreeSet::new();
    for policy in policies {
        let whose = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"].as_str().unwrap_or("all");
        for rule in list(&policy["spec"]["ingress"]) {
            let from = list(&rule["from"])
                .iter()
                .map(|from| from["podSelector"]["matchLabels"]["app.kubernetes.io/component"].as_str().unwrap_or("anybody"));
            let from: Vec<&str> = from.collect();
            doors.insert((whose.to_owned(), if from.is_empty() { "anybody".to_owned() } else { from.join(",") }));
        }
    }
    let expected = [("connectors", "communication"), ("gateway", "anybody")];
    assert_eq!(doors, expected.map(|(whose, from)| (whose.to_owned(), from.to_owned())).into());
    Ok(())
}

#[test]
fn a_drained_node_leaves_a_gateway() -> Result<()> {
    let objects = render("k8s/base")?;
    let budget = of_kind(&objects, "PodDisruptionBudget").next().context("no budget")?;
    let gateway = of_kind(&objects, "Deployment").find(|object| name(object) == "gateway").context("no gateway")?;
    let wanted = |value: &Value| value.as_u64().unwrap_or_default();
    assert_eq!(budget["spec"]["selector"], gateway["spec"]["selector"]);
    // Fewer replicas than that would also forbid the drain.
    assert!(wanted(&gateway["spec"]["replicas"]) > wanted(&budget["spec"]["minAvailable"]));
    Ok(())
}
