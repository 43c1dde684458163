//! Remediation: the only service that changes clusters. It makes no choices: what may be proposed and what may run is decided in
//! `incident::agents::remediation`; here it is asked for and done.

mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use cluster::kubernetes::{ApplyFault, DraftFault, Fault as ClusterFault, Kubernetes, Rollout as ClusterRollout};
use cluster::prometheus::Prometheus;
use ed25519_dalek::VerifyingKey;
use incident::agents::remediation::{Act, Done, Probe, Remediator, Rollout, Rules};
use incident::alert::Alert;
use incident::approval::{ApprovalRequest, Approved, Proposal, Refusal, SignedVote};
use incident::id::TenantId;
use incident::plan::{Plan, RollbackDraft};
use incident::runbook::Runbook;
use incident::workload::Workload;
use runtime::{Call, Fault, Perform, chain, clock};

/// A cluster that does not answer while a plan is drafted: people hear of it after this.
const DRAFT_PATIENCE: Duration = Duration::from_mins(2);
/// An approved change is tried for as long as an approval can hold.
const APPLY_PATIENCE: Duration = Duration::from_secs(incident::approval::EXPIRES_S_MAX as u64);
/// A look that gets no answer is followed by the next one; the verification's deadline bounds them all.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);
/// Taking back is tried for long: leaving a cluster half repaired is worse.
const UNDO_PATIENCE: Duration = Duration::from_hours(1);

/// What remediation is configured with.
#[derive(Debug, Clone)]
pub struct Config {
    /// What may be proposed, in this order.
    pub runbooks: Vec<Runbook>,
    /// The gateway's public key.
    pub gateway_key: VerifyingKey,
    /// Each tenant's rules and cluster.
    pub tenants: BTreeMap<TenantId, Tenant>,
}

/// One tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Who may let what run.
    pub rules: Rules,
    /// Its cluster.
    pub kubernetes: Option<Kubernetes>,
    /// Its Prometheus.
    pub prometheus: Option<Prometheus>,
}

/// Runs the role until the process stops.
///
/// # Errors
/// If it cannot start.
pub async fn run(context: runtime::Context, config: Config) -> anyhow::Result<()> {
    incident::runbook::check_all(&config.runbooks)?;
    for (id, tenant) in &config.tenants {
        tenant.rules.policy.check().with_context(|| format!("tenant {id}"))?;
    }
    let rules = config.tenants.iter().map(|(id, tenant)| (id.clone(), tenant.rules.clone())).collect();
    let agent = Remediator { runbooks: config.runbooks, tenants: rules, gateway_key: config.gateway_key };
    let executor = Executor { checks: agent.clone(), tenants: config.tenants };
    runtime::serve(context, agent, executor).await
}

struct Executor {
    checks: Remediator,
    tenants: BTreeMap<TenantId, Tenant>,
}

impl Perform<Remediator> for Executor {
    async fn perform(&self, call: Call<Act>) -> Result<Done, Fault> {
        match call.body {
            Act::Draft { workload, to_revision, alerts } => self.draft(&call.tenant, &workload, to_revision, &alerts).await,
            Act::Apply { proposal, votes } => self.apply(&call.tenant, &proposal, &votes, call.attempt).await,
            Act::Probe { plan, alerts } => self.probe(&call.tenant, &plan, &alerts).await,
            Act::Undo { proposal } => undo(self.kubernetes(&call.tenant)?, &proposal).await,
        }
    }

    fn patience(&self, effect: &Act) -> Duration {
        match effect {
            Act::Draft { .. } => DRAFT_PATIENCE,
            Act::Apply { .. } => APPLY_PATIENCE,
            Act::Probe { .. } => PROBE_PATIENCE,
            Act::Undo { .. } => UNDO_PATIENCE,
        }
    }
}

impl Executor {
    fn kubernetes(&self, tenant: &TenantId) -> Result<&Kubernetes, Fault> {
        let kubernetes = self.tenants.get(tenant).and_then(|tenant| tenant.kubernetes.as_ref());
        kubernetes.ok_or_else(|| Fault::never(format!("tenant {tenant} has no Kubernetes cluster configured")))
    }

    /// The approval is checked here once more, with the people and the time as they are now, right before the act.
    async fn apply(&self, tenant: &TenantId, proposal: &Proposal, votes: &[SignedVote], attempt: u32) -> Result<Done, Fault> {
        let request = &proposal.request;
        let kubernetes = self.kubernetes(tenant)?;
        let checked = async {
            // While the cluster is asked, which takes longer.
            tokio::task::yield_now().await;
            self.checks.trust(tenant, clock::now()).and_then(|trust| Approved::check(proposal, votes, &trust))
        };
        let (seen, checked) = tokio::join!(kubernetes.look(&request.plan), checked);
        let approved = match checked {
            Ok(approved) => approved,
            Err(refusal) => return refused(kubernetes, request, refusal, attempt).await,
        };
        let seen = seen.map_err(|fault| fault_of(&fault))?;
        match kubernetes.apply(&approved, seen).await {
            Ok(applied) => {
                let (digest, already) = (request.digest.short(), applied.already);
                tracing::info!(plan = digest, already, workload = %request.plan.target.workload, "the change is made");
                Ok(Done::Applied)
            }
            Err(ApplyFault::Drift { what }) => Ok(Done::Drifted { what }),
            Err(ApplyFault::Cluster(fault)) => Err(fault_of(&fault)),
        }
    }

    fn prometheus(&self, tenant: &TenantId) -> Option<&Prometheus> {
        self.tenants.get(tenant)?.prometheus.as_ref()
    }

    async fn draft(&self, tenant: &TenantId, workload: &Workload, to_revision: u64, alerts: &[Alert]) -> Result<Done, Fault> {
        let unmatched = async {
            match self.prometheus(tenant) {
                Some(prometheus) => watch::unmatched(prometheus, alerts).await,
                None => BTreeSet::new(),
            }
        };
        let (drafted, unmatched) = tokio::join!(self.kubernetes(tenant)?.draft_rollback(workload, to_revision), unmatched);
        match drafted {
            Ok(draft) => Ok(Done::Drafted(Box::new(RollbackDraft { unmatched, ..draft }))),
            Err(DraftFault::Cluster(fault)) => Err(fault_of(&fault)),
            Err(fault @ DraftFault::NotSettled { .. }) => Err(Fault::again(&fault)),
            Err(fault) => Ok(Done::Undraftable { reason: fault.to_string() }),
        }
    }

    async fn probe(&self, tenant: &TenantId, plan: &Plan, alerts: &[Alert]) -> Result<Done, Fault> {
        let rollout = self.kubernetes(tenant)?.rollout_of(plan);
        let (rollout, alerts) = tokio::join!(rollout, watch::alerts_now(self.prometheus(tenant), plan, alerts));
        let rollout = match rollout.map_err(|fault| fault_of(&fault))? {
            ClusterRollout::Complete => Rollout::Complete,
            ClusterRollout::Progressing { updated, available, wanted } => {
                Rollout::Progressing { how_far: format!("{updated} of {wanted} pods updated, {available} available") }
            }
            ClusterRollout::Failed { reason } => Rollout::Failed { reason },
            ClusterRollout::Superseded { what } => Rollout::Superseded { what },
        };
        Ok(Done::Probed(Probe { rollout, alerts }))
    }
}

/// An approval that does not hold now may have held at an earlier try whose answer was lost: then the change is there, and must be
/// verified like any other.
async fn refused(kubernetes: &Kubernetes, request: &ApprovalRequest, refusal: Refusal, attempt: u32) -> Result<Done, Fault> {
    if attempt > 1 && kubernetes.carries(&request.plan).await.map_err(|fault| fault_of(&fault))? {
        return Ok(Done::Applied);
    }
    Ok(Done::Refused(refusal))
}

async fn undo(kubernetes: &Kubernetes, proposal: &Proposal) -> Result<Done, Fault> {
    match kubernetes.undo(&proposal.request.plan, &proposal.templates).await {
        Ok(_) => Ok(Done::Undone),
        Err(ApplyFault::Drift { what }) => Ok(Done::NotUndone { what }),
        Err(ApplyFault::Cluster(fault)) => Err(fault_of(&fault)),
    }
}

fn fault_of(fault: &ClusterFault) -> Fault {
    if fault.is_retryable() { Fault::again(chain(fault)) } else { Fault::never(chain(fault)) }
}
