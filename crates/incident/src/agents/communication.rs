//! Communication: one card and one ticket per incident, kept in step with the newest bulletin. Whatever comes doubled, late or out of
//! order: at most one outside call per channel is under way, and each is decided from what is shown and what should be.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, Content, Decision, Effect, Entity, Event, Failure, Locator, Misdirected, Outgoing};
use crate::fact::What;
use crate::id::{IncidentId, TaskId, TenantId};
use crate::task::{Artifact, Bulletin, Errand, Phase, Role, TaskEvent, TaskRequest, TaskStatus};

/// Thread lines and ticket comments that wait for a provider; past that the oldest is dropped and the gap said.
const WAITING_MAX: usize = 100;

/// What communication remembers of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    tenant: TenantId,
    incident: IncidentId,
    chat: Line<ChatJob>,
    ticket: Line<TicketJob>,
}

/// One channel to people: a place, a queue, and at most one call under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Line<J> {
    /// Number of the newest bulletin taken.
    newest: u32,
    /// The card or issue, once it is there.
    place: Option<Place>,
    /// What is still to be done, in order.
    queue: VecDeque<J>,
    /// What is under way.
    busy: Option<J>,
    /// Tasks to answer once the queue has come to their bulletin.
    waiting: Vec<Waiting>,
    /// Whether the newest bulletin said that the incident is over.
    #[serde(default)]
    is_over: bool,
}

impl<J> Default for Line<J> {
    fn default() -> Self {
        Self { newest: 0, place: None, queue: VecDeque::new(), busy: None, waiting: vec![], is_over: false }
    }
}

/// A card or an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Slack channel id, or Jira project.
    pub room: String,
    /// Slack message timestamp, or Jira issue key.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Waiting {
    number: u32,
    task: TaskId,
    message_id: String,
    asked_by: Role,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "job", rename_all = "snake_case")]
enum ChatJob {
    /// Make the card show this bulletin.
    Show { bulletin: Box<Bulletin> },
    /// Add a line to its thread.
    Say { number: u32, text: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "job", rename_all = "snake_case")]
enum TicketJob {
    /// Open the issue, or comment on it if it is there.
    Note { number: u32, bulletin: Box<Bulletin>, text: String },
    /// Move it to done.
    Finish { number: u32 },
    /// Move it away from done.
    Reopen { number: u32 },
}

/// What communication does outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Say {
    /// Post the card.
    PostCard {
        /// Which incident.
        incident: IncidentId,
        /// What it shows.
        bulletin: Box<Bulletin>,
    },
    /// Edit the card.
    EditCard {
        /// Which incident.
        incident: IncidentId,
        /// Where it is.
        place: Place,
        /// What it shows now.
        bulletin: Box<Bulletin>,
    },
    /// Post a line under the card.
    PostLine {
        /// Under which.
        place: Place,
        /// Text, untrusted parts and all: escaped when it is sent.
        text: String,
    },
    /// Open an issue.
    OpenIssue {
        /// Which incident.
        incident: IncidentId,
        /// What it says.
        bulletin: Box<Bulletin>,
    },
    /// Comment on it.
    Comment {
        /// On which.
        place: Place,
        /// Text.
        text: String,
    },
    /// Move it to done.
    FinishIssue {
        /// Which.
        place: Place,
    },
    /// Move it away from done.
    ReopenIssue {
        /// Which.
        place: Place,
    },
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A card or issue is there, now or by an earlier try.
    At(Place),
    /// Done.
    Done,
}

/// Communication's behaviour: which tenants have which channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Communicator {
    /// Tenants with Slack.
    pub chat: BTreeSet<TenantId>,
    /// Tenants with Jira.
    pub ticket: BTreeSet<TenantId>,
}

type Outcome = Decision<Conversation, Say>;

impl Agent for Communicator {
    type State = Conversation;
    type Effect = Say;
    type Outcome = Said;

    fn role(&self) -> Role {
        Role::Communication
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Request(request) => Ok(Locator::Id(request.incident.to_string())),
            other => Err(other.misdirected(Role::Communication)),
        }
    }

    fn decide(&self, entity: Option<Entity<Conversation>>, event: Event<Said>, _now: DateTime<Utc>) -> Outcome {
        let known = entity.map(|e| e.state);
        match (event, known) {
            (Event::Message(Content::Request(request)), known) => self.asked(known, request),
            (Event::Outcome { effect, result }, Some(known)) => Turn::of(known).ended(&effect, result),
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("nothing waits for this"),
        }
    }
}

impl Communicator {
    fn asked(&self, known: Option<Conversation>, request: TaskRequest) -> Outcome {
        let conversation = known.unwrap_or_else(|| Conversation {
            tenant: request.tenant.clone(),
            incident: request.incident.clone(),
            chat: Line::default(),
            ticket: Line::default(),
        });
        let mut turn = Turn::of(conversation);
        let task = request.task();
        let waiting = |number| Waiting { number, task, message_id: request.message_id.clone(), asked_by: request.from };
        match request.errand.clone() {
            Errand::Announce { bulletin } if self.chat.contains(&request.tenant) => {
                turn.announce(waiting(bulletin.number), bulletin);
            }
            Errand::Ticket { bulletin } if self.ticket.contains(&request.tenant) => {
                turn.ticket(waiting(bulletin.number), bulletin);
            }
            Errand::Announce { bulletin } => turn.only_log(&waiting(bulletin.number), &bulletin, "log (Slack is not configured)"),
            Errand::Ticket { bulletin } => turn.only_log(&waiting(bulletin.number), &bulletin, "log (Jira is not configured)"),
            Errand::Diagnose { .. } | Errand::Remediate { .. } => {
                let status = TaskStatus::Rejected { reason: "communication has no such skill".to_owned() };
                turn.answer(&waiting(0), status);
            }
        }
        turn.finish("people are told")
    }
}

/// One decision in the making.
struct Turn {
    conversation: Conversation,
    outgoing: Vec<Outgoing>,
    effects: Vec<Effect<Say>>,
    facts: Vec<What>,
}

impl Turn {
    fn of(conversation: Conversation) -> Self {
        Self { conversation, outgoing: vec![], effects: vec![], facts: vec![] }
    }

    fn answer(&mut self, waiting: &Waiting, status: TaskStatus) {
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

    fn only_log(&mut self, waiting: &Waiting, bulletin: &Bulletin, place: &str) {
        if let Some(summary) = bulletin.news.clone() {
            self.facts.push(What::Told { place: place.to_owned(), summary });
        }
        self.answer(waiting, TaskStatus::Completed { artifact: Artifact::Delivered { place: None } });
    }

    fn announce(&mut self, waiting: Waiting, bulletin: Bulletin) {
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
        line.waiting.push(waiting);
    }

    fn ticket(&mut self, waiting: Waiting, bulletin: Bulletin) {
        let line = &mut self.conversation.ticket;
        let number = bulletin.number;
        let is_newest = number > line.newest;
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
        line.waiting.push(waiting);
    }

    /// An outside call ended; `effect` begins with the line's name.
    fn ended(mut self, effect: &str, result: Result<Said, Failure>) -> Outcome {
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
        self.finish("an outside call ended")
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
    fn finish(mut self, why: &str) -> Outcome {
        self.pump_chat();
        self.pump_ticket();
        let id = self.conversation.incident.to_string();
        let incident = self.conversation.incident.clone();
        Decision {
            outgoing: self.outgoing,
            effects: self.effects,
            facts: self.facts.into_iter().map(|what| (incident.clone(), what)).collect(),
            ..Decision::put(Entity { id, open_key: None, state: self.conversation }, why)
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

/// Bounds a queue that waits for a provider: the oldest line goes first, the card and the newest lines stay.
fn shorten<J>(queue: &mut VecDeque<J>) {
    while queue.len() > WAITING_MAX {
        let _oldest_line = queue.remove(1);
    }
}

fn name(is_chat: bool, place: Option<&Place>) -> String {
    match (is_chat, place) {
        (true, Some(place)) => format!("Slack {} {}", place.room, place.name),
        (false, Some(place)) => format!("Jira {}", place.name),
        (_, None) => "nowhere".to_owned(),
    }
}

impl ChatJob {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Show { .. } => "card",
            Self::Say { .. } => "line",
        }
    }

    const fn number(&self) -> u32 {
        match self {
            Self::Show { bulletin } => bulletin.number,
            Self::Say { number, .. } => *number,
        }
    }

    /// What people learn from it, if it `is_first` or not. The first card need not be that of the first bulletin: a later one may have
    /// come before.
    fn news(&self, is_first: bool) -> Option<String> {
        match self {
            Self::Show { bulletin } if is_first => Some(bulletin.news.clone().unwrap_or_else(|| bulletin.title.clone())),
            Self::Show { .. } => None,
            Self::Say { text, .. } => Some(text.clone()),
        }
    }
}

impl TicketJob {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Note { .. } => "note",
            Self::Finish { .. } => "finish",
            Self::Reopen { .. } => "reopen",
        }
    }

    const fn number(&self) -> u32 {
        match self {
            Self::Note { number, .. } | Self::Finish { number } | Self::Reopen { number } => *number,
        }
    }

    fn news(&self) -> String {
        match self {
            Self::Note { text, .. } => text.clone(),
            Self::Finish { .. } => "moved to done".to_owned(),
            Self::Reopen { .. } => "moved away from done".to_owned(),
        }
    }
}
