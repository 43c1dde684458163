//! How far a rollout is, judged as `kubectl rollout status` judges it
//! (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status>).

use incident::plan::Plan;
use incident::workload::Workload;

use super::apply::not_ours;
use super::live::Live;
use super::{Fault, Kubernetes};

/// How far a rollout is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Every wanted pod runs the newest template and is available, and no old one is left.
    Complete,
    /// On its way.
    Progressing {
        /// Pods of the newest template.
        updated: u64,
        /// Pods that are available, of whatever template.
        available: u64,
        /// Pods that are wanted.
        wanted: u64,
    },
    /// The controller has given up waiting.
    Failed {
        /// The controller's words.
        reason: String,
    },
    /// What rolls out is not what was asked about.
    Superseded {
        /// What differs, for people.
        what: String,
    },
}

impl Kubernetes {
    /// How far the rollout of the newest template is.
    ///
    /// # Errors
    /// As every call.
    pub async fn rollout(&self, workload: &Workload) -> Result<Rollout, Fault> {
        Ok(judge(&self.deployment(workload).await?))
    }

    /// How far the rollout of a plan's change is, or that something else runs by now.
    ///
    /// # Errors
    /// As every call.
    pub async fn rollout_of(&self, plan: &Plan) -> Result<Rollout, Fault> {
        let live = self.deployment(&plan.target.workload).await?;
        Ok(not_ours(&live, plan)?.map_or_else(|| judge(&live), |what| Rollout::Superseded { what }))
    }
}

fn judge(live: &Live) -> Rollout {
    let wanted = live.replicas_wanted();
    if !live.is_observed() {
        // The counts are still those of the spec before.
        return Rollout::Progressing { updated: 0, available: live.count("availableReplicas"), wanted };
    }
    if let Some((_, "ProgressDeadlineExceeded", message)) = live.condition("Progressing") {
        return Rollout::Failed { reason: format!("ProgressDeadlineExceeded: {message}") };
    }
    let (updated, all, available) = (live.count("updatedReplicas"), live.count("replicas"), live.count("availableReplicas"));
    if updated < wanted || all > updated || available < updated {
        return Rollout::Progressing { updated, available, wanted };
    }
    Rollout::Complete
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(generation: i64, status: &Value, expected: &Rollout) {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "generation": generation},
            "spec": {"replicas": 3, "template": {}}, "status": status});
        let live = Live::parse(serde_json::from_value(object).unwrap()).unwrap();
        assert_eq!(judge(&live), *expected);
    }

    #[test]
    fn a_rollout_is_judged_as_kubectl_does() {
        let on_its_way = |updated, available| Rollout::Progressing { updated, available, wanted: 3 };
        let counts = |updated: u64, all: u64, available: u64| json!({"observedGeneration": 2, "updatedReplicas": updated, "replicas": all, "availableReplicas": available});
        check(3, &counts(3, 3, 3), &on_its_way(0, 3));
        check(2, &counts(2, 3, 3), &on_its_way(2, 3));
        check(2, &counts(3, 4, 3), &on_its_way(3, 3));
        check(2, &counts(3, 3, 2), &on_its_way(3, 2));
        check(2, &counts(3, 3, 3), &Rollout::Complete);
        check(2, &Value::Null, &on_its_way(0, 0));
        let mut late = counts(1, 4, 3);
        late["conditions"] =
            json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]);
        check(2, &late, &Rollout::Failed { reason: "ProgressDeadlineExceeded: late".to_owned() });
    }
}
