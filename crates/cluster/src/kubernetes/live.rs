//! A Deployment as the server has it now, read as plain JSON, and the few questions that we ask of it.

use incident::plan::{Digest, Target, Template};
use incident::workload::Workload;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use serde_json::Value;

use super::template::{self, without_nulls};

/// Set by the Deployment controller on Deployments and their ReplicaSets.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";

/// A Deployment that was just read. Made only where `uid`, `resourceVersion` and `spec.template` are there.
#[derive(Debug, Clone)]
pub(super) struct Live {
    object: DynamicObject,
    pub(super) uid: String,
    pub(super) resource_version: String,
    spec: Value,
}

impl Live {
    pub(super) fn parse(object: DynamicObject) -> Result<Self, String> {
        let uid = object.metadata.uid.clone().ok_or("it has no uid")?;
        let resource_version = object.metadata.resource_version.clone().ok_or("it has no resourceVersion")?;
        let spec = object.data.get("spec").map(without_nulls).ok_or("it has no spec")?;
        if !spec.get("template").is_some_and(Value::is_object) {
            return Err("it has no pod template".to_owned());
        }
        Ok(Self { object, uid, resource_version, spec })
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        &self.object.metadata
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    pub(super) fn template(&self) -> &Value {
        self.spec.get("template").unwrap_or(&Value::Null)
    }

    /// The template in the form in which plans carry it.
    pub(super) fn template_text(&self) -> Result<Template, String> {
        template::canonical(self.template())
    }

    pub(super) fn revision(&self) -> Option<u64> {
        self.annotation(REVISION)?.parse().ok()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.spec.get("paused").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Wanted pods; the server's default is 1.
    pub(super) fn replicas_wanted(&self) -> u64 {
        self.spec.get("replicas").and_then(Value::as_u64).unwrap_or(1)
    }

    /// Seconds after which a rollout that gets nowhere is given up.
    pub(super) fn progress_deadline_s(&self) -> Option<u32> {
        self.spec.get("progressDeadlineSeconds")?.as_u64()?.try_into().ok()
    }

    /// Whether the controller has seen the newest spec: until then, revision and status tell of an older one.
    pub(super) fn is_observed(&self) -> bool {
        let observed = self.status("observedGeneration").and_then(Value::as_i64).unwrap_or(0);
        self.object.metadata.generation.is_none_or(|wanted| observed >= wanted)
    }

    pub(super) fn status(&self, field: &str) -> Option<&Value> {
        self.object.data.get("status")?.get(field)
    }

    pub(super) fn count(&self, field: &str) -> u64 {
        self.status(field).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Status of a condition, as `(status, reason, message)`.
    pub(super) fn condition(&self, kind: &str) -> Option<(&str, &str, &str)> {
        let conditions = self.status("conditions")?.as_array()?;
        let found = conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind))?;
        let field = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or("");
        Some((field("status"), field("reason"), field("message")))
    }

    /// Its label selector, as the API's `labelSelector` parameter wants it.
    pub(super) fn selector(&self) -> String {
        selector(self.spec.get("selector").unwrap_or(&Value::Null))
    }

    pub(super) fn owns(&self, other: &ObjectMeta) -> bool {
        other.owner_references.iter().flatten().any(|owner| owner.uid == self.uid && owner.controller == Some(true))
    }

    /// What a plan must find again when it runs.
    pub(super) fn target(&self, workload: &Workload) -> Result<Target, String> {
        Ok(Target {
            workload: workload.clone(),
            uid: self.uid.clone(),
            resource_version: self.resource_version.clone(),
            spec_digest: self.spec_digest()?,
        })
    }

    /// Digest of the spec but for `replicas`: an autoscaler writes that all day, no patch of ours touches it, and each of its writes
    /// would void the votes for a change that is still exactly the one that was seen.
    pub(super) fn spec_digest(&self) -> Result<Digest, String> {
        let mut spec = self.spec.clone();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("replicas");
        }
        let bytes = serde_json_canonicalizer::to_vec(&spec).map_err(|e| format!("its spec has no canonical form: {e}"))?;
        Ok(Digest::of(&bytes))
    }
}

fn selector(selector: &Value) -> String {
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let equal = labels.into_iter().flatten().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    let terms = expressions.into_iter().flatten().filter_map(selector_term);
    equal.chain(terms).collect::<Vec<_>>().join(",")
}

fn selector_term(expression: &Value) -> Option<String> {
    let key = expression.get("key")?.as_str()?;
    let values = || {
        let values = expression.get("values").and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    };
    match expression.get("operator")?.as_str()? {
        "In" => Some(format!("{key} in ({})", values())),
        "NotIn" => Some(format!("{key} notin ({})", values())),
        "Exists" => Some(key.to_owned()),
        "DoesNotExist" => Some(format!("!{key}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_written_as_the_api_reads_them() {
        let all = json!({
            "matchLabels": {"app": "checkout"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["web", "api"]},
                {"key": "canary", "operator": "DoesNotExist"},
                {"key": "track", "operator": "Exists"},
                {"key": "env", "operator": "NotIn", "values": ["test"]},
            ],
        });
        assert_eq!(selector(&all), "app=checkout,tier in (web,api),!canary,track,env notin (test)");
    }
}
