//! A world in memory around the pure agents and the real handling machine: a bus that delivers twice, late and out of order, a store
//! with revisions, inbox, outbox and timers, processes that die between any two steps. All chance comes from one seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use incident::agent::{Agent, Content, Effect, Locator, Message, Outgoing};
use incident::agents::ballot::{Ballot, BallotKeeper};
use incident::agents::communication::{Communicator, Place, Said, Say};
use incident::agents::diagnostics::{Collect, Diagnostician};
use incident::agents::gateway::{Gateway, Kept};
use incident::agents::ledger::Ledger;
use incident::agents::monitoring::Monitoring;
use incident::agents::remediation::{Act, AlertsNow, Done, Probe, Remediator, Rollout};
use incident::approval::Approved;
use incident::evidence::Evidence;
use incident::fact::Fact;
use incident::handling::{self, Answer, Committed, Input, Loaded, Step, Stored};
use incident::id::TenantId;
use incident::plan::{Action, Digest, Plan, RollbackDraft, Target, Template, Templates};
use incident::record::Record;
use incident::task::Role;

use crate::scene;

/// Small, fast, and the same everywhere.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 33) % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn percent(&mut self, p: usize) -> bool {
        self.below(100) < p
    }
}

/// One service: its agent and its memory.
pub(crate) struct Service<A: Agent> {
    pub(crate) agent: A,
    entities: BTreeMap<String, Stored<A::State>>,
    inbox: BTreeSet<String>,
    timers: BTreeMap<(String, String), DateTime<Utc>>,
    /// Effects owed, with how often they were tried.
    effects: VecDeque<(String, Effect<A::Effect>, u32)>,
    publications: VecDeque<Message>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) records: Vec<Record>,
}

impl<A: Agent> Service<A> {
    fn new(agent: A) -> Self {
        Self {
            agent,
            entities: BTreeMap::new(),
            inbox: BTreeSet::new(),
            timers: BTreeMap::new(),
            effects: VecDeque::new(),
            publications: VecDeque::new(),
            facts: vec![],
            records: vec![],
        }
    }

    fn load(&self, locator: &Locator, inputs: &[Input<A::Outcome>]) -> Loaded<A::State> {
        let stored = match locator {
            Locator::Id(id) => self.entities.get(id),
            Locator::Open(key) => self.entities.values().find(|s| s.entity.open_key.as_ref() == Some(key)),
        };
        let id = stored.map(|s| s.entity.id.clone()).unwrap_or_default();
        let handled = |input: &Input<A::Outcome>| match input {
            Input::Message(message) => self.inbox.contains(&message.id),
            Input::Timer { name, due } => self.timers.get(&(id.clone(), name.clone())) != Some(due),
            Input::Outcome { effect, .. } => !self.effects.iter().any(|(entity, e, _)| *entity == id && e.name == *effect),
        };
        Loaded { stored: stored.cloned(), handled: inputs.iter().map(handled).collect() }
    }

    fn commit(&mut self, commit: handling::CommitOf<A>) -> Committed {
        let current = self.entities.get(&commit.id).map(|s| s.revision);
        if current != commit.expected && !(commit.next.is_none() && commit.id.is_empty()) {
            return Committed::Lost;
        }
        for input in &commit.handled {
            match input {
                Input::Message(message) => assert!(self.inbox.insert(message.id.clone()), "handled twice: {}", message.id),
                Input::Timer { name, .. } => drop(self.timers.remove(&(commit.id.clone(), name.clone()))),
                Input::Outcome { effect, .. } => {
                    self.effects.retain(|(entity, e, _)| !(*entity == commit.id && e.name == *effect));
                }
            }
        }
        if let Some(entity) = commit.next {
            if let Some(key) = &entity.open_key {
                let other = self.entities.values().any(|s| s.entity.open_key.as_ref() == Some(key) && s.entity.id != entity.id);
                assert!(!other, "two open entities under {key}");
            }
            let revision = current.unwrap_or(0) + 1;
            self.entities.insert(entity.id.clone(), Stored { entity, revision });
        }
        for timer in commit.timers {
            let key = (commit.id.clone(), timer.name);
            match timer.at {
                Some(at) => drop(self.timers.insert(key, at)),
                None => drop(self.timers.remove(&key)),
            }
        }
        for effect in commit.effects {
            let twice = self.effects.iter().any(|(entity, e, _)| *entity == commit.id && e.name == effect.name);
            assert!(!twice, "effect {} decided twice", effect.name);
            self.effects.push_back((commit.id.clone(), effect, 0));
        }
        self.publications.extend(commit.outgoing.iter().map(publication));
        for fact in commit.facts {
            assert!(self.facts.iter().all(|known| known.id != fact.id), "fact id given twice: {}", fact.id);
            let content = Content::Fact(Box::new(fact.clone()));
            self.publications.push_back(Message { id: fact.id.clone(), tenant: fact.tenant.clone(), trace: None, content });
            self.facts.push(fact);
        }
        self.records.extend(commit.records);
        Committed::Done
    }

    /// Handles inputs about one entity. With a crash the process dies somewhere: what was committed stays, nothing is answered.
    fn handle(
        &mut self,
        tenant: &TenantId,
        locator: Locator,
        inputs: Vec<Input<A::Outcome>>,
        now: DateTime<Utc>,
        crash: Option<usize>,
    ) -> Option<Vec<Answer>> {
        let mut all = vec![];
        let mut steps = 0;
        let mut inputs = inputs;
        loop {
            let mut step = Step::Load(handling::begin::<A>(tenant.clone(), locator.clone(), inputs));
            let rest = loop {
                if crash == Some(steps) {
                    return None;
                }
                steps += 1;
                step = match step {
                    Step::Load(load) => {
                        let loaded = self.load(&load.locator, &load.inputs);
                        load.loaded(&self.agent, loaded, now)
                    }
                    Step::Commit(commit, pending) => {
                        let committed = self.commit(*commit);
                        pending.committed(committed)
                    }
                    Step::Answer { answers, rest } => {
                        all.extend(answers);
                        break rest;
                    }
                };
            };
            if rest.is_empty() {
                return Some(all);
            }
            inputs = rest;
        }
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = &A::State> {
        self.entities.values().map(|s| &s.entity.state)
    }

    fn next_timer(&self) -> Option<DateTime<Utc>> {
        self.timers.values().min().copied()
    }
}

fn publication(outgoing: &Outgoing) -> Message {
    let (id, tenant, content) = match outgoing.clone() {
        Outgoing::Request(r) => (format!("request/{}", r.message_id), r.tenant.clone(), Content::Request(r)),
        Outgoing::Cancel(c) => (format!("cancel/{}", c.message_id), c.tenant.clone(), Content::Cancel(c)),
        Outgoing::Event(e) => (format!("event/{}.{}", e.task, e.number), e.tenant.clone(), Content::Event(e)),
        Outgoing::ApprovalRequested(r) => {
            (format!("requested/{}", r.approval), r.plan.tenant.clone(), Content::ApprovalRequested(r))
        }
        Outgoing::ApprovalClosed(c) => (format!("closed/{}", c.approval), c.tenant.clone(), Content::ApprovalClosed(c)),
        Outgoing::Voted(s) => {
            (format!("decided/{}/{}", s.vote.approval, s.vote.person), s.vote.tenant.clone(), Content::Voted(s))
        }
    };
    Message { id, tenant, trace: None, content }
}

/// The workload and everything outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outside {
    /// Changes of the spec that make no revision, such as its strategy.
    pub(crate) spec_changes: u32,
    /// Revision that runs, and the digest of the plan that put it there.
    pub(crate) revision: u64,
    pub(crate) mark: Option<Digest>,
    pub(crate) undone: Option<Digest>,
    /// Changes made, in order.
    pub(crate) changes: Vec<String>,
    /// Whether the rollback helps.
    pub(crate) helps: bool,
    /// What the next looks at the rollout say; after that it is as the revision is.
    pub(crate) rollouts: VecDeque<Rollout>,
    /// Cards and issues, by idempotency key.
    pub(crate) cards: BTreeSet<String>,
    pub(crate) issues: BTreeSet<String>,
}

impl Outside {
    fn spec_digest(&self) -> Digest {
        Digest::of(format!("{}.{}", self.revision, self.spec_changes).as_bytes())
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: DateTime<Utc>,
    pub(crate) chance: Chance,
    pub(crate) tenant: TenantId,
    pub(crate) gateway: Service<Gateway>,
    pub(crate) monitoring: Service<Monitoring>,
    pub(crate) diagnostics: Service<Diagnostician>,
    pub(crate) communication: Service<Communicator>,
    pub(crate) remediation: Service<Remediator>,
    pub(crate) ledger: Service<Ledger>,
    /// Messages under way, with who gets them.
    bus: Vec<(Role, Message)>,
    /// All that was ever said.
    pub(crate) said: Vec<Content>,
    /// Who takes nothing now, and what waits for them.
    away: Option<Role>,
    waiting_for_away: Vec<Message>,
    pub(crate) outside: Outside,
    pub(crate) evidence: Vec<Evidence>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let key = SigningKey::from_bytes(&[7; 32]);
        let tenant = scene::tenant();
        Self {
            now: scene::at(1_000),
            chance: Chance::new(seed),
            gateway: Service::new(Gateway {
                ballots: BallotKeeper { directories: [(tenant.clone(), scene::directory())].into(), key: key.clone() },
            }),
            monitoring: Service::new(Monitoring),
            diagnostics: Service::new(Diagnostician),
            communication: Service::new(Communicator { chat: [tenant.clone()].into(), ticket: [tenant.clone()].into() }),
            remediation: Service::new(scene::remediator(&key)),
            ledger: Service::new(Ledger),
            bus: vec![],
            said: vec![],
            away: None,
            waiting_for_away: vec![],
            outside: Outside { revision: 2, helps: true, ..Outside::default() },
            evidence: scene::bad_deploy(2),
            tenant,
        }
    }

    /// Puts a message on the bus.
    pub(crate) fn say(&mut self, id: &str, content: Content) {
        let message = Message { id: id.to_owned(), tenant: self.tenant.clone(), trace: None, content };
        self.route(message);
    }

    fn route(&mut self, message: Message) {
        let to = match &message.content {
            Content::Alerts(_) => Role::Monitoring,
            Content::Request(request) => request.to,
            Content::Cancel(cancel) => cancel.to,
            Content::Event(event) => event.to,
            Content::ApprovalRequested(_) | Content::ApprovalClosed(_) | Content::Answered(_) => Role::Gateway,
            Content::Voted(_) => Role::Remediation,
            Content::Fact(_) => Role::Ledger,
        };
        self.said.push(message.content.clone());
        if self.away == Some(to) {
            self.waiting_for_away.push(message);
        } else {
            self.bus.push((to, message));
        }
    }

    /// Nobody of this role takes messages any more.
    pub(crate) fn leave(&mut self, role: Role) {
        self.away = Some(role);
    }

    /// They do again.
    pub(crate) fn come_back(&mut self) {
        self.away = None;
        for message in std::mem::take(&mut self.waiting_for_away) {
            self.route(message);
        }
    }

    /// One random step. False: nothing is left to do now.
    pub(crate) fn step(&mut self, faults: usize) -> bool {
        self.publish_some(faults);
        let choices = [!self.bus.is_empty(), self.owes_effects()];
        match choices {
            [false, false] => false,
            [true, false] => self.deliver(faults),
            [true, true] if self.chance.percent(50) => self.deliver(faults),
            [_, true] => self.perform(faults),
        }
    }

    fn owes_effects(&self) -> bool {
        !self.diagnostics.effects.is_empty() || !self.communication.effects.is_empty() || !self.remediation.effects.is_empty()
    }

    fn publish_some(&mut self, faults: usize) {
        let mut out = vec![];
        macro_rules! take { ($($service:ident),*) => { $( out.extend(self.$service.publications.drain(..)); )* } }
        take!(gateway, monitoring, diagnostics, communication, remediation, ledger);
        for message in out {
            // The relay died before it could remove the row: published again.
            if self.chance.percent(faults) {
                self.route(message.clone());
            }
            self.route(message);
        }
    }

    fn deliver(&mut self, faults: usize) -> bool {
        // Any order: subjects, shards and retries mix in real life too.
        let n = if self.chance.percent(faults) { self.chance.below(self.bus.len()) } else { 0 };
        let (role, message) = self.bus.remove(n);
        let crash = self.chance.percent(faults).then(|| self.chance.below(4));
        let (now, tenant) = (self.now, self.tenant.clone());
        macro_rules! to {
            ($service:ident) => {{
                let service = &mut self.$service;
                let locator = service.agent.locate(&message.content).expect("a message for this role");
                service.handle(&tenant, locator, vec![Input::Message(message.clone())], now, crash)
            }};
        }
        let answers = match role {
            Role::Gateway => to!(gateway),
            Role::Monitoring => to!(monitoring),
            Role::Diagnostics => to!(diagnostics),
            Role::Communication => to!(communication),
            Role::Remediation => to!(remediation),
            Role::Ledger => to!(ledger),
            Role::Connectors => None,
        };
        let acknowledged = matches!(answers.as_deref(), Some([Answer::Done { .. }]));
        if !acknowledged || self.chance.percent(faults) {
            self.bus.push((role, message));
        }
        true
    }

    fn perform(&mut self, faults: usize) -> bool {
        let (now, tenant) = (self.now, self.tenant.clone());
        let dies = self.chance.percent(faults);
        let crash = self.chance.percent(faults).then(|| self.chance.below(4));
        macro_rules! act {
            ($service:ident, $do:expr) => {
                if let Some((entity, effect, tries)) = self.$service.effects.pop_front() {
                    self.$service.effects.push_back((entity.clone(), effect.clone(), tries + 1));
                    let id = format!("{entity}/{}", effect.name);
                    let result = Ok($do(self, &id, &effect.body, tries + 1));
                    if !dies {
                        let input = Input::Outcome { effect: effect.name, result };
                        drop(self.$service.handle(&tenant, Locator::Id(entity), vec![input], now, crash));
                    }
                    return true;
                }
            };
        }
        match self.chance.below(3) {
            0 => act!(diagnostics, |w: &mut Self, _: &str, body: &Collect, _| w.collect(body)),
            1 => act!(communication, |w: &mut Self, id: &str, body: &Say, tries| w.tell(id, body, tries)),
            _ => act!(remediation, |w: &mut Self, _: &str, body: &Act, tries| w.act(body, tries)),
        }
        true
    }

    fn collect(&mut self, _body: &Collect) -> Vec<Evidence> {
        self.evidence.clone()
    }

    fn tell(&mut self, id: &str, body: &Say, tries: u32) -> Said {
        let place = |room: &str, name: &str| Said::At(Place { room: room.to_owned(), name: name.to_owned() });
        match body {
            Say::PostCard { .. } => {
                assert!(self.outside.cards.insert(id.to_owned()) || tries > 1, "a card posted twice in one try");
                place("C1", "1.1")
            }
            Say::OpenIssue { .. } => {
                self.outside.issues.insert(id.to_owned());
                place("OPS", "OPS-1")
            }
            Say::EditCard { .. } | Say::PostLine { .. } | Say::Comment { .. } | Say::FinishIssue { .. } => Said::Done,
        }
    }

    fn act(&mut self, body: &Act, tries: u32) -> Done {
        let template = |revision: u64| Template(format!("{{\"revision\":{revision}}}"));
        match body {
            Act::Draft { workload, to_revision, .. } => Done::Drafted(Box::new(RollbackDraft {
                target: Target {
                    workload: workload.clone(),
                    uid: "u1".to_owned(),
                    resource_version: "1".to_owned(),
                    spec_digest: self.outside.spec_digest(),
                },
                from_revision: self.outside.revision,
                to_revision: *to_revision,
                templates: Templates { after: template(*to_revision), before: template(self.outside.revision) },
                diff: vec![format!("- {}", self.outside.revision), format!("+ {to_revision}")],
                unmatched: BTreeSet::new(),
            })),
            Act::Apply { proposal, votes } => {
                let trust = self.remediation.agent.trust(&self.tenant, self.now).expect("a tenant");
                let digest = &proposal.request.digest;
                let approved = match Approved::check(proposal, votes, &trust) {
                    Ok(approved) => approved,
                    Err(_) if tries > 1 && self.outside.mark.as_ref() == Some(digest) => return Done::Applied,
                    Err(refusal) => return Done::Refused(refusal),
                };
                if self.outside.mark.as_ref() == Some(approved.digest()) {
                    return Done::Applied;
                }
                if approved.plan().target.spec_digest != self.outside.spec_digest() {
                    return Done::Drifted { what: "spec".to_owned() };
                }
                let Action::RollBack { to_revision, .. } = &approved.plan().action;
                self.outside.revision = *to_revision;
                self.outside.mark = Some(approved.digest().clone());
                self.outside.changes.push(format!("apply {}", approved.digest().short()));
                Done::Applied
            }
            Act::Probe { plan, .. } => Done::Probed(self.look(plan)),
            Act::Undo { proposal } => {
                let digest = &proposal.request.digest;
                if self.outside.undone.as_ref() != Some(digest) {
                    self.outside.revision = 2;
                    self.outside.undone = Some(digest.clone());
                    self.outside.changes.push(format!("undo {}", digest.short()));
                }
                Done::Undone
            }
        }
    }

    fn look(&mut self, plan: &Plan) -> Probe {
        let Action::RollBack { to_revision, .. } = &plan.action;
        let rollout = match self.outside.rollouts.pop_front() {
            Some(rollout) => rollout,
            None if self.outside.revision == *to_revision => Rollout::Complete,
            None => Rollout::Superseded { what: format!("revision {} runs", self.outside.revision) },
        };
        let is_well = self.outside.helps && self.outside.revision == 1;
        Probe { rollout, alerts: if is_well { AlertsNow::Quiet } else { AlertsNow::Firing } }
    }

    /// Lets the clock run to the next timer and fires it. False: there is none.
    pub(crate) fn tick(&mut self, faults: usize) -> bool {
        let next = [
            self.gateway.next_timer(),
            self.monitoring.next_timer(),
            self.remediation.next_timer(),
            self.communication.next_timer(),
        ];
        let Some(next) = next.into_iter().flatten().min() else { return false };
        self.now = self.now.max(next) + TimeDelta::milliseconds(i64::try_from(self.chance.below(50)).unwrap());
        let (now, tenant) = (self.now, self.tenant.clone());
        let crash = self.chance.percent(faults).then(|| self.chance.below(4));
        macro_rules! fire {
            ($($service:ident),*) => { $(
                let due: Vec<_> = self.$service.timers.iter().filter(|(_, at)| **at <= now).map(|(k, at)| (k.clone(), *at)).collect();
                for ((entity, name), due) in due {
                    drop(self.$service.handle(&tenant, Locator::Id(entity), vec![Input::Timer { name, due }], now, crash));
                }
            )* };
        }
        fire!(gateway, monitoring, remediation, communication);
        true
    }

    /// Works until nothing is left but timers.
    pub(crate) fn settle(&mut self, faults: usize) {
        for _ in 0..20_000 {
            if !self.step(faults) {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// All facts, from all services.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        [&self.gateway.facts, &self.monitoring.facts, &self.diagnostics.facts, &self.communication.facts, &self.remediation.facts]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// The request that waits for an answer.
    pub(crate) fn waiting(&self) -> Option<incident::approval::ApprovalRequest> {
        self.gateway.states().find_map(|state| match state {
            Kept::Ballot(Ballot::Open { request, .. }) => Some((**request).clone()),
            Kept::Ballot(Ballot::Closed { .. }) | Kept::Errand { .. } => None,
        })
    }
}
