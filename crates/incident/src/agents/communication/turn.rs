//! One decision of a conversation in the making: what is taken in, what is shown, and what is done next on either line.

use chrono::{DateTime, Utc};

use crate::agent::{Decision, Effect, Entity, Failure, Outgoing, Timer};
use crate::fact::What;
use crate::task::{Artifact, Bulletin, Phase, Role, TaskEvent, TaskStatus};

use super::line::{ChatJob, Place, TicketJob, Waiting, name, shorten};
use super::{Conversation, Outcome, Said, Say, Talk};

/// One decision in the making.
pub(super) struct Turn {
    pub(super) conversation: Conversation,
    outgoing: Vec<Outgoing>,
    effects: Vec<Effect<Say>>,
    pub(super) facts: Vec<What>,
    timers: Vec<Timer>,
}

impl Turn {
    pub(super) fn of(conversation: Conversation) -> Self {
        Self { conversation, outgoing: vec![], effects: vec![], facts: vec![], timers: vec![] }
    }

    pub(super) fn answer(&mut self, waiting: &Waiting, status: TaskStatus) {
        self.outgoing.push(Outgoing::Event(TaskEvent {
            tenant: self.conversation.tenant.clone(),
            task: waiting.task.clone(),
            message_id: waiting.message_id.clone(),
            incident: self.conversation.incident.clone(),
            from: Role::Communication,
            to: waiting.asked_by,
            number: 1,
            status,
        }));
    }

    /// What would be told, for the record alone.
    pub(super) fn log(&mut self, bulletin: &Bulletin, place: &str) {
        if let Some(summary) = bulletin.news.clone() {
            self.facts.push(What::Told { place: place.to_owned(), summary });
        }
    }

    pub(super) fn only_log(&mut self, waiting: &Waiting, bulletin: &Bulletin, place: &str) {
        self.log(bulletin, place);
        self.answer(waiting, TaskStatus::Completed { artifact: Artifact::Delivered { place: None } });
    }

    pub(super) fn announce(&mut self, waiting: Waiting, bulletin: Bulletin) {
        self.show(bulletin);
        self.conversation.chat.waiting.push(waiting);
    }

    /// Makes the card show this bulletin, unless it shows a newer one.
    pub(super) fn show(&mut self, bulletin: Bulletin) {
        let line = &mut self.conversation.chat;
        let is_first = line.newest == 0;
        let number = bulletin.number;
        if let Some(text) = bulletin.news.clone().filter(|_| !is_first) {
            line.queue.push_back(ChatJob::Say { number, text });
        }
        if number > line.newest {
            // Only the newest bulletin is worth showing: the card goes before the lines, older unshown ones are dropped.
            line.newest = number;
            line.queue.retain(|job| !matches!(job, ChatJob::Show { .. }));
            line.queue.push_front(ChatJob::Show { bulletin: Box::new(bulletin) });
        }
    }

    pub(super) fn ticket(&mut self, waiting: Waiting, bulletin: Bulletin) {
        self.note(bulletin);
        self.conversation.ticket.waiting.push(waiting);
    }

    /// Has the ticket say this.
    pub(super) fn note(&mut self, bulletin: Bulletin) {
        let line = &mut self.conversation.ticket;
        let number = bulletin.number;
        let is_newest = number > line.newest;
        let was_never_told = line.place.is_none() && line.busy.is_none() && line.queue.is_empty();
        if !is_newest && line.is_over && was_never_told {
            return;
        }
        line.newest = line.newest.max(number);
        let (was_over, is_over) = (line.is_over, if is_newest { bulletin.phase == Phase::Resolved } else { line.is_over });
        line.is_over = is_over;
        if was_over && !is_over {
            line.queue.push_back(TicketJob::Reopen { number });
        }
        if let Some(text) = bulletin.news.clone() {
            line.queue.push_back(TicketJob::Note { number, bulletin: Box::new(bulletin), text });
        }
        if is_newest && is_over {
            line.queue.push_back(TicketJob::Finish { number });
        }
    }

    /// Sets the conversation's timer, or takes it back.
    pub(super) fn timer(&mut self, name: &str, at: Option<DateTime<Utc>>) {
        self.timers.push(Timer { name: name.to_owned(), at });
    }

    /// An outside call ended; `effect` begins with the line's name.
    pub(super) fn ended(&mut self, effect: &str, result: Result<Said, Failure>) {
        let (place, failure) = match result {
            Ok(Said::At(place)) => (Some(place), None),
            Ok(Said::Done) => (None, None),
            Err(failure) => (None, Some(failure.reason)),
        };
        if effect.starts_with("chat") {
            if let Some(job) = self.conversation.chat.busy.take() {
                self.cost(&format!("slack.{}", job.verb()));
                let is_first = self.conversation.chat.place.is_none();
                self.told("Slack", place.as_ref(), job.news(is_first), failure.as_ref());
            }
            self.conversation.chat.place = place.or(self.conversation.chat.place.take());
        } else {
            if let Some(job) = self.conversation.ticket.busy.take() {
                self.cost(&format!("jira.{}", job.verb()));
                self.told("Jira", place.as_ref(), Some(job.news()), failure.as_ref());
            }
            self.conversation.ticket.place = place.or(self.conversation.ticket.place.take());
        }
        self.release(effect.starts_with("chat"), failure.as_deref());
    }

    fn cost(&mut self, item: &str) {
        self.facts.push(What::Cost { item: item.to_owned(), calls: 1 });
    }

    fn told(&mut self, provider: &str, place: Option<&Place>, news: Option<String>, failure: Option<&String>) {
        if let Some(reason) = failure {
            self.facts.push(What::Gap { reason: format!("{provider}: {reason}") });
        } else if let Some(summary) = news {
            let place = place.map_or_else(|| provider.to_owned(), |place| format!("{provider} {}", place.name));
            self.facts.push(What::Told { place, summary });
        }
    }

    /// The calls under way were lost: they are made again, and who makes them finds what an earlier try did.
    pub(super) fn again(&mut self) {
        if let Some(job) = self.conversation.chat.busy.take() {
            self.conversation.chat.queue.push_front(job);
        }
        if let Some(job) = self.conversation.ticket.busy.take() {
            self.conversation.ticket.queue.push_front(job);
        }
    }

    /// Answers the tasks whose bulletin is through.
    fn release(&mut self, is_chat: bool, failure: Option<&str>) {
        let (waiting, place, still_due) = if is_chat {
            let line = &mut self.conversation.chat;
            (std::mem::take(&mut line.waiting), line.place.clone(), line.queue.iter().map(ChatJob::number).min())
        } else {
            let line = &mut self.conversation.ticket;
            (std::mem::take(&mut line.waiting), line.place.clone(), line.queue.iter().map(TicketJob::number).min())
        };
        for task in waiting {
            if failure.is_none() && still_due.is_some_and(|due| due <= task.number) {
                let line = if is_chat { &mut self.conversation.chat.waiting } else { &mut self.conversation.ticket.waiting };
                line.push(task);
                continue;
            }
            let status = match failure {
                Some(reason) => {
                    let channel = if is_chat { "Slack" } else { "Jira" };
                    TaskStatus::Failed { reason: format!("{channel} was not told: {reason}") }
                }
                None => TaskStatus::Completed { artifact: Artifact::Delivered { place: Some(name(is_chat, place.as_ref())) } },
            };
            self.answer(&task, status);
        }
    }

    /// Starts what may start on both lines.
    pub(super) fn finish(self, why: &str) -> Outcome {
        self.finish_as(why, |conversation| {
            let id = conversation.incident.to_string();
            // Open while it waits for anything.
            let waits = conversation.chat.busy.is_some() || conversation.ticket.busy.is_some() || conversation.held.is_some();
            Entity { open_key: waits.then(|| id.clone()), id, state: Talk::Conversation(Box::new(conversation)) }
        })
    }

    /// The same, for a conversation that is a part of something else.
    pub(super) fn finish_as(mut self, why: &str, entity: impl FnOnce(Conversation) -> Entity<Talk>) -> Outcome {
        self.pump_chat();
        self.pump_ticket();
        let incident = self.conversation.incident.clone();
        Decision {
            outgoing: self.outgoing,
            effects: self.effects,
            timers: self.timers,
            facts: self.facts.into_iter().map(|what| (incident.clone(), what)).collect(),
            ..Decision::put(entity(self.conversation), why)
        }
    }

    fn pump_chat(&mut self) {
        let incident = self.conversation.incident.clone();
        let line = &mut self.conversation.chat;
        shorten(&mut line.queue);
        if line.busy.is_some() {
            return;
        }
        let Some(job) = line.queue.pop_front() else { return };
        let body = match (&job, line.place.clone()) {
            (ChatJob::Show { bulletin }, None) => Say::PostCard { incident, bulletin: bulletin.clone() },
            (ChatJob::Show { bulletin }, Some(place)) => Say::EditCard { incident, place, bulletin: bulletin.clone() },
            (ChatJob::Say { text, .. }, Some(place)) => Say::PostLine { place, text: text.clone() },
            // No card, so no thread: the card could not be posted, which is said as a gap.
            (ChatJob::Say { .. }, None) => return self.pump_chat(),
        };
        self.effects.push(Effect { name: format!("chat-{}-{}", job.verb(), job.number()), body });
        line.busy = Some(job);
    }

    fn pump_ticket(&mut self) {
        let incident = self.conversation.incident.clone();
        let line = &mut self.conversation.ticket;
        shorten(&mut line.queue);
        if line.busy.is_some() {
            return;
        }
        let Some(job) = line.queue.pop_front() else { return };
        let body = match (&job, line.place.clone()) {
            (TicketJob::Note { bulletin, .. }, None) => Say::OpenIssue { incident, bulletin: bulletin.clone() },
            (TicketJob::Note { text, .. }, Some(place)) => Say::Comment { place, text: text.clone() },
            (TicketJob::Finish { .. }, Some(place)) => Say::FinishIssue { place },
            (TicketJob::Reopen { .. }, Some(place)) => Say::ReopenIssue { place },
            (TicketJob::Finish { .. } | TicketJob::Reopen { .. }, None) => return self.pump_ticket(),
        };
        self.effects.push(Effect { name: format!("ticket-{}-{}", job.verb(), job.number()), body });
        line.busy = Some(job);
    }
}
