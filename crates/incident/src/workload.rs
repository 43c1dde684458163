//! What runs in a cluster and can be repaired.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Labels;

/// Kinds that have revisions and rollouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
}

/// One workload of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Workload {
    /// Name of the cluster as the `cluster` label says, or `default`.
    pub cluster: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// What it is.
    pub kind: WorkloadKind,
    /// Object name.
    pub name: String,
}

impl Workload {
    /// Reads the workload off an alert's labels: `namespace`, and `deployment` or else `service`.
    pub fn from_labels(labels: &Labels) -> Option<Self> {
        let name = labels.get("deployment").or_else(|| labels.get("service"))?;
        Some(Self {
            cluster: labels.get("cluster").cloned().unwrap_or_else(|| "default".to_owned()),
            namespace: labels.get("namespace")?.clone(),
            kind: WorkloadKind::Deployment,
            name: name.clone(),
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}/{}", self.kind, self.namespace, self.name)
    }
}
