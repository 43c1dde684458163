//! A Deployment as its cluster knows it: templates, revisions, annotations. Changing it twice is changing it once only because of the plan's
//! digest in its annotations and the spec that is compared, as on a real one.

use std::collections::{BTreeMap, BTreeSet};

use incident::agents::remediation::Rollout;
use incident::approval::Approved;
use incident::evidence::{FieldChange, PodsState, RevisionChange};
use incident::plan::{Action, Digest, Plan, RollbackDraft, Target, Template, Templates};
use incident::promises::world::Change;
use incident::workload::Workload;

use crate::scene::{Time, ms};

/// A rollout takes this long, in milliseconds.
const ROLLOUT_MS: i64 = 2_000;

/// What a change came to.
pub(crate) enum Changed {
    /// It is made, now.
    Now(Change),
    /// It had been made before.
    Already,
    /// The object is another one, or not as it was.
    Drifted(String),
}

#[derive(Debug)]
pub(crate) struct Deployment {
    uid: String,
    /// Each template that ever ran: whether it is a bad one.
    templates: Vec<bool>,
    running: usize,
    revision: u64,
    /// Which template a revision is, and since when. A template that comes back gets a new number and leaves the old one, as
    /// ReplicaSets do.
    revisions: BTreeMap<u64, (usize, Time)>,
    restores: Option<u64>,
    changed_at: Time,
    spec_edits: u32,
    plan: Option<Digest>,
    undone: Option<Digest>,
    has_trouble: bool,
    unwell_since: Option<Time>,
    stuck_until: Time,
    /// Until then who looks at it sees the revision before.
    lags_until: Time,
}

fn template(n: usize) -> Template {
    Template(format!("{{\"containers\":[{{\"image\":\"shop:v{}\",\"name\":\"web\"}}]}}", n + 1))
}

impl Deployment {
    pub(crate) fn new(uid: &str, since: Time) -> Self {
        Self {
            uid: uid.to_owned(),
            templates: vec![false],
            running: 0,
            revision: 1,
            revisions: BTreeMap::from([(1, (0, since))]),
            restores: None,
            changed_at: since,
            spec_edits: 0,
            plan: None,
            undone: None,
            has_trouble: false,
            unwell_since: None,
            stuck_until: since,
            lags_until: since,
        }
    }

    /// Somebody releases a new template.
    pub(crate) fn release(&mut self, bad: bool, now: Time) {
        self.templates.push(bad);
        self.run(self.templates.len() - 1, now);
    }

    /// Somebody changes what is no part of the template.
    pub(crate) fn edit(&mut self) {
        self.spec_edits += 1;
    }

    pub(crate) fn trouble(&mut self, begins: bool, now: Time) {
        self.has_trouble = begins;
        self.notice(now);
    }

    pub(crate) fn stuck(&mut self, until: Time) {
        self.stuck_until = until;
    }

    pub(crate) fn lag(&mut self, until: Time) {
        self.lags_until = until;
    }

    fn run(&mut self, template: usize, now: Time) {
        self.restores = self.revisions.iter().find(|(_, (known, _))| *known == template).map(|(revision, _)| *revision);
        if let Some(old) = self.restores {
            self.revisions.remove(&old);
        }
        self.running = template;
        self.revision += 1;
        self.revisions.insert(self.revision, (template, now));
        self.changed_at = now;
        self.notice(now);
    }

    fn notice(&mut self, now: Time) {
        self.unwell_since = if self.is_well() { None } else { self.unwell_since.or(Some(now)) };
    }

    /// Whether the expression of its alerts does not hold.
    pub(crate) fn is_well(&self) -> bool {
        !self.has_trouble && self.templates.get(self.running) != Some(&true)
    }

    pub(crate) fn unwell_since(&self) -> Option<Time> {
        self.unwell_since
    }

    fn spec_digest(&self) -> Digest {
        Digest::of(format!("{}.{}", self.running, self.spec_edits).as_bytes())
    }

    /// The newest change, and how its pods are.
    pub(crate) fn observe(&self, workload: &Workload, now: Time) -> (RevisionChange, PodsState) {
        let newest = if now < self.lags_until { self.revision.saturating_sub(1) } else { self.revision };
        let (seen, (running, since)) = self
            .revisions
            .range(..=newest)
            .next_back()
            .map_or((self.revision, (self.running, self.changed_at)), |(n, of)| (*n, *of));
        let before = self.revisions.range(..seen).next_back();
        let image = |n: usize| Some(format!("shop:v{}", n + 1));
        let from = before.and_then(|(_, (template, _))| image(*template));
        let change = RevisionChange {
            workload: workload.clone(),
            from_revision: before.map(|(revision, _)| *revision),
            from_ran_s: None,
            passed_over: vec![],
            to_revision: seen,
            changed_at: since,
            restores: self.restores,
            changes: vec![FieldChange { path: "containers[web].image".to_owned(), from, to: image(running) }],
        };
        let fails = self.templates.get(running) == Some(&true);
        let (ready, reasons) = if fails { (0, vec!["CrashLoopBackOff".to_owned()]) } else { (3, vec![]) };
        (change, PodsState { revision: seen, pods: 3, ready, restarts: 0, reasons })
    }

    /// What a rollback would be, or why there is none.
    pub(crate) fn draft(&self, workload: &Workload, to_revision: u64) -> Result<RollbackDraft, String> {
        let (to, _) = self.revisions.get(&to_revision).ok_or_else(|| format!("there is no revision {to_revision}"))?;
        if *to == self.running {
            return Err(format!("revision {to_revision} runs already"));
        }
        let templates = Templates { after: template(*to), before: template(self.running) };
        Ok(RollbackDraft {
            target: Target {
                workload: workload.clone(),
                uid: self.uid.clone(),
                resource_version: self.revision.to_string(),
                spec_digest: self.spec_digest(),
            },
            from_revision: self.revision,
            to_revision,
            diff: vec![format!("- {}", templates.before.0), format!("+ {}", templates.after.0)],
            templates,
            unmatched: BTreeSet::new(),
        })
    }

    fn change(&self, plan: &Plan, digest: &Digest, spec_before: Digest) -> Change {
        Change {
            tenant: plan.tenant.clone(),
            workload: plan.target.workload.clone(),
            uid: self.uid.clone(),
            digest: digest.clone(),
            spec_before,
            template_after: template(self.running).digest(),
        }
    }

    fn known(&self, wanted: &Digest) -> Option<usize> {
        (0..self.templates.len()).find(|n| template(*n).digest() == *wanted)
    }

    /// Makes the approved change, once.
    pub(crate) fn apply(&mut self, approved: &Approved, now: Time) -> Changed {
        let (plan, digest) = (approved.plan(), approved.digest());
        if self.carries(plan, digest) {
            return Changed::Already;
        }
        let spec = self.spec_digest();
        if plan.target.uid != self.uid || plan.target.spec_digest != spec {
            return Changed::Drifted(format!("revision {} runs, or the spec was edited", self.revision));
        }
        let Some(after) = self.known(&approved.templates().after.digest()) else {
            return Changed::Drifted("the template is unknown".to_owned());
        };
        self.run(after, now);
        self.plan = Some(digest.clone());
        Changed::Now(self.change(plan, digest, spec))
    }

    /// Whether the plan was carried out on this object.
    pub(crate) fn carries(&self, plan: &Plan, digest: &Digest) -> bool {
        plan.target.uid == self.uid && self.plan.as_ref() == Some(digest)
    }

    fn not_ours(&self, plan: &Plan, digest: &Digest) -> Option<String> {
        let Action::RollBack { template: planned, .. } = &plan.action;
        let is_ours = self.carries(plan, digest) && template(self.running).digest() == *planned;
        (!is_ours).then(|| format!("revision {} runs", self.revision))
    }

    /// Takes the change back, once, if it still stands.
    pub(crate) fn undo(&mut self, plan: &Plan, templates: &Templates, now: Time) -> Changed {
        let Ok(digest) = plan.digest() else { return Changed::Drifted("the plan cannot be read".to_owned()) };
        if self.undone.as_ref() == Some(&digest) {
            return Changed::Already;
        }
        if let Some(what) = self.not_ours(plan, &digest) {
            return Changed::Drifted(what);
        }
        let Some(before) = self.known(&templates.before.digest()) else {
            return Changed::Drifted("the template is unknown".to_owned());
        };
        let spec = self.spec_digest();
        self.run(before, now);
        self.undone = Some(digest.clone());
        Changed::Now(self.change(plan, &digest, spec))
    }

    /// How the plan's rollout is.
    pub(crate) fn rollout(&self, plan: &Plan, now: Time) -> Rollout {
        let Ok(digest) = plan.digest() else { return Rollout::Failed { reason: "the plan cannot be read".to_owned() } };
        if let Some(what) = self.not_ours(plan, &digest) {
            return Rollout::Superseded { what };
        }
        if now < self.stuck_until {
            return Rollout::Failed { reason: "ProgressDeadlineExceeded".to_owned() };
        }
        if now < self.changed_at + ms(ROLLOUT_MS) {
            return Rollout::Progressing { how_far: "1 of 3".to_owned() };
        }
        Rollout::Complete
    }
}
