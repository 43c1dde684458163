//! What people read: the card, the line in its thread, the ticket.

use super::StepName;
use super::open::Remedy;
use super::turn::Turn;
use crate::agent::Outgoing;
use crate::task::{Ask, Bulletin, Errand, Phase};

impl Turn {
    /// How it stands, in this phase.
    pub(super) fn bulletin(&self, phase: Phase) -> Bulletin {
        let open = &self.open;
        let ask = match &open.remedy {
            Remedy::Asked { request } if phase == Phase::AwaitingApproval => Some(Ask { request: (**request).clone() }),
            _ => None,
        };
        Bulletin {
            number: open.bulletins,
            title: open.title(),
            severity: open.severity,
            phase,
            news: self.news(phase),
            findings: open.findings(),
            ask,
            gaps: open.gaps.clone(),
            opened_at: open.opened_at,
            follows: open.follows.clone(),
            attended: open.attendance.sentence(),
        }
    }

    /// Why the incident is where it is, for the record.
    pub(super) fn why(&self) -> String {
        if let (Phase::Flapping, Some(flapping)) = (self.open.phase(), &self.open.flapping) {
            return flapping.sentence();
        }
        if let Some(why) = self.hushed_why() {
            return why;
        }
        match &self.open.remedy {
            Remedy::Asked { request } => format!("{} ({})", request.plan.headline(), request.approval),
            Remedy::Running => "approved; the change is being made and verified".to_owned(),
            Remedy::Recovered { summary } => summary.clone(),
            Remedy::None { reason } => reason.clone(),
            Remedy::Unknown => self.open.title(),
        }
    }

    /// Why nobody is told of it, while that is where it is.
    fn hushed_why(&self) -> Option<String> {
        match self.open.phase() {
            Phase::Silenced => self.open.muted.as_ref().map(|muted| format!("until {} ({})", muted.until, muted.why)),
            Phase::PartOfAnother => {
                let origin = self.open.origin()?;
                Some(format!("{} fails, on which this depends ({})", origin.service, origin.incident))
            }
            _ => None,
        }
    }

    /// What is new, for people in the thread.
    fn news(&self, phase: Phase) -> Option<String> {
        if !self.lines.is_empty() {
            return Some(self.lines.join(" "));
        }
        let is_new = phase != self.before || self.open.bulletins <= 1 || self.reminders > 0;
        is_new.then(|| self.news_of(phase))
    }

    fn news_of(&self, phase: Phase) -> String {
        if let (Phase::Flapping, Some(flapping)) = (phase, &self.open.flapping) {
            return format!("Incident is {}: {}", flapping.sentence(), self.open.title());
        }
        if let Some(why) = self.hushed_why() {
            return format!("Incident {}: {why}", phase.label());
        }
        match &self.open.remedy {
            Remedy::Asked { request } => {
                let still = if self.reminders > 0 { "Reminder, still waiting for an answer: " } else { "" };
                format!("{still}{}. Approve with: paramedic approve {}", request.plan.headline(), request.approval)
            }
            Remedy::Running => "Approved; the change is being made and verified.".to_owned(),
            Remedy::Recovered { summary } => summary.clone(),
            Remedy::None { reason } if self.reminders > 0 => format!("Reminder, still needs people: {reason}"),
            Remedy::None { reason } => format!("Needs people: {reason}"),
            Remedy::Unknown => format!("Incident {}: {}", phase.label(), self.open.title()),
        }
    }

    /// A later bulletin, to chat and ticket.
    pub(super) fn tell(&mut self) {
        self.tell_in(self.open.phase());
    }

    /// The same, of an incident that is in this phase by now.
    pub(super) fn tell_in(&mut self, phase: Phase) {
        self.open.bulletins += 1;
        let bulletin = self.bulletin(phase);
        let id = |kind: &str| format!("{}/{kind}.b{}", self.open.id, bulletin.number);
        let announce = self.open.request(StepName::Announce, id("announce"), Errand::Announce { bulletin: bulletin.clone() });
        let ticket = self.open.request(StepName::Ticket, id("ticket"), Errand::Ticket { bulletin: bulletin.clone() });
        self.outgoing.extend([Outgoing::Request(announce), Outgoing::Request(ticket)]);
    }
}
