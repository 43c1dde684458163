use super::*;
use crate::agent::Agent as _;
use crate::heartbeat::take;

/// A heartbeat that is listened for with 300 seconds of patience, and what was said of it.
struct Case {
    agent: Monitoring,
    entity: Option<Entity<Incident>>,
    timer: Option<DateTime<Utc>>,
    told: Vec<Alert>,
}

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(s, 0).unwrap()
}

impl Case {
    fn new() -> Self {
        let heartbeat = Heartbeat { matchers: vec!["alertname=\"Watchdog\"".parse().unwrap()], silent_after_s: 300 };
        let heartbeats = [("prometheus".parse().unwrap(), heartbeat)].into();
        let agent = Monitoring { heartbeats: [(tenant(), heartbeats)].into(), ..Monitoring::default() };
        Self { agent, entity: None, timer: None, told: vec![] }
    }

    fn decide(&mut self, event: Event<()>, now_s: i64) {
        let decision = self.agent.decide(self.entity.clone(), event, at(now_s));
        for outgoing in decision.outgoing {
            let Outgoing::Alerts(notification) = outgoing else { panic!("{outgoing:?}") };
            self.told.extend(notification.alerts);
        }
        for timer in decision.timers {
            self.timer = timer.at;
        }
        self.entity = decision.next.or(self.entity.take());
    }

    fn listens(&mut self, now_s: i64) {
        let name = "prometheus".parse().unwrap();
        self.decide(Event::Message(Content::Listen { tenant: tenant(), name }), now_s);
    }

    fn beats(&mut self, heard_s: i64, now_s: i64) {
        let mut alerts = vec![crate::alert::tests::alert("Watchdog", AlertStatus::Firing, 0)];
        let heartbeats = self.agent.heartbeats.get(&tenant()).cloned().unwrap_or_default();
        for beat in take(&heartbeats, &tenant(), &mut alerts, at(heard_s)) {
            self.decide(Event::Message(Content::Alerts(beat)), now_s);
        }
    }

    /// Time passes, and timers fire when they are due, until nobody listens at this moment.
    fn passes(&mut self, until_s: i64) {
        while let Some(due) = self.timer.filter(|due| *due <= at(until_s)) {
            self.timer = None;
            self.decide(Event::Timer(SILENT.to_owned()), due.timestamp());
        }
    }

    fn told(&self) -> Vec<(AlertStatus, i64)> {
        self.told.iter().map(|alert| (alert.status, alert.ends_at.unwrap_or(alert.starts_at).timestamp())).collect()
    }
}

const FIRING: AlertStatus = AlertStatus::Firing;
const RESOLVED: AlertStatus = AlertStatus::Resolved;

#[test]
fn a_heartbeat_that_is_heard_says_nothing() {
    let mut case = Case::new();
    case.listens(0);
    for minute in 1..60 {
        case.passes(minute * 60);
        case.beats(minute * 60, minute * 60);
    }
    assert_eq!(case.told(), []);
}

#[test]
fn a_silence_is_told_once_and_its_end_is() {
    let mut case = Case::new();
    case.listens(0);
    case.beats(60, 60);
    case.passes(86_400);
    assert_eq!(case.told(), [(FIRING, 360)]);
    let summary = silence(case.told.first().unwrap()).unwrap();
    assert_eq!(summary, "no heartbeat from prometheus for 5 minutes: alerts may not reach us");
    case.beats(86_400, 86_401);
    assert_eq!(case.told(), [(FIRING, 360), (RESOLVED, 86_401)]);
    case.passes(100_000);
    assert_eq!(case.told().len(), 3, "and the next silence is another one");
}

#[test]
fn one_that_was_never_heard_is_told_however_often_we_start() {
    let mut case = Case::new();
    for start_s in [0, 100, 200] {
        case.listens(start_s);
    }
    case.passes(300);
    assert_eq!(case.told(), [(FIRING, 300)]);
    assert!(silence(case.told.first().unwrap()).unwrap().contains("never since it was configured"));
    case.listens(400);
    case.passes(5_000);
    assert_eq!(case.told().len(), 1);
}

#[test]
fn who_was_away_listens_before_saying_that_there_is_silence() {
    let mut case = Case::new();
    case.listens(0);
    case.beats(60, 60);
    // The timer of 360 is found an hour later; what was said meanwhile still waits.
    case.decide(Event::Timer(SILENT.to_owned()), 3_960);
    assert_eq!(case.told(), []);
    case.beats(120, 3_961);
    case.beats(3_900, 3_962);
    case.passes(4_199);
    assert_eq!(case.told(), []);
    case.passes(4_260);
    assert_eq!(case.told(), [(FIRING, 4_260)]);
}

#[test]
fn an_old_beat_does_not_end_a_silence() {
    let mut case = Case::new();
    case.listens(0);
    case.passes(300);
    case.beats(10, 400);
    assert_eq!(case.told().len(), 1);
    case.beats(390, 401);
    case.beats(389, 402);
    assert_eq!(case.told(), [(FIRING, 300), (RESOLVED, 401)]);
}

#[test]
fn what_is_configured_no_more_is_let_go() {
    let mut case = Case::new();
    case.listens(0);
    case.passes(300);
    case.agent.heartbeats.clear();
    case.passes(10_000);
    assert_eq!(case.told(), [(FIRING, 300), (RESOLVED, 1_200)]);
    assert_eq!(case.entity.as_ref().and_then(|entity| entity.open_key.clone()), None);
    case.beats(10_001, 10_001);
    case.agent = Case::new().agent;
    case.listens(10_100);
    case.passes(20_000);
    assert_eq!(case.told().len(), 3, "until it is configured again");
}
