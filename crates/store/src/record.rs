//! The ledger's own writes: records at the end of the audit chain, and how each incident stands as its facts tell.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use incident::alert::Severity;
use incident::fact::{Fact, What};
use incident::id::{IncidentId, TenantId};
use incident::order::Attendance;
use incident::record::Record;
use incident::task::Phase;
use serde::Serialize;

use crate::StoreError;
use crate::commit::{Query, document, unstorable};
use crate::limits::{check_id, storable};

/// What the commit of any decision does ($1 the tenant, $4 the time), and the records with it. What comes later in time wins in the
/// summary, whatever came first.
pub(crate) const COMMIT_RECORDS: &str = "
    with appended as (
        insert into record (tenant, seq, prev_hash, hash, fact_id, incident, at, kind, by_role, body)
        select $1, r.seq, r.prev_hash, r.hash, r.fact_id, r.incident, r.at, r.kind, r.by_role, r.body::json
        from unnest($23::bigint[], $24::text[], $25::text[], $26::text[], $27::text[], $28::timestamptz[], $29::text[], $30::text[],
            $31::text[]) as r (seq, prev_hash, hash, fact_id, incident, at, kind, by_role, body)
    ), summarized as (
        insert into incident_summary as s
            (tenant, incident, title, follows, severity, severity_at, phase, phase_at, opened_at, closed_at, outcome, ended_at,
            attendance, attended_at, updated_at)
        select $1, c.*, $4
        from unnest($32::text[], $33::text[], $34::text[], $35::text[], $36::timestamptz[], $37::text[], $38::timestamptz[],
            $39::timestamptz[], $40::timestamptz[], $41::text[], $42::timestamptz[], $43::text[], $44::timestamptz[]) as c
        on conflict (tenant, incident) do update set
            title = coalesce(excluded.title, s.title),
            follows = coalesce(excluded.follows, s.follows),
            severity = case when excluded.severity_at >= coalesce(s.severity_at, excluded.severity_at) then excluded.severity
                else s.severity end,
            severity_at = greatest(excluded.severity_at, s.severity_at),
            phase = case when excluded.phase_at >= coalesce(s.phase_at, excluded.phase_at) then excluded.phase else s.phase end,
            phase_at = greatest(excluded.phase_at, s.phase_at),
            opened_at = coalesce(excluded.opened_at, s.opened_at),
            closed_at = case when excluded.ended_at >= coalesce(s.ended_at, excluded.ended_at) then excluded.closed_at
                else s.closed_at end,
            outcome = case when excluded.ended_at >= coalesce(s.ended_at, excluded.ended_at) then excluded.outcome else s.outcome end,
            ended_at = greatest(excluded.ended_at, s.ended_at),
            attendance = case when excluded.attended_at >= coalesce(s.attended_at, excluded.attended_at) then excluded.attendance
                else s.attendance end,
            attended_at = greatest(excluded.attended_at, s.attended_at),
            updated_at = greatest(excluded.updated_at, s.updated_at)
    )
    select outbox_id from commit_decision(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

/// What the facts of one incident say about how it stands.
#[derive(Debug, Default)]
struct Change {
    opened: Option<(DateTime<Utc>, String, Option<IncidentId>)>,
    severity: Option<(DateTime<Utc>, Severity)>,
    phase: Option<(DateTime<Utc>, Phase)>,
    /// When it was closed or opened again last, and how it ended if it was closed.
    ended: Option<(DateTime<Utc>, Option<String>)>,
    attended: Option<(DateTime<Utc>, Attendance)>,
}

/// Whether what happened `at` is no older than what is known.
fn is_newest<T>(known: Option<&(DateTime<Utc>, T)>, at: DateTime<Utc>) -> bool {
    known.is_none_or(|(known, _)| *known <= at)
}

impl Change {
    fn take(&mut self, fact: &Fact) {
        match &fact.what {
            What::Opened { title, severity, follows } => {
                self.opened = Some((fact.at, storable(title).into_owned(), follows.clone()));
                if self.severity.is_none() {
                    self.severity = Some((fact.at, *severity));
                }
            }
            What::SeverityChanged { to, .. } if is_newest(self.severity.as_ref(), fact.at) => {
                self.severity = Some((fact.at, *to));
            }
            What::PhaseChanged { phase, .. } if is_newest(self.phase.as_ref(), fact.at) => {
                self.phase = Some((fact.at, *phase));
            }
            What::Closed { outcome } if is_newest(self.ended.as_ref(), fact.at) => {
                self.ended = Some((fact.at, Some(storable(outcome).into_owned())));
            }
            What::Reopened { .. } if is_newest(self.ended.as_ref(), fact.at) => self.ended = Some((fact.at, None)),
            What::AttendanceChanged { attendance, .. } if is_newest(self.attended.as_ref(), fact.at) => {
                self.attended = Some((fact.at, attendance.clone()));
            }
            // The rest belongs to the timeline only.
            _ => {}
        }
    }

    fn says_nothing(&self) -> bool {
        self.opened.is_none()
            && self.severity.is_none()
            && self.phase.is_none()
            && self.ended.is_none()
            && self.attended.is_none()
    }
}

/// Columns of the records and of the incidents that they change.
pub(crate) struct Append<'w> {
    records: &'w [Record],
    seqs: Vec<i64>,
    bodies: Vec<String>,
    changes: BTreeMap<&'w str, Change>,
    severities: Vec<Option<String>>,
    phases: Vec<Option<String>>,
    attendances: Vec<Option<String>>,
}

impl<'w> Append<'w> {
    /// Prepares the columns.
    pub(crate) fn new(tenant: &'w TenantId, records: &'w [Record]) -> Result<Self, StoreError> {
        let (mut seqs, mut bodies) = (vec![], vec![]);
        let mut changes: BTreeMap<&str, Change> = BTreeMap::new();
        for record in records {
            check_id("fact id", &record.fact.id)?;
            if record.fact.tenant != *tenant {
                return Err(unstorable("fact", &format!("it is tenant {}'s, the commit is {tenant}'s", record.fact.tenant)));
            }
            seqs.push(i64::try_from(record.seq).map_err(|error| unstorable("record", &error))?);
            bodies.push(document("fact", &record.fact)?);
            changes.entry(record.fact.incident.as_str()).or_default().take(&record.fact);
        }
        changes.retain(|_, change| !change.says_nothing());
        let severities = changes.values().map(|c| c.severity.as_ref().map(|(_, severity)| word(severity)).transpose());
        let severities = severities.collect::<Result<_, _>>()?;
        let phases = changes.values().map(|c| c.phase.as_ref().map(|(_, phase)| word(phase)).transpose());
        let phases = phases.collect::<Result<_, _>>()?;
        let attendances = changes.values().map(|c| c.attended.as_ref().map(|(_, who)| document("attendance", who)).transpose());
        let attendances = attendances.collect::<Result<_, _>>()?;
        Ok(Self { records, seqs, bodies, changes, severities, phases, attendances })
    }

    /// Binds them behind the decision.
    pub(crate) fn bind<'q>(&'q self, decision: Query<'q>) -> Query<'q> {
        let texts = |of: fn(&Record) -> &str| self.records.iter().map(of).collect::<Vec<_>>();
        let query = decision.bind(&self.seqs).bind(texts(|r| &r.previous.0)).bind(texts(|r| &r.hash.0));
        let query = query.bind(texts(|r| &r.fact.id)).bind(texts(|r| r.fact.incident.as_str()));
        let query = query.bind(self.records.iter().map(|r| r.fact.at).collect::<Vec<_>>());
        let query = query.bind(texts(|r| r.fact.what.kind())).bind(texts(|r| r.fact.by.as_str())).bind(&self.bodies);
        let changes = || self.changes.values();
        let query = query.bind(self.changes.keys().copied().collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| c.opened.as_ref().map(|o| o.1.as_str())).collect::<Vec<_>>());
        let follows = changes().map(|c| c.opened.as_ref().and_then(|o| o.2.as_ref().map(IncidentId::as_str)));
        let query = query.bind(follows.collect::<Vec<_>>());
        let query = query.bind(&self.severities).bind(changes().map(|c| c.severity.map(|s| s.0)).collect::<Vec<_>>());
        let query = query.bind(&self.phases).bind(changes().map(|c| c.phase.map(|p| p.0)).collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| c.opened.as_ref().map(|o| o.0)).collect::<Vec<_>>());
        let closed = |c: &'q Change| c.ended.as_ref().and_then(|(at, outcome)| Some((*at, outcome.as_deref()?)));
        let query = query.bind(changes().map(|c| closed(c).map(|(at, _)| at)).collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| closed(c).map(|(_, outcome)| outcome)).collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| c.ended.as_ref().map(|ended| ended.0)).collect::<Vec<_>>());
        query.bind(&self.attendances).bind(changes().map(|c| c.attended.as_ref().map(|a| a.0)).collect::<Vec<_>>())
    }
}

/// The word that an enum is in JSON.
fn word(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Err(unstorable("word", &format!("{other} is no word"))),
        Err(error) => Err(unstorable("word", &error)),
    }
}
