//! The ledger's own writes: records at the end of the audit chain, and how each incident stands as its facts tell.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use incident::alert::Severity;
use incident::fact::{Fact, What};
use incident::id::TenantId;
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
        from unnest($22::bigint[], $23::text[], $24::text[], $25::text[], $26::text[], $27::timestamptz[], $28::text[], $29::text[],
            $30::text[]) as r (seq, prev_hash, hash, fact_id, incident, at, kind, by_role, body)
    ), summarized as (
        insert into incident_summary as s
            (tenant, incident, title, severity, phase, phase_at, opened_at, closed_at, outcome, updated_at)
        select $1, c.*, $4
        from unnest($31::text[], $32::text[], $33::text[], $34::text[], $35::timestamptz[], $36::timestamptz[], $37::timestamptz[],
            $38::text[]) as c
        on conflict (tenant, incident) do update set
            title = coalesce(excluded.title, s.title),
            severity = coalesce(excluded.severity, s.severity),
            phase = case when excluded.phase_at >= coalesce(s.phase_at, excluded.phase_at) then excluded.phase else s.phase end,
            phase_at = greatest(excluded.phase_at, s.phase_at),
            opened_at = coalesce(excluded.opened_at, s.opened_at),
            closed_at = coalesce(excluded.closed_at, s.closed_at),
            outcome = coalesce(excluded.outcome, s.outcome),
            updated_at = greatest(excluded.updated_at, s.updated_at)
    )
    select outbox_id from commit_decision(
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";

/// What the facts of one incident say about how it stands.
#[derive(Debug, Default)]
struct Change {
    opened: Option<(DateTime<Utc>, String, Severity)>,
    phase: Option<(DateTime<Utc>, Phase)>,
    closed: Option<(DateTime<Utc>, String)>,
}

impl Change {
    fn take(&mut self, fact: &Fact) {
        match &fact.what {
            What::Opened { title, severity } => self.opened = Some((fact.at, storable(title).into_owned(), *severity)),
            What::PhaseChanged { phase, .. } if self.phase.is_none_or(|(at, _)| at <= fact.at) => {
                self.phase = Some((fact.at, *phase));
            }
            What::Closed { outcome } => self.closed = Some((fact.at, storable(outcome).into_owned())),
            // The rest belongs to the timeline only.
            _ => {}
        }
    }

    fn says_nothing(&self) -> bool {
        self.opened.is_none() && self.phase.is_none() && self.closed.is_none()
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
        let severities = changes.values().map(|c| c.opened.as_ref().map(|(_, _, severity)| word(severity)).transpose());
        let severities = severities.collect::<Result<_, _>>()?;
        let phases = changes.values().map(|c| c.phase.as_ref().map(|(_, phase)| word(phase)).transpose());
        let phases = phases.collect::<Result<_, _>>()?;
        Ok(Self { records, seqs, bodies, changes, severities, phases })
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
        let query = query.bind(&self.severities).bind(&self.phases);
        let query = query.bind(changes().map(|c| c.phase.map(|p| p.0)).collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| c.opened.as_ref().map(|o| o.0)).collect::<Vec<_>>());
        let query = query.bind(changes().map(|c| c.closed.as_ref().map(|o| o.0)).collect::<Vec<_>>());
        query.bind(changes().map(|c| c.closed.as_ref().map(|o| o.1.as_str())).collect::<Vec<_>>())
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
