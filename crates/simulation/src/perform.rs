//! Effects: what services do at the providers, in the way that the real ones do it. Trying again is right because of what each leaves
//! behind and looks for: a key in chat and tracker, an annotation in the cluster.

use chrono::TimeDelta;
use incident::agent::Agent;
use incident::agents::communication::{Communicator, Place as Spot, Said, Say};
use incident::agents::diagnostics::{Collect, Diagnostician};
use incident::agents::gateway::Gateway;
use incident::agents::remediation::{Act, AlertsNow, Done, Probe, Remediator};
use incident::alert::Alert;
use incident::approval::{Approved, Proposal, SignedVote};
use incident::evidence::{Evidence, ExpressionChange, Finding, Source};
use incident::id::{IncidentId, TenantId};
use incident::plan::Plan;
use incident::promises::world::{Deed, DeedKind};
use incident::task::{Phase, TaskEvent};

use crate::env::{Env, Event};
use crate::outside::cluster::Changed;
use crate::outside::desk::Entry;
use crate::outside::{Fate, Outside};
use crate::scenario::{Place, Provider};
use crate::scene::{Time, ms};

/// For so long a second try looks for what an earlier one did, before it does it again.
const SETTLE: TimeDelta = TimeDelta::seconds(10);
const LOOK_EVERY: TimeDelta = TimeDelta::seconds(2);
/// A source of evidence that does not answer is left out after this.
const SOURCE_WITHIN: TimeDelta = TimeDelta::seconds(15);
/// Between a change of a workload and Alertmanager's telling what came of it.
const NOTICED_AFTER: TimeDelta = TimeDelta::seconds(15);

/// One try of one effect.
pub(crate) struct Call<'a, E> {
    /// Equal for every try: the idempotency key.
    pub(crate) id: &'a str,
    pub(crate) tenant: &'a TenantId,
    pub(crate) body: &'a E,
    /// Above 1 an earlier try may have had its effect.
    pub(crate) attempt: u32,
    /// How often this try has looked for that.
    pub(crate) looks: u32,
    /// By the clock of the process that tries.
    pub(crate) now: Time,
}

/// A try that did not succeed.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// It may later.
    Again { reason: String },
    /// It never will.
    Never { reason: String },
}

/// How far a try is.
pub(crate) enum Progress<O> {
    /// It waits for what an earlier one may still do.
    LooksAgain(TimeDelta),
    /// It ends, so much later.
    Ends { result: Result<O, Fault>, after: TimeDelta },
}

fn ends<O>(result: Result<O, Fault>) -> Progress<O> {
    Progress::Ends { result, after: ms(5) }
}

/// Does what agent `A` decides.
pub(crate) trait Perform<A: Agent> {
    /// Whose outage keeps this effect from being performed at all.
    fn provider(&self, effect: &A::Effect) -> Option<Provider>;
    /// Tries it.
    fn perform(&self, env: &mut Env, call: &Call<'_, A::Effect>) -> Progress<A::Outcome>;
    /// For how long it is tried.
    fn patience(&self, effect: &A::Effect) -> TimeDelta;
}

/// For agents without effects.
pub(crate) struct NoEffects;

impl<A: Agent<Effect = (), Outcome = ()>> Perform<A> for NoEffects {
    fn provider(&self, _effect: &()) -> Option<Provider> {
        None
    }
    fn perform(&self, _env: &mut Env, _call: &Call<'_, ()>) -> Progress<()> {
        ends(Ok(()))
    }
    fn patience(&self, _effect: &()) -> TimeDelta {
        TimeDelta::zero()
    }
}

/// Tells clients from outside how their tasks stand. No day has such clients yet.
pub(crate) struct Teller;

impl Perform<Gateway> for Teller {
    fn provider(&self, _effect: &TaskEvent) -> Option<Provider> {
        None
    }
    fn perform(&self, _env: &mut Env, _call: &Call<'_, TaskEvent>) -> Progress<()> {
        ends(Ok(()))
    }
    fn patience(&self, _effect: &TaskEvent) -> TimeDelta {
        TimeDelta::minutes(1)
    }
}

/// Collects evidence. A source that fails is a gap, never a failure.
pub(crate) struct Collector;

impl Perform<Diagnostician> for Collector {
    fn provider(&self, _effect: &Collect) -> Option<Provider> {
        None
    }

    fn perform(&self, env: &mut Env, call: &Call<'_, Collect>) -> Progress<Vec<Evidence>> {
        let about = |of: &str| format!("{} asks {of}", call.id);
        let (cluster, metrics) =
            (env.fate(Provider::Kubernetes, &about("kubernetes")), env.fate(Provider::Prometheus, &about("prometheus")));
        let now = env.now;
        let Some(workload) = &call.body.workload else { return ends(Ok(vec![])) };
        let deployment = env.outside.deployment_of(call.tenant, &workload.name);
        let mut seen = vec![];
        if let Some(reason) = missing(cluster) {
            seen.push((Source::Kubernetes, Finding::Gap { reason }));
        } else {
            let (change, pods) = deployment.observe(workload, now);
            seen.extend([(Source::Kubernetes, Finding::Revision(change)), (Source::Kubernetes, Finding::Pods(pods))]);
        }
        for expression in call.body.alerts.iter().filter_map(|alert: &Alert| alert.expression.clone()).take(1) {
            let finding = if let Some(reason) = missing(metrics) {
                Finding::Gap { reason }
            } else {
                let since = deployment.unwell_since();
                let value = if since.is_some() { 0.4 } else { 0.0 };
                Finding::Expression(ExpressionChange { expression, before: Some(0.0), now: Some(value), changed_at: since })
            };
            seen.push((Source::Prometheus, finding));
        }
        let number = |(n, (source, finding)): (usize, (Source, Finding))| Evidence {
            id: format!("e{}", n + 1),
            source,
            query: workload.to_string(),
            from: now - TimeDelta::hours(1),
            to: now,
            finding,
        };
        let evidence = seen.into_iter().enumerate().map(number).collect();
        let late = [cluster, metrics].into_iter().map(wait_for).max().unwrap_or_default();
        Progress::Ends { result: Ok(evidence), after: late }
    }

    fn patience(&self, _effect: &Collect) -> TimeDelta {
        TimeDelta::seconds(20)
    }
}

fn missing(fate: Fate) -> Option<String> {
    match fate {
        Fate::Well | Fate::Late(_) => None,
        Fate::Refused => Some("503".to_owned()),
        Fate::Silent | Fate::Unanswered => Some("no answer".to_owned()),
    }
}

fn wait_for(fate: Fate) -> TimeDelta {
    match fate {
        Fate::Well | Fate::Refused => ms(5),
        Fate::Late(late) => late,
        Fate::Silent | Fate::Unanswered => SOURCE_WITHIN,
    }
}

/// Tells people.
pub(crate) struct Speaker;

impl Perform<Communicator> for Speaker {
    fn provider(&self, effect: &Say) -> Option<Provider> {
        match effect {
            Say::PostCard { .. } | Say::EditCard { .. } | Say::PostLine { .. } => Some(Provider::Slack),
            Say::OpenIssue { .. } | Say::Comment { .. } | Say::FinishIssue { .. } | Say::ReopenIssue { .. } => {
                Some(Provider::Jira)
            }
        }
    }

    fn perform(&self, env: &mut Env, call: &Call<'_, Say>) -> Progress<Said> {
        match call.body {
            Say::PostCard { bulletin, .. } => post(env, call, DeedKind::Card, Some(bulletin.phase == Phase::Resolved)),
            Say::PostLine { .. } => post(env, call, DeedKind::Line, None),
            Say::OpenIssue { .. } => post(env, call, DeedKind::Issue, Some(false)),
            Say::Comment { .. } => post(env, call, DeedKind::Comment, None),
            Say::EditCard { place, bulletin, .. } => {
                let desk = Outside::desk(&mut env.outside.chats, call.tenant);
                edited(desk.edit(&place.name, (bulletin.number, bulletin.phase == Phase::Resolved)))
            }
            Say::FinishIssue { place } => moved(env, call, &place.name, true),
            Say::ReopenIssue { place } => moved(env, call, &place.name, false),
        }
    }

    fn patience(&self, _effect: &Say) -> TimeDelta {
        TimeDelta::hours(24)
    }
}

/// Moves an issue to done or away from it. The effect is named by the bulletin that asks for it.
fn moved(env: &mut Env, call: &Call<'_, Say>, issue: &str, is_over: bool) -> Progress<Said> {
    let number = call.id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    edited(Outside::desk(&mut env.outside.trackers, call.tenant).edit(issue, (number, is_over)))
}

fn edited(is_there: bool) -> Progress<Said> {
    ends(if is_there { Ok(Said::Done) } else { Err(Fault::Never { reason: "there is no such message".to_owned() }) })
}

fn post(env: &mut Env, call: &Call<'_, Say>, kind: DeedKind, is_over: Option<bool>) -> Progress<Said> {
    let desk = match kind {
        DeedKind::Card | DeedKind::Line => Outside::desk(&mut env.outside.chats, call.tenant),
        DeedKind::Issue | DeedKind::Comment | DeedKind::Change | DeedKind::Undo => {
            Outside::desk(&mut env.outside.trackers, call.tenant)
        }
    };
    let Some(incident) = incident_of(call.body, desk.entries()) else {
        return ends(Err(Fault::Never { reason: format!("{} is about no incident", call.id) }));
    };
    let spot = |name: String| Said::At(Spot { room: call.tenant.to_string(), name });
    let said = |name: String| if is_over.is_some() { spot(name) } else { Said::Done };
    if call.attempt > 1 {
        if let Some(found) = desk.find(call.id) {
            return ends(Ok(said(found.name.clone())));
        }
        if LOOK_EVERY * i32::try_from(call.looks).unwrap_or(i32::MAX) < SETTLE {
            return Progress::LooksAgain(LOOK_EVERY);
        }
    }
    let name = desk.post(call.id, incident.clone(), is_over);
    env.trace.say(env.now, || format!("a {} is posted at {}: {}", kind.label(), call.tenant, call.id));
    env.witness.did(Deed { tenant: call.tenant.clone(), incident, kind, step: call.id.to_owned() });
    ends(Ok(said(name)))
}

/// What it is about: it says so itself, or it belongs to what is there.
fn incident_of(say: &Say, entries: &[Entry]) -> Option<IncidentId> {
    match say {
        Say::PostCard { incident, .. } | Say::EditCard { incident, .. } | Say::OpenIssue { incident, .. } => {
            Some(incident.clone())
        }
        Say::PostLine { place, .. } | Say::Comment { place, .. } | Say::FinishIssue { place } | Say::ReopenIssue { place } => {
            entries.iter().find(|entry| entry.name == place.name).map(|entry| entry.incident.clone())
        }
    }
}

/// Drafts, changes, looks, takes back.
pub(crate) struct Executor {
    pub(crate) checks: Remediator,
}

impl<A: Agent<Effect = Act, Outcome = Done>> Perform<A> for Executor {
    fn provider(&self, _effect: &Act) -> Option<Provider> {
        Some(Provider::Kubernetes)
    }

    fn perform(&self, env: &mut Env, call: &Call<'_, Act>) -> Progress<Done> {
        ends(Ok(match call.body {
            Act::Draft { workload, to_revision, .. } => {
                match env.outside.deployment_of(call.tenant, &workload.name).draft(workload, *to_revision) {
                    Ok(draft) => Done::Drafted(Box::new(draft)),
                    Err(reason) => Done::Undraftable { reason },
                }
            }
            Act::Apply { proposal, votes } => self.apply(env, call, proposal, votes),
            Act::Probe { plan, .. } => Done::Probed(probe(env, call, plan)),
            Act::Undo { proposal } => undo(env, call, proposal),
        }))
    }

    fn patience(&self, effect: &Act) -> TimeDelta {
        match effect {
            Act::Draft { .. } => TimeDelta::minutes(2),
            Act::Apply { .. } | Act::Undo { .. } => TimeDelta::hours(1),
            Act::Probe { .. } => TimeDelta::seconds(10),
        }
    }
}

impl Executor {
    fn apply(&self, env: &mut Env, call: &Call<'_, Act>, proposal: &Proposal, votes: &[SignedVote]) -> Done {
        let (now, request) = (env.now, &proposal.request);
        let workload = &request.plan.target.workload;
        let deployment = env.outside.deployment_of(call.tenant, &workload.name);
        let checked = self.checks.trust(call.tenant, call.now).and_then(|trust| Approved::check(proposal, votes, &trust));
        let approved = match checked {
            Ok(approved) => approved,
            Err(_) if call.attempt > 1 && deployment.carries(&request.plan, &request.digest) => return Done::Applied,
            Err(refusal) => return Done::Refused(refusal),
        };
        match deployment.apply(&approved, now) {
            Changed::Already => Done::Applied,
            Changed::Drifted(what) => Done::Drifted { what },
            Changed::Now(change) => {
                env.trace.say(now, || format!("{workload} is CHANGED by plan {}", change.digest.short()));
                env.witness.did(cluster_deed(call, &request.plan, DeedKind::Change, &change.digest.0));
                env.witness.changes.push(change);
                env.at(now + NOTICED_AFTER, Event::Evaluates(place_of(call.tenant, &workload.name)));
                Done::Applied
            }
        }
    }
}

fn place_of(tenant: &TenantId, name: &str) -> Place {
    Place { tenant: tenant.to_string(), name: name.to_owned() }
}

fn cluster_deed(call: &Call<'_, Act>, plan: &Plan, kind: DeedKind, digest: &str) -> Deed {
    Deed { tenant: call.tenant.clone(), incident: plan.incident.clone(), kind, step: digest.to_owned() }
}

fn probe(env: &mut Env, call: &Call<'_, Act>, plan: &Plan) -> Probe {
    let fate = env.fate(Provider::Prometheus, &format!("{} asks prometheus", call.id));
    let now = env.now;
    let deployment = env.outside.deployment_of(call.tenant, &plan.target.workload.name);
    let alerts = match (missing(fate), deployment.is_well()) {
        _ if plan.verification.expressions.is_empty() => AlertsNow::NotWatched,
        (Some(why), _) => AlertsNow::Unknown { why },
        (None, true) => AlertsNow::Quiet,
        (None, false) => AlertsNow::Firing,
    };
    Probe { rollout: deployment.rollout(plan, now), alerts }
}

fn undo(env: &mut Env, call: &Call<'_, Act>, proposal: &Proposal) -> Done {
    let (now, plan) = (env.now, &proposal.request.plan);
    let workload = &plan.target.workload;
    match env.outside.deployment_of(call.tenant, &workload.name).undo(plan, &proposal.templates, now) {
        Changed::Already => Done::Undone,
        Changed::Drifted(what) => Done::NotUndone { what },
        Changed::Now(change) => {
            env.trace.say(now, || format!("{workload} is changed BACK from plan {}", change.digest.short()));
            env.witness.did(cluster_deed(call, plan, DeedKind::Undo, &change.digest.0));
            env.witness.undone.push(change);
            env.at(now + NOTICED_AFTER, Event::Evaluates(place_of(call.tenant, &workload.name)));
            Done::Undone
        }
    }
}
