//! What agents ask of and do to a Kubernetes cluster and its Prometheus.
//!
//! This crate speaks the two foreign formats, so that the core never sees them: it turns objects and series into evidence, and an
//! approved plan into one patch. It never decides *whether* something is done, keeps no state, and logs nothing.
//!
//! # What the ServiceAccounts must be allowed to do
//!
//! The manifests under `k8s/` are made from this table, and a test runs with exactly these verbs and no others.
//!
//! | role | API group | resource | verbs | why |
//! |---|---|---|---|---|
//! | diagnostics | `apps` | `deployments` | `get` | the workload that the alert names |
//! | diagnostics | `apps` | `replicasets` | `list` | its revisions |
//! | diagnostics | core | `pods` | `list` | how the pods of each revision are |
//! | diagnostics | core | `events` | `list` | warnings that still hold |
//! | remediation | `apps` | `deployments` | `get`, `patch` | read again, dry run, apply, undo, watch the rollout |
//! | remediation | `apps` | `replicasets` | `list` | the template of the revision to go back to |
//!
//! No verb on secrets, no `update`, `create` or `delete`, and nothing cluster-wide.

pub mod kubernetes;
pub mod prometheus;

use incident::evidence::Finding;

/// One thing that was seen, before it has an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// What was asked: a path of the API or a PromQL expression.
    pub query: String,
    /// What was found.
    pub finding: Finding,
}
