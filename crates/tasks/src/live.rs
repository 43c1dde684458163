//! A task in memory that several use at once: its case under a lock, and a place where everybody learns of its progress.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use a2a::{A2aError, StreamResponse};
use store::a2a::{TaskKey, TaskWrite};
use tokio::sync::{oneshot, watch};

use crate::case::{
    Answer, Case, Committed, Draft, Found, Loaded, Offer, Offered, Recovered, Reported, Reporter, Standing, Start,
};
use crate::core::Core;
use crate::registry::Permit;

/// What those learn who wait for something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// How the task stands in the table.
    pub(crate) stored: Standing,
    /// Up to which change all are decided for good, and the last one that was refused after all.
    pub(crate) settled: u64,
    pub(crate) refused: u64,
    /// The call of the executor that should stop, and all before it.
    pub(crate) halted: u64,
}

/// A task in memory.
#[derive(Debug)]
pub(crate) struct Live {
    core: Arc<Core>,
    key: Arc<TaskKey>,
    pub(crate) owner: Arc<str>,
    pub(crate) context_id: Arc<str>,
    desk: Mutex<Desk>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug)]
struct Desk {
    case: Case,
    is_queued: bool,
    /// Who waits for the answer to a message, by its ticket.
    asking: Vec<(u64, oneshot::Sender<Answer>)>,
    tickets: u64,
    /// While the task is worked on here.
    permit: Option<Permit>,
    /// When it was last written or read, in looks of the keeper.
    touched: u64,
    recent: Recent,
}

/// The newest events, for streams. Kept while there are any.
#[derive(Debug, Default)]
struct Recent {
    subscribers: usize,
    events: VecDeque<(i64, Arc<StreamResponse>, usize)>,
    bytes: usize,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Offering {
    /// The answer will come.
    Asked(oneshot::Receiver<Answer>),
    /// Not yet; after the next write.
    Busy(Offer),
    Refused(A2aError),
}

impl Live {
    /// A task that begins, and where the answer to its message will come.
    pub(crate) fn begin(
        core: Arc<Core>,
        key: Arc<TaskKey>,
        case: Case,
        owner: Arc<str>,
        permit: Permit,
    ) -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let context_id = case.task().context_id.as_deref().unwrap_or_default().into();
        let live = Self::new(core, key, owner, context_id, case, Some(permit));
        live.desk().asking.push((0, sender));
        (Arc::new(live), receiver)
    }

    /// A task that was there before.
    pub(crate) fn known(core: Arc<Core>, key: TaskKey, loaded: Loaded) -> Arc<Self> {
        let (owner, context_id) = (loaded.owner.as_str().into(), loaded.context_id.as_str().into());
        let case = Case::known(Arc::clone(&core.us), loaded);
        Arc::new(Self::new(core, Arc::new(key), owner, context_id, case, None))
    }

    fn new(
        core: Arc<Core>,
        key: Arc<TaskKey>,
        owner: Arc<str>,
        context_id: Arc<str>,
        case: Case,
        permit: Option<Permit>,
    ) -> Self {
        let progress = watch::Sender::new(Progress { stored: case.stored().clone(), ..Progress::default() });
        let touched = core.looks();
        let recent = Recent::default();
        let desk = Desk { case, is_queued: false, asking: vec![], tickets: 0, permit, touched, recent };
        Self { core, key, owner, context_id, desk: Mutex::new(desk), progress }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn key(&self) -> &Arc<TaskKey> {
        &self.key
    }

    pub(crate) const fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Looks at the case as it is now.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&Case) -> T) -> T {
        at(&self.desk().case)
    }

    /// Takes part in the case: whatever it takes in is written as soon as may be.
    pub(crate) fn take_part<T>(self: &Arc<Self>, part: impl FnOnce(&mut Case) -> T) -> T {
        let mut desk = self.desk();
        let result = part(&mut desk.case);
        self.kick(&mut desk);
        result
    }

    /// Takes an event.
    pub(crate) fn report(self: &Arc<Self>, event: &Arc<StreamResponse>, text: &str, by: Reporter) -> Result<Reported, A2aError> {
        self.take_part(|case| case.report(Arc::clone(event), text.to_owned(), by, &self.core.limits))
    }

    /// Takes one more message.
    pub(crate) fn offer(self: &Arc<Self>, offer: Offer) -> Offering {
        let mut desk = self.desk();
        if desk.permit.is_none() {
            let permit = self.core.registry.running(&self.key.tenant, self.core.limits.running_per_tenant_max);
            let Some(permit) = permit else { return Offering::Refused(crate::sending::too_many()) };
            desk.permit = Some(permit);
        }
        desk.tickets += 1;
        let ticket = desk.tickets;
        let offering = match desk.case.offer(ticket, offer, &self.core.limits) {
            Offered::Taken => {
                let (sender, receiver) = oneshot::channel();
                desk.asking.push((ticket, sender));
                Offering::Asked(receiver)
            }
            Offered::Busy(offer) => Offering::Busy(offer),
            Offered::Refused(error) => Offering::Refused(error),
        };
        self.kick(&mut desk);
        desk.keep_permit(&self.core, &self.key);
        offering
    }

    /// Queues the task if it has something to write.
    pub(crate) fn kick_off(self: &Arc<Self>) {
        self.kick(&mut self.desk());
    }

    fn kick(self: &Arc<Self>, desk: &mut Desk) {
        if !desk.is_queued && desk.case.is_ready() {
            desk.is_queued = true;
            self.core.queue.push(Arc::clone(self));
        }
    }

    /// What is to be written now. Nothing, if the caller of a task that begins has gone: then it does not begin.
    pub(crate) fn draft(&self) -> Result<Option<Draft>, A2aError> {
        let mut desk = self.desk();
        desk.is_queued = false;
        let is_abandoned = desk.case.revision() == 0 && desk.asking.iter().all(|(_, sender)| sender.is_closed());
        if is_abandoned { Ok(None) } else { desk.case.draft(&self.key) }
    }

    /// What was drafted is stored. Answers with the work that is to begin.
    pub(crate) fn committed(self: &Arc<Self>, document_bytes: Option<usize>) -> Option<Start> {
        let mut desk = self.desk();
        let committed = desk.case.committed(document_bytes);
        self.settle(&mut desk, Recovered { committed: Some(committed), answers: vec![] })
    }

    /// What was drafted was refused.
    pub(crate) fn recover(self: &Arc<Self>, write: &TaskWrite, found: Found) -> Option<Start> {
        let mut desk = self.desk();
        let recovered = desk.case.recover(write, found, &self.core.limits);
        self.settle(&mut desk, recovered)
    }

    /// What was drafted cannot be stored.
    pub(crate) fn forsake(self: &Arc<Self>, found: Found) {
        let mut desk = self.desk();
        let recovered = desk.case.forsake(found);
        // The task is about to fail: nothing more begins on it.
        drop(self.settle(&mut desk, recovered));
    }

    /// Somebody else may have written the task.
    pub(crate) fn refresh(self: &Arc<Self>, loaded: Loaded) -> Option<Start> {
        let mut desk = self.desk();
        if !desk.case.is_idle() {
            return None;
        }
        let recovered = desk.case.refresh(loaded, &self.core.limits);
        self.settle(&mut desk, recovered)
    }

    /// Begins the next work if there is some.
    pub(crate) fn start(self: &Arc<Self>) -> Option<Start> {
        let mut desk = self.desk();
        let start = if self.core.stopping.is_cancelled() { None } else { desk.case.start() };
        desk.keep_permit(&self.core, &self.key);
        start
    }

    /// Tells everybody.
    fn settle(self: &Arc<Self>, desk: &mut Desk, recovered: Recovered) -> Option<Start> {
        desk.touched = self.core.looks();
        let mut answers = recovered.answers;
        if let Some(committed) = recovered.committed {
            desk.recent.keep(&committed, self.core.limits.recent_bytes_max);
            answers.extend(committed.answer);
        }
        let start = if self.core.stopping.is_cancelled() { None } else { desk.case.start() };
        let (case, halted) = (&desk.case, desk.case.halted().unwrap_or_default());
        self.progress.send_modify(|progress| {
            progress.stored = case.stored().clone();
            progress.settled = case.settled();
            progress.refused = case.refused();
            progress.halted = progress.halted.max(halted);
        });
        for (ticket, answer) in answers {
            if let Some(place) = desk.asking.iter().position(|(asking, _)| *asking == ticket) {
                // Who has gone finds the answer in the table.
                drop(desk.asking.swap_remove(place).1.send(answer));
            }
        }
        desk.keep_permit(&self.core, &self.key);
        self.kick(desk);
        start
    }

    /// Whether it is time to look what others did to the task, and the revision that is known. Nothing of this process is on its way.
    pub(crate) fn is_stale(&self, now: u64) -> Option<i64> {
        let desk = self.desk();
        let is_stale = desk.touched < now && desk.case.is_still() && !desk.case.stored().has_ended && desk.case.revision() > 0;
        is_stale.then(|| desk.case.revision())
    }

    /// The events after `position`, if they are at hand.
    pub(crate) fn recent(&self, position: i64) -> Option<Vec<(i64, Arc<StreamResponse>)>> {
        let desk = self.desk();
        let new = desk.recent.events.iter().filter(|(seq, ..)| *seq > position);
        let new: Vec<_> = new.map(|(seq, event, _)| (*seq, Arc::clone(event))).collect();
        // Those that other processes wrote are in the table only.
        let is_next = new.first().is_some_and(|(seq, _)| *seq == position + 1);
        is_next.then_some(new)
    }

    /// One more stream, if the task may have one.
    pub(crate) fn subscribe(&self) -> bool {
        let mut desk = self.desk();
        let has_room = desk.recent.subscribers < self.core.limits.subscribers_per_task_max;
        desk.recent.subscribers += usize::from(has_room);
        has_room
    }

    pub(crate) fn unsubscribe(&self) {
        let mut desk = self.desk();
        desk.recent.subscribers = desk.recent.subscribers.saturating_sub(1);
        if desk.recent.subscribers == 0 {
            desk.recent.events.clear();
            desk.recent.bytes = 0;
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.core.registry.forget(&self.key);
    }
}

impl Desk {
    /// A task counts as running as long as there is work for it here. One that was taken over counts, but is never refused.
    fn keep_permit(&mut self, core: &Core, key: &TaskKey) {
        match (self.case.is_ours(), self.permit.is_some()) {
            (true, false) => self.permit = core.registry.running(&key.tenant, usize::MAX),
            (false, true) => self.permit = None,
            (true, true) | (false, false) => {}
        }
    }
}

impl Recent {
    fn keep(&mut self, committed: &Committed, bytes_max: usize) {
        if self.subscribers == 0 || committed.events.is_empty() {
            return;
        }
        // Somebody else's events stand between.
        if self.events.back().is_some_and(|(last, ..)| last + 1 != committed.first_seq) {
            self.events.clear();
            self.bytes = 0;
        }
        for (seq, (event, bytes)) in (committed.first_seq..).zip(&committed.events) {
            self.events.push_back((seq, Arc::clone(event), *bytes));
            self.bytes += bytes;
        }
        while self.bytes > bytes_max {
            let Some((.., bytes)) = self.events.pop_front() else { break };
            self.bytes -= bytes;
        }
    }
}
