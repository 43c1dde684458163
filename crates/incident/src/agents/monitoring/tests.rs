//! Whole courses of incidents, with agents who answer at once: the cause is never found, so people have them.

mod lifecycle;
mod order;
mod orders;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::agent::Outgoing;
use crate::alert::tests::alert;
use crate::alert::{Alert, AlertStatus, Correlation, Notification};
use crate::evidence::{Diagnosis, Verdict};
use crate::fact::What;
use crate::task::{Artifact, Errand, Phase, TaskEvent, TaskRequest, TaskStatus};

fn at(s: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(s)
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

/// One key's alerts as they stand in one call.
fn notification(alerts: Vec<Alert>) -> Notification {
    Notification::split(&tenant(), "{}:{}", alerts, 0, &Correlation::default()).remove(0)
}

/// What happens to one key, and what comes of it.
#[derive(Clone)]
struct Course {
    monitoring: Monitoring,
    entity: Option<Entity<Incident>>,
    deadline: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    /// In a word each, in order.
    log: Vec<String>,
    asked: Vec<TaskRequest>,
    answers: bool,
}

impl Course {
    fn new(rules: Lifecycle) -> Self {
        let monitoring = Monitoring { tenants: [(tenant(), rules)].into(), ..Monitoring::default() };
        Self { monitoring, entity: None, deadline: None, now: at(0), log: vec![], asked: vec![], answers: true }
    }

    fn decide(&mut self, event: Event<()>) {
        let decision = self.monitoring.decide(self.entity.clone(), event, self.now);
        self.entity = decision.next.or(self.entity.take());
        for timer in decision.timers {
            self.deadline = timer.at;
        }
        self.log.extend(decision.facts.iter().filter_map(|(_, what)| word(what)));
        for outgoing in decision.outgoing {
            match outgoing {
                Outgoing::Request(request) => {
                    self.log.extend(told(&request));
                    self.asked.push(request);
                }
                Outgoing::Cancel(_) => self.log.push("taken back".to_owned()),
                Outgoing::Related(related) => self.log.push(format!("tells {}", related.message_id.split_once('/').unwrap().1)),
                other => panic!("{other:?}"),
            }
        }
        while self.answers && !self.asked.is_empty() {
            let request = self.asked.remove(0);
            self.completes(&request);
        }
    }

    /// A request is answered as usual.
    fn completes(&mut self, request: &TaskRequest) {
        let verdict = Verdict::Inconclusive { reason: "nothing changed".to_owned() };
        let artifact = match request.errand {
            Errand::Diagnose { .. } => Artifact::Diagnosis { diagnosis: Diagnosis { verdict, evidence: vec![] } },
            Errand::Announce { .. } | Errand::Ticket { .. } => Artifact::Delivered { place: Some("there".to_owned()) },
            Errand::Remediate { .. } => return,
        };
        self.hears(request, 1, TaskStatus::Completed { artifact });
    }

    fn hears(&mut self, request: &TaskRequest, number: u32, status: TaskStatus) {
        let TaskRequest { message_id, tenant, from, to, incident, .. } = request.clone();
        let event = TaskEvent { tenant, task: request.task(), message_id, incident, from: to, to: from, number, status };
        self.decide(Event::Message(Content::Event(event)));
    }

    /// Time passes, and with it the deadlines.
    fn until(&mut self, s: i64) {
        while let Some(due) = self.deadline.filter(|due| *due <= at(s)) {
            self.now = self.now.max(due);
            self.deadline = None;
            self.decide(Event::Timer("deadline".to_owned()));
        }
        self.now = at(s);
    }

    fn alerts(&mut self, alerts: Vec<Alert>) {
        self.decide(Event::Message(Content::Alerts(notification(alerts))));
    }

    fn open(&self) -> &OpenIncident {
        match self.entity.as_ref().map(|entity| &entity.state) {
            Some(Incident::Open(open) | Incident::Resting { open, .. }) => open,
            other => panic!("{other:?}"),
        }
    }
}

/// What is worth telling of a fact.
fn word(what: &What) -> Option<String> {
    Some(match what {
        What::Opened { follows: None, .. } => "opened".to_owned(),
        What::Opened { follows: Some(_), .. } => "opened, following".to_owned(),
        What::Reopened { .. } => "reopened".to_owned(),
        What::Closed { .. } => "closed".to_owned(),
        What::SeverityChanged { to, .. } => format!("severity {to}"),
        What::PhaseChanged { phase: Phase::Flapping, .. } => "flapping".to_owned(),
        What::Diagnosed { .. } => "diagnosed".to_owned(),
        What::Ordered { .. } => "done".to_owned(),
        What::OrderRefused { why, .. } => format!("refused: {}", why.split(':').next().unwrap_or(why)),
        What::AttendanceChanged { attendance, .. } => attendance.sentence().unwrap_or_else(|| "nobody has it".to_owned()),
        _ => return None,
    })
}

/// What people read in the thread, up to the reason.
fn told(request: &TaskRequest) -> Option<String> {
    match &request.errand {
        Errand::Announce { bulletin } => {
            let news = bulletin.news.as_ref()?;
            Some(format!("told: {}", news.split(':').next().unwrap_or(news)))
        }
        Errand::Ticket { .. } | Errand::Diagnose { .. } | Errand::Remediate { .. } => None,
    }
}

/// One episode of an alert, as it is told at one moment. Names in capitals are critical, others are warnings.
fn told_alert(name: &str, status: AlertStatus, start_s: i64, now_s: i64) -> Alert {
    let mut alert = alert(name, status, start_s);
    if name.chars().all(char::is_lowercase) {
        alert.labels.insert("severity".to_owned(), "warning".to_owned());
    }
    alert.ends_at = (status == AlertStatus::Resolved).then(|| at(now_s));
    alert
}

/// Plays `steps` at their seconds: `A fires`, `A ends`, `A@20 fires` (the episode that began at 20), or `-`: only time passes.
fn play(rules: Lifecycle, steps: &[(i64, &str)]) -> Course {
    let mut course = Course::new(rules);
    let mut began = std::collections::BTreeMap::new();
    for (s, step) in steps {
        course.until(*s);
        let Some((name, what)) = step.split_once(' ') else { continue };
        let (name, start) = match name.split_once('@') {
            Some((name, start)) => (name, start.parse().unwrap()),
            None if what == "fires" => (name, *s),
            None => (name, began[name]),
        };
        began.insert(name, start);
        let status = if what == "fires" { AlertStatus::Firing } else { AlertStatus::Resolved };
        course.alerts(vec![told_alert(name, status, start, *s)]);
    }
    course
}

#[test]
fn people_who_have_an_incident_hear_of_it_again() {
    let course = play(Lifecycle::default(), &[(0, "A fires"), (3_660, "-")]);
    assert_eq!(course.log.last().map(String::as_str), Some("told: Reminder, still needs people"), "{:?}", course.log);
}
