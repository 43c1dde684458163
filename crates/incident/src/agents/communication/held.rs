//! Incidents that nobody is told of while a storm lasts. Each remembers what it would say, and looks again by itself; who asked is told
//! that the storm's notice speaks for it.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desk::{Desk, Turnout};
use super::line::Waiting;
use super::turn::Turn;
use crate::alert::Severity;
use crate::fact::What;
use crate::task::{Artifact, Bulletin, Phase, TaskStatus};

const LOOK: &str = "held";
/// Nobody is kept from knowing for longer than this, however long a storm lasts.
const HELD_MAX: TimeDelta = TimeDelta::hours(1);
/// Where people read of it meanwhile.
const NOTICE: &str = "the storm's notice";

/// What is not told yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Held {
    since: DateTime<Utc>,
    severity: Severity,
    chat: Option<Box<Bulletin>>,
    ticket: Option<Box<Bulletin>>,
}

impl Turn {
    /// Whether people are not to be told of this incident by itself now: they never were, and there is a storm.
    pub(super) fn holds_back(&mut self, desk: Option<&Desk>, severity: Severity, now: DateTime<Utc>) -> bool {
        let conversation = &mut self.conversation;
        let is_new = conversation.chat.newest == 0 && conversation.ticket.newest == 0;
        if conversation.held.is_none() && is_new && desk.is_some_and(Desk::is_stormy) {
            conversation.held = Some(Held { since: now, severity, chat: None, ticket: None });
            let summary = "held back: very much happens at once, and one notice tells of all of it".to_owned();
            self.facts.push(What::Told { place: NOTICE.to_owned(), summary });
            let at = desk.map(|desk| desk.turn_of(&self.conversation.incident, severity, now));
            self.timer(
                LOOK,
                Some(match at {
                    Some(Turnout::At(at)) => at,
                    Some(Turnout::Now) | None => now,
                }),
            );
        }
        self.conversation.held.is_some()
    }

    pub(super) fn hold_chat(&mut self, waiting: &Waiting, bulletin: Bulletin) {
        self.hold(waiting, bulletin, |held| &mut held.chat);
    }

    pub(super) fn hold_ticket(&mut self, waiting: &Waiting, bulletin: Bulletin) {
        self.hold(waiting, bulletin, |held| &mut held.ticket);
    }

    fn hold(&mut self, waiting: &Waiting, bulletin: Bulletin, line: impl FnOnce(&mut Held) -> &mut Option<Box<Bulletin>>) {
        self.answer(waiting, TaskStatus::Completed { artifact: Artifact::Delivered { place: Some(NOTICE.to_owned()) } });
        let Some(held) = &mut self.conversation.held else { return };
        held.severity = held.severity.max(bulletin.severity);
        let line = line(held);
        if line.as_ref().is_none_or(|known| known.number < bulletin.number) {
            *line = Some(Box::new(bulletin));
        }
    }

    /// A held incident looks whether it may be told now. One that is over by then need not be.
    pub(super) fn look_again(&mut self, desk: Option<&Desk>, now: DateTime<Utc>) {
        let Some(held) = self.conversation.held.take() else { return };
        let is_over = [&held.chat, &held.ticket].into_iter().flatten().any(|bulletin| bulletin.phase == Phase::Resolved);
        if is_over {
            // What was said before that, and comes later, is not worth showing any more.
            let number = [&held.chat, &held.ticket].into_iter().flatten().map(|bulletin| bulletin.number).max().unwrap_or(0);
            (self.conversation.chat.newest, self.conversation.chat.is_over) = (number, true);
            (self.conversation.ticket.newest, self.conversation.ticket.is_over) = (number, true);
            let summary = "it was over before anybody was told of it by itself".to_owned();
            return self.facts.push(What::Told { place: NOTICE.to_owned(), summary });
        }
        let turnout = desk.map_or(Turnout::Now, |desk| desk.turn_of(&self.conversation.incident, held.severity, now));
        if let Turnout::At(at) = turnout
            && now < held.since + HELD_MAX
        {
            self.timer(LOOK, Some(at.min(held.since + HELD_MAX)));
            self.conversation.held = Some(held);
            return;
        }
        if let Some(bulletin) = held.chat {
            self.show(*bulletin);
        }
        if let Some(bulletin) = held.ticket {
            // An issue is opened with what is new; what is newest may say nothing new of itself.
            let news = bulletin.news.clone().or_else(|| Some(bulletin.title.clone()));
            self.note(Bulletin { news, ..*bulletin });
        }
    }
}
