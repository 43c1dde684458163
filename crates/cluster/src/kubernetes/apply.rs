//! The only code that changes a cluster. It makes no choices: it looks whether the object is still what was approved, and then sends
//! one JSON patch that carries the change and its mark together, so that a crash leaves either both or nothing.
//!
//! The mark is the annotation `paramedic.dev/plan` with the plan's digest. An object that carries it has had the change, whoever asks
//! again and however late. `paramedic.dev/undone` is the same for the undo.

use incident::approval::Approved;
use incident::evidence::FieldChange;
use incident::plan::{Action, Digest, Plan, Target, Template, Templates};
use incident::workload::Workload;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::live::Live;
use super::{Fault, Kubernetes, ask, template};

/// Digest of the plan that put the running template there.
pub(super) const PLAN: &str = "paramedic.dev/plan";
/// Digest of the plan that was taken back.
const UNDONE: &str = "paramedic.dev/undone";
/// Shown by `kubectl rollout history`.
const CAUSE: &str = "kubernetes.io/change-cause";
/// Who the server's record of managed fields names.
const FIELD_MANAGER: &str = "paramedic";
/// Status writes move the resourceVersion several times a second during a rollout; each try judges the object anew.
const TRIES_MAX: u32 = 8;
/// Lines of a difference that are told; the first ones say what happened.
const DRIFT_LINES_MAX: usize = 5;

/// The object of a plan as it was a moment ago, from [`Kubernetes::look`].
#[derive(Debug, Clone)]
pub struct Seen(Live);

/// The change is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Set if it had been there before this call.
    pub already: bool,
    /// resourceVersion of the object that carries it.
    pub resource_version: String,
}

/// The change is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// Set if that had been done before this call.
    pub already: bool,
    /// resourceVersion of the object.
    pub resource_version: String,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyFault {
    /// The cluster could not be asked, or refuses the change.
    #[error(transparent)]
    Cluster(#[from] Fault),
    /// The object is not what was approved any more. Only a new plan can go on.
    #[error("{what}, so the approval no longer fits; a new plan is needed")]
    Drift {
        /// What differs, for people.
        what: String,
    },
}

/// Whether the server shall keep the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    Dry,
    Real,
}

/// The mark that goes with a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) key: &'static str,
    pub(super) digest: &'a Digest,
    pub(super) cause: &'a str,
}

/// One change: a template and its mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) template: &'a Value,
    pub(super) mark: Mark<'a>,
}

impl Kubernetes {
    /// Looks at the object that a plan would change. Whether it still is what was approved is judged by [`Kubernetes::apply`].
    ///
    /// # Errors
    /// If the cluster cannot be asked, or has no such object.
    pub async fn look(&self, plan: &Plan) -> Result<Seen, Fault> {
        self.deployment(&plan.target.workload).await.map(Seen)
    }

    /// Does what was approved, once, to the object as it was seen; if it has changed since, it is looked at again.
    ///
    /// # Errors
    /// [`ApplyFault::Drift`] if the object was recreated or its spec changed since the plan was made. After a retryable fault, calling
    /// again is right: if the change did arrive, that is seen.
    pub async fn apply(&self, approved: &Approved, Seen(mut live): Seen) -> Result<Applied, ApplyFault> {
        let (plan, digest, templates) = (approved.plan(), approved.digest(), approved.templates());
        let Action::RollBack { to_revision, .. } = &plan.action;
        let workload = &plan.target.workload;
        let template = parse(workload, &templates.after)?;
        let cause = format!("paramedic: rollback to revision {to_revision}, plan {}", digest.short());
        let mark = Mark { key: PLAN, digest, cause: &cause };
        for _ in 0..TRIES_MAX {
            same_object(&live, &plan.target)?;
            if live.annotation(PLAN) == Some(&digest.0) {
                return Ok(Applied { already: true, resource_version: live.resource_version });
            }
            same_spec(&live, plan, templates)?;
            if let Some(after) = self.patch(workload, &live, &Change { template: &template, mark }, Run::Real).await? {
                return Ok(Applied { already: false, resource_version: after.resource_version });
            }
            live = self.deployment(workload).await?;
        }
        Err(busy("applying the plan to", workload).into())
    }

    /// Whether the object already carries the plan.
    ///
    /// # Errors
    /// If the cluster cannot be asked.
    pub async fn carries(&self, plan: &Plan) -> Result<bool, Fault> {
        let digest = digest_of(plan)?;
        let live = self.deployment(&plan.target.workload).await?;
        Ok(live.uid == plan.target.uid && live.annotation(PLAN) == Some(&digest.0))
    }

    /// Takes back what [`Kubernetes::apply`] did, once, if it still stands.
    ///
    /// # Errors
    /// [`ApplyFault::Drift`] if the plan was never applied to this object or someone has changed the template since: their change stays.
    /// [`Fault::Invalid`] if these are not the plan's templates.
    ///
    /// It asks for no fresh approval: the undo is a part of the plan that was approved, the object itself proves that the plan was
    /// applied, and an approval that has expired since must not keep a bad change in place.
    pub async fn undo(&self, plan: &Plan, templates: &Templates) -> Result<Undone, ApplyFault> {
        let digest = &digest_of(plan)?;
        let workload = &plan.target.workload;
        if !plan.fits(templates) {
            let message = "the pod templates are not those of the plan".to_owned();
            return Err(Fault::Invalid { doing: format!("taking the plan back from {workload}"), message }.into());
        }
        let template = parse(workload, &templates.before)?;
        let cause = format!("paramedic: undo of plan {}", digest.short());
        let mark = Mark { key: UNDONE, digest, cause: &cause };
        for _ in 0..TRIES_MAX {
            let live = self.deployment(workload).await?;
            same_object(&live, &plan.target)?;
            if live.annotation(UNDONE) == Some(&digest.0) {
                return Ok(Undone { already: true, resource_version: live.resource_version });
            }
            still_ours(&live, plan, templates)?;
            if let Some(after) = self.patch(workload, &live, &Change { template: &template, mark }, Run::Real).await? {
                return Ok(Undone { already: false, resource_version: after.resource_version });
            }
        }
        Err(busy("taking the plan back from", workload).into())
    }

    /// Sends the change for exactly the object that was read. None means: it changed meanwhile, so read and judge again.
    pub(super) async fn patch(
        &self,
        workload: &Workload,
        live: &Live,
        change: &Change<'_>,
        run: Run,
    ) -> Result<Option<Live>, Fault> {
        let doing = match run {
            Run::Dry => format!("trying a change of {workload}"),
            Run::Real => format!("changing {workload}"),
        };
        let unreadable = |message: String| Fault::Invalid { doing: doing.clone(), message };
        let operations = serde_json::from_value(operations(live, change)).map_err(|e| unreadable(e.to_string()))?;
        let params =
            PatchParams { dry_run: run == Run::Dry, field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.deployments(&workload.namespace);
        let patch: Patch<DynamicObject> = Patch::Json(operations);
        match ask(&doing, api.patch(&workload.name, &params, &patch)).await {
            Ok(object) => Live::parse(object).map(Some).map_err(unreadable),
            Err(Fault::Conflict { .. }) => Ok(None),
            // A failed `test` operation comes as 422, like a change that is never valid: only the object tells which it was.
            Err(Fault::Invalid { doing, message }) => {
                let now = self.deployment(workload).await?;
                let moved = now.uid != live.uid || now.resource_version != live.resource_version;
                if moved { Ok(None) } else { Err(Fault::Invalid { doing, message }) }
            }
            Err(fault) => Err(fault),
        }
    }
}

/// The digest is computed here, from what would be written: a plan that was changed is another one, and finds no mark of its own.
fn digest_of(plan: &Plan) -> Result<Digest, Fault> {
    let unreadable = |error: serde_json::Error| Fault::Invalid { doing: "reading a plan".to_owned(), message: error.to_string() };
    plan.digest().map_err(unreadable)
}

fn operations(live: &Live, change: &Change<'_>) -> Value {
    let annotation = |key: &str| format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"));
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": live.uid}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": live.resource_version}),
        json!({"op": "replace", "path": "/spec/template", "value": change.template}),
    ];
    if live.metadata().annotations.is_none() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    operations.push(json!({"op": "add", "path": annotation(change.mark.key), "value": change.mark.digest.0}));
    operations.push(json!({"op": "add", "path": annotation(CAUSE), "value": change.mark.cause}));
    Value::Array(operations)
}

fn parse(workload: &Workload, template: &Template) -> Result<Value, Fault> {
    let invalid = |message: String| Fault::Invalid { doing: format!("reading the plan for {workload}"), message };
    serde_json::from_str(&template.0).map_err(|e| invalid(format!("its pod template is not JSON: {e}")))
}

fn same_object(live: &Live, target: &Target) -> Result<(), ApplyFault> {
    if live.uid == target.uid {
        return Ok(());
    }
    let what = format!("{} was deleted and created anew (uid {} is now {})", target.workload, target.uid, live.uid);
    Err(ApplyFault::Drift { what })
}

fn same_spec(live: &Live, plan: &Plan, templates: &Templates) -> Result<(), ApplyFault> {
    let workload = &plan.target.workload;
    let unreadable = |message| Fault::Invalid { doing: format!("comparing {workload}"), message };
    if live.spec_digest().map_err(unreadable)? == plan.target.spec_digest {
        return Ok(());
    }
    let differs = differences(&parse(workload, &templates.before)?, live.template());
    let what = if differs.is_empty() {
        format!("the spec of {workload} changed outside of its pod template (such as its strategy)")
    } else {
        format!("the pod template of {workload} changed: {differs}")
    };
    Err(ApplyFault::Drift { what })
}

/// What shows that the object is not as the plan left it: recreated, never changed by it, or changed by somebody else since.
pub(super) fn not_ours(live: &Live, plan: &Plan) -> Result<Option<String>, Fault> {
    let (workload, digest) = (&plan.target.workload, digest_of(plan)?);
    if let Err(ApplyFault::Drift { what }) = same_object(live, &plan.target) {
        return Ok(Some(what));
    }
    if live.annotation(PLAN) != Some(&digest.0) {
        return Ok(Some(format!("{workload} does not carry plan {}", digest.short())));
    }
    let Action::RollBack { template, .. } = &plan.action;
    let unreadable = |message| Fault::Invalid { doing: format!("comparing {workload}"), message };
    let same = live.template_text().map_err(unreadable)?.digest() == *template;
    Ok((!same).then(|| format!("the pod template of {workload} was changed after the plan ran")))
}

fn still_ours(live: &Live, plan: &Plan, templates: &Templates) -> Result<(), ApplyFault> {
    let Some(what) = not_ours(live, plan)? else { return Ok(()) };
    let differs = differences(&parse(&plan.target.workload, &templates.after)?, live.template());
    let what = if differs.is_empty() { what } else { format!("{what}: {differs}") };
    Err(ApplyFault::Drift { what })
}

fn differences(expected: &Value, found: &Value) -> String {
    let changes = template::changes(expected, found);
    let mut lines: Vec<String> = changes.iter().take(DRIFT_LINES_MAX).map(FieldChange::line).collect();
    if changes.len() > lines.len() {
        lines.push(format!("and {} more", changes.len() - lines.len()));
    }
    lines.join("; ")
}

fn busy(doing: &str, workload: &Workload) -> Fault {
    Fault::Conflict { doing: format!("{doing} {workload}"), message: format!("it changed {TRIES_MAX} times in a row") }
}
