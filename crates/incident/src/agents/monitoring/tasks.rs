//! What other agents tell of their tasks.

use chrono::TimeDelta;

use super::open::Remedy;
use super::rest::asks_in_vain;
use super::turn::Turn;
use super::{GRAPH, Outcome, StepName};
use crate::agent::Decision;
use crate::evidence::Verdict;
use crate::fact::What;
use crate::task::{Artifact, Role, TaskEvent, TaskStatus};
use crate::workflow::StepState;

/// How often the cause is looked for anew because its target changed, before people take over.
const OUTDATED_MAX: u32 = 2;

impl Turn {
    pub(super) fn task_event(mut self, event: TaskEvent) -> Outcome {
        let Some(name) = self.open.workflow.step_of(&event.task) else { return self.stray_event(event) };
        let Some(spec) = GRAPH.iter().find(|spec| spec.name == name) else { return Decision::unchanged("no such step") };
        if event.from != name.agent() {
            return Decision::unchanged(format!("{} speaks of a task of {}", event.from, name.agent()));
        }
        if !self.open.workflow.hear(name, event.number, self.now + TimeDelta::seconds(spec.timeout_s)) {
            return Decision::unchanged("old news of the task");
        }
        match event.status {
            TaskStatus::Working { note } => self.working(name, note),
            TaskStatus::AuthRequired { request, reminders } => {
                self.is_news = true;
                self.reminders = reminders;
                self.open.remedy = Remedy::Asked { request };
            }
            TaskStatus::Completed { artifact } => {
                self.open.workflow.end(name, StepState::Done);
                self.completed(name, artifact);
            }
            // A plan that nothing needs any more was turned down before anything was changed: no reason to call people.
            TaskStatus::Rejected { reason }
                if name == StepName::Remediate && self.open.is_quiet() && self.open.flapping.is_none() =>
            {
                self.open.workflow.end(name, StepState::GaveUp { reason });
            }
            TaskStatus::Failed { reason } | TaskStatus::Rejected { reason } => self.gave_up(name, reason),
            TaskStatus::Outdated { reason } => self.outdated(name, reason),
        }
        self.finish("a task moved on")
    }

    /// Bulletins after the first are not steps; all that matters of them is whether they failed.
    fn stray_event(mut self, event: TaskEvent) -> Outcome {
        if let Some(taken_back) = asks_in_vain(&event) {
            return Decision { outgoing: vec![taken_back], ..Decision::unchanged("nobody waits for that plan any more") };
        }
        match event.status {
            TaskStatus::Failed { reason } | TaskStatus::Rejected { reason } if event.from == Role::Communication => {
                self.gap(reason);
                // Announcing that announcing failed would go round in circles: the gap is shown with the next real news.
                self.is_news = false;
                self.finish("people could not be told")
            }
            _ => Decision::unchanged("a task that no step waits for"),
        }
    }

    fn working(&mut self, name: StepName, note: String) {
        if name == StepName::Remediate && !matches!(self.open.remedy, Remedy::Unknown) {
            self.open.remedy = Remedy::Running;
        }
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: note });
    }

    fn completed(&mut self, name: StepName, artifact: Artifact) {
        match artifact {
            Artifact::Diagnosis { diagnosis } => {
                self.facts.push(What::Diagnosed { diagnosis: diagnosis.clone() });
                if let Verdict::Inconclusive { reason } = &diagnosis.verdict {
                    self.no_remedy(format!("the cause was not found: {reason}"));
                }
                self.open.diagnosis = Some(diagnosis);
                self.is_news = true;
            }
            Artifact::Recovery { summary } => self.open.remedy = Remedy::Recovered { summary },
            Artifact::Delivered { place: Some(place) } => {
                self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("see {place}") });
            }
            Artifact::Delivered { place: None } => {
                self.gap(format!(
                    "{}: not configured; see the log, or `paramedic incident timeline {}`",
                    name.as_str(),
                    self.open.id
                ));
            }
        }
    }

    pub(super) fn gave_up(&mut self, name: StepName, reason: String) {
        self.open.workflow.end(name, StepState::GaveUp { reason: reason.clone() });
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("gave up: {reason}") });
        // We took it back when nothing fired, and by now something does again.
        if name == StepName::Remediate && self.open.is_withdrawn && !self.open.is_quiet() {
            return self.begin_anew();
        }
        match name {
            StepName::Diagnose => self.no_remedy(format!("the diagnosis failed: {reason}")),
            StepName::Remediate => self.no_remedy(reason),
            StepName::Announce | StepName::Ticket => self.gap(reason),
        }
    }

    /// The workload is not what was diagnosed: the remedy would be for yesterday's trouble. The cause is looked for again.
    fn outdated(&mut self, name: StepName, reason: String) {
        if name != StepName::Remediate || self.open.outdated >= OUTDATED_MAX {
            return self.gave_up(name, reason);
        }
        self.facts.push(What::StepChanged { step: name.as_str().to_owned(), how: format!("diagnosed anew: {reason}") });
        self.open.outdated += 1;
        self.begin_anew();
    }

    pub(super) fn no_remedy(&mut self, reason: String) {
        self.open.workflow.end(StepName::Remediate, StepState::GaveUp { reason: reason.clone() });
        self.open.remedy = Remedy::None { reason };
    }
}
