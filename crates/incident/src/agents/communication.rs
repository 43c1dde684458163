//! Communication: one card and one ticket per incident, kept in step with the newest bulletin. Whatever comes doubled, late or out of
//! order: at most one outside call per channel is under way, and each is decided from what is shown and what should be. While very many
//! incidents open at once, people get one notice of all of them, and each by itself only when that is over.

mod desk;
mod held;
mod line;
mod turn;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::{AUDIT, Agent, Content, Decision, Entity, Event, Locator, Misdirected};
use crate::fact::{Fact, What};
use crate::id::{IncidentId, TenantId};
use crate::storm::StormRules;
use crate::task::{Bulletin, Errand, Role, TaskRequest, TaskStatus};
pub use desk::Desk;
use held::Held;
pub use line::Place;
use line::{ChatJob, Line, TicketJob, Waiting};
use turn::Turn;

/// What communication remembers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Talk {
    /// Of all incidents of a tenant together.
    Desk(Box<Desk>),
    /// Of one.
    Conversation(Box<Conversation>),
}

/// What communication remembers of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    tenant: TenantId,
    incident: IncidentId,
    chat: Line<ChatJob>,
    ticket: Line<TicketJob>,
    /// Set while nobody is told of it, because too much happens at once.
    #[serde(default)]
    held: Option<Held>,
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
    /// When so much happens at once that people get one notice of it; tenants that are not listed have the usual rules.
    pub storms: BTreeMap<TenantId, StormRules>,
}

type Outcome = Decision<Talk, Say>;

impl Agent for Communicator {
    type State = Talk;
    type Effect = Say;
    type Outcome = Said;

    fn role(&self) -> Role {
        Role::Communication
    }

    fn locate(&self, content: &Content) -> Result<Locator, Misdirected> {
        match content {
            Content::Request(request) => Ok(Locator::Id(request.incident.to_string())),
            Content::Fact(_) => Ok(Locator::Id(desk::DESK.to_owned())),
            other => Err(other.misdirected(Role::Communication)),
        }
    }

    fn begins(&self, content: &Content) -> bool {
        let Content::Request(request) = content else { return false };
        matches!(&request.errand, Errand::Announce { bulletin } | Errand::Ticket { bulletin } if bulletin.number <= 1)
    }

    fn incident(&self, state: &Talk) -> Option<IncidentId> {
        match state {
            Talk::Desk(_) => None,
            Talk::Conversation(conversation) => Some(conversation.incident.clone()),
        }
    }

    fn beside(&self) -> Option<&'static str> {
        Some(desk::DESK)
    }

    fn decide(&self, entity: Option<Entity<Talk>>, event: Event<Said>, now: DateTime<Utc>) -> Outcome {
        self.decide_beside(entity, None, event, now)
    }

    fn decide_beside(
        &self,
        entity: Option<Entity<Talk>>,
        beside: Option<&Talk>,
        event: Event<Said>,
        now: DateTime<Utc>,
    ) -> Outcome {
        let desk = match beside {
            Some(Talk::Desk(desk)) => Some(&**desk),
            Some(Talk::Conversation(_)) | None => None,
        };
        match (event, entity.map(|e| e.state)) {
            (Event::Message(Content::Fact(fact)), Some(Talk::Desk(desk))) => self.opened(Some(*desk), &fact, now),
            (Event::Message(Content::Fact(fact)), None) => self.opened(None, &fact, now),
            (event, Some(Talk::Desk(known))) => known.goes_on(event, now, self),
            (Event::Message(Content::Request(request)), None) => self.asked(None, desk, request, now),
            (Event::Message(Content::Request(request)), Some(Talk::Conversation(known))) => {
                self.asked(Some(*known), desk, request, now)
            }
            (Event::Timer(name), Some(Talk::Conversation(known))) => {
                let mut turn = Turn::of(*known);
                if name == AUDIT {
                    turn.again();
                }
                turn.look_again(desk, now);
                turn.finish("looked at again")
            }
            (Event::Outcome { effect, result }, Some(Talk::Conversation(known))) => {
                let mut turn = Turn::of(*known);
                turn.ended(&effect, result);
                turn.finish("an outside call ended")
            }
            (Event::Message(_) | Event::Timer(_) | Event::Outcome { .. }, _) => Decision::unchanged("nothing waits for this"),
        }
    }
}

impl Communicator {
    fn rules(&self, tenant: &TenantId) -> StormRules {
        self.storms.get(tenant).copied().unwrap_or_default()
    }

    /// An incident was opened somewhere.
    fn opened(&self, desk: Option<Desk>, fact: &Fact, now: DateTime<Utc>) -> Outcome {
        if fact.by == Role::Communication {
            return Decision::unchanged("the desk's own words");
        }
        let What::Opened { title, severity, .. } = &fact.what else {
            return Decision::unchanged("no incident is opened by this");
        };
        let desk = desk.unwrap_or_else(|| Desk::new(fact.tenant.clone()));
        desk.opened((title, *severity), now, self)
    }

    fn asked(&self, known: Option<Conversation>, desk: Option<&Desk>, request: TaskRequest, now: DateTime<Utc>) -> Outcome {
        let tenant = &request.tenant;
        let conversation = known.unwrap_or_else(|| Conversation::new(tenant.clone(), request.incident.clone()));
        let mut turn = Turn::of(conversation);
        let task = request.task();
        let waiting = |number| Waiting { number, task, message_id: request.message_id.clone(), asked_by: request.from };
        match request.errand.clone() {
            Errand::Announce { bulletin } if self.chat.contains(tenant) => {
                if turn.holds_back(desk, bulletin.severity, now) {
                    turn.hold_chat(&waiting(bulletin.number), bulletin);
                } else {
                    turn.announce(waiting(bulletin.number), bulletin);
                }
            }
            Errand::Ticket { bulletin } if self.ticket.contains(tenant) => {
                if turn.holds_back(desk, bulletin.severity, now) {
                    turn.hold_ticket(&waiting(bulletin.number), bulletin);
                } else {
                    turn.ticket(waiting(bulletin.number), bulletin);
                }
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

impl Conversation {
    fn new(tenant: TenantId, incident: IncidentId) -> Self {
        Self { tenant, incident, chat: Line::default(), ticket: Line::default(), held: None }
    }
}
