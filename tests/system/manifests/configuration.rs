//! What a pod would find in its volumes and environment, read by the real command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::objects::{EXAMPLE, list, name, of_kind, pod, render, run, workloads};

const MOUNTED_CONFIG: &str = "/etc/paramedic";
const MOUNTED_SECRETS: &str = "/run/secrets/paramedic";
/// What stands for a secret in the example.
const PLACEHOLDER: &str = "REPLACE-ME";
/// An Ed25519 seed, and its public half (RFC 8032, section 7.1, test 1).
const SIGNING_SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const CONNECTORS_TOKEN: &str = "connectors-token-0123456789abcdef";

/// The command that was built beside this test.
pub(crate) fn paramedic() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test lies in no target folder")?;
    let command = folder.join("paramedic");
    ensure!(command.is_file(), "{} is missing: cargo build -p cli --bin paramedic", command.display());
    Ok(command)
}

/// Keys and values of a rendered ConfigMap or Secret.
fn data(objects: &[Value], kind: &str, wanted: &str) -> Result<BTreeMap<String, String>> {
    let object = of_kind(objects, kind).find(|object| name(object) == wanted);
    let object = object.with_context(|| format!("there is no {kind} {wanted}"))?;
    let entries = object["data"].as_object().with_context(|| format!("{kind} {wanted} is empty"))?;
    let decode = |(key, value): (&String, &Value)| {
        let text = value.as_str().unwrap_or_default();
        let text = if kind == "Secret" { decode_base64(text)? } else { text.to_owned() };
        Ok((key.clone(), text))
    };
    entries.iter().map(decode).collect()
}

fn decode_base64(text: &str) -> Result<String> {
    // kustomize breaks long values into lines.
    let joined: String = text.split_whitespace().collect();
    let decoded: k8s_openapi::ByteString = serde_json::from_value(joined.into())?;
    Ok(String::from_utf8(decoded.0)?)
}

/// All that the kubelet would put into a volume.
fn volume(objects: &[Value], volume: &Value) -> Result<BTreeMap<String, String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if volume["configMap"].is_object() {
        return data(objects, "ConfigMap", &text(&volume["configMap"]["name"]));
    }
    if volume["secret"].is_object() {
        return data(objects, "Secret", &text(&volume["secret"]["secretName"]));
    }
    let mut all = BTreeMap::new();
    for source in list(&volume["projected"]["sources"]) {
        all.extend(data(objects, "Secret", &text(&source["secret"]["name"]))?);
    }
    ensure!(!all.is_empty(), "volume {} has nothing in it", volume["name"]);
    Ok(all)
}

fn environment(objects: &[Value], container: &Value) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for source in list(&container["envFrom"]) {
        variables.extend(data(objects, "ConfigMap", source["configMapRef"]["name"].as_str().unwrap_or_default())?);
    }
    for variable in list(&container["env"]) {
        let from = &variable["valueFrom"];
        let (kind, reference) = if from["secretKeyRef"].is_object() {
            ("Secret", &from["secretKeyRef"])
        } else {
            ("ConfigMap", &from["configMapKeyRef"])
        };
        let (of, key) = (reference["name"].as_str().unwrap_or_default(), reference["key"].as_str().unwrap_or_default());
        let value = data(objects, kind, of)?.remove(key).with_context(|| format!("{kind} {of} has no {key}"))?;
        let variable = variable["name"].as_str().unwrap_or_default();
        variables.insert(variable.to_owned(), filled(variable, value));
    }
    Ok(variables)
}

/// What whoever copies the example puts for its placeholders; others may stand as they are. Halves of one key.
fn filled(key: &str, text: String) -> String {
    let value = match key {
        "signing-key" => SIGNING_SEED,
        "PARAMEDIC_REMEDIATION__GATEWAY_PUBLIC_KEY" => PUBLIC_KEY,
        "connectors-token" | "PARAMEDIC_CONNECTORS__SURFACE__TOKEN" => CONNECTORS_TOKEN,
        _ => return text,
    };
    text.replace(PLACEHOLDER, value)
}

/// Lays out a pod's files and asks the command whether it understands them, in the pod's environment and no other.
pub(super) fn check(objects: &[Value], workload: &Value) -> Result<String> {
    let folder = testkit::Folder::new()?;
    let container = &pod(workload)["containers"][0];
    let place = |mounted: &str| folder.join(mounted.trim_start_matches('/'));
    for mount in list(&container["volumeMounts"]) {
        let source = list(&pod(workload)["volumes"]).iter().find(|volume| volume["name"] == mount["name"]);
        let into = place(mount["mountPath"].as_str().context("a mount without a path")?);
        std::fs::create_dir_all(&into)?;
        for (key, text) in volume(objects, source.context("a mount without a volume")?)? {
            let text = filled(&key, text).replace(MOUNTED_SECRETS, &place(MOUNTED_SECRETS).display().to_string());
            std::fs::write(into.join(key), text)?;
        }
    }
    let args = list(&container["args"]).iter().filter_map(Value::as_str);
    let config = args.skip_while(|argument| *argument != "--config").nth(1).context("no --config")?;
    let config = config.strip_prefix(MOUNTED_CONFIG).context("the configuration lies elsewhere")?;
    let config = place(MOUNTED_CONFIG).join(config.trim_start_matches('/'));
    let mut command = Command::new(paramedic()?);
    command.env_clear().envs(environment(objects, container)?);
    run(command.args(["config", "check", "--config"]).arg(config))
}

#[test]
fn every_role_understands_its_configuration() -> Result<()> {
    let objects = render(EXAMPLE)?;
    let mut checked = 0;
    for workload in workloads(&objects) {
        let shown = check(&objects, workload).with_context(|| name(workload).to_owned())?;
        // Whatever is printed for people has no secret in it, not even a placeholder of one. A public key is none.
        let secrets = [PLACEHOLDER, SIGNING_SEED, CONNECTORS_TOKEN];
        ensure!(!secrets.iter().any(|secret| shown.contains(secret)), "{}: {shown}", name(workload));
        checked += 1;
    }
    ensure!(checked == 8, "seven roles and migrate, not {checked}");
    Ok(())
}

#[test]
fn a_signing_key_that_is_none_is_refused() -> Result<()> {
    let mut objects = render(EXAMPLE)?;
    for secret in objects.iter_mut().filter(|object| object["kind"] == "Secret" && object["data"]["signing-key"].is_string()) {
        // "?", for which nothing is filled in.
        secret["data"]["signing-key"] = "Pw==".into();
    }
    let gateway = workloads(&objects).find(|object| name(object) == "gateway").context("no gateway")?;
    let error = check(&objects, gateway).err().context("nothing was noticed")?;
    ensure!(format!("{error:#}").contains("gateway.signing_key"), "{error:#}");
    Ok(())
}

#[test]
fn a_misspelt_setting_is_noticed() -> Result<()> {
    let mut objects = render(EXAMPLE)?;
    let is_of_gateway = |object: &&mut Value| {
        object["kind"] == "ConfigMap" && object["data"]["paramedic.toml"].as_str().is_some_and(|text| text.contains("[gateway]"))
    };
    let map = objects.iter_mut().find(is_of_gateway).context("no configuration of the gateway")?;
    let spoiled = map["data"]["paramedic.toml"].as_str().unwrap_or_default().replace("signing_key", "singing_key");
    map["data"]["paramedic.toml"] = spoiled.into();
    let gateway = workloads(&objects).find(|object| name(object) == "gateway").context("no gateway")?;
    let error = check(&objects, gateway).err().context("nothing was noticed")?;
    ensure!(format!("{error:#}").contains("singing_key"), "{error:#}");
    Ok(())
}
