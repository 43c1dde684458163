//! `paramedic incident …`.

use chrono::{DateTime, Utc};
use incident::alert::Severity;
use incident::fact::Fact;
use incident::order::Attendance;
use incident::task::Phase;
use serde::{Deserialize, Serialize};

use super::listing::{self, Listing, Place};
use super::orders;
use crate::api::Api;
use crate::args::{Connection, IncidentCommand};
use crate::output::{show, table};
use crate::program;

/// How an incident stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Incident {
    #[serde(rename = "incident")]
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) phase: Phase,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    pub(crate) outcome: Option<String>,
    /// The incident of the same alerts that ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) follows: Option<String>,
    /// Who has it.
    #[serde(flatten)]
    pub(crate) attendance: Attendance,
}

/// A fact in its place in the chain.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    #[serde(flatten)]
    pub(crate) fact: Fact,
}

pub(crate) async fn run(command: IncidentCommand, connection: &Connection) -> anyhow::Result<()> {
    let api = Api::new(connection)?;
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    match command {
        IncidentCommand::List { open, after } => {
            let (state, only) = if open { ("open", " --open") } else { ("any", "") };
            let listing = all(&api, state, after).await?;
            let command = format!("{paramedic} incident list{only}{flag}");
            show(connection.output, &listing, |listing| listing.told(&command, list))
        }
        IncidentCommand::Show { id } => {
            let incident: Incident = api.get(&format!("v1/incidents/{id}")).await?;
            show(connection.output, &incident, |incident| one(incident, connection))
        }
        IncidentCommand::Order(verb) => orders::give(&api, verb, connection).await,
        IncidentCommand::Timeline { id, after } => {
            let entries = timeline(&api, &id, after).await?;
            let command = format!("{paramedic} incident timeline {id}{flag}");
            let text = |entries: &[Entry]| entries.iter().map(entry).collect::<Vec<_>>().join("\n");
            show(connection.output, &entries, |entries| entries.told(&command, text))
        }
    }
}

/// Incidents in this state, newest first.
pub(crate) async fn all(api: &Api, state: &str, after: Option<String>) -> anyhow::Result<Listing<Incident>> {
    listing::read(api, Place { path: &format!("v1/incidents?state={state}"), after }).await
}

/// Facts of an incident that come after this place in the chain; none: from the beginning.
pub(crate) async fn timeline(api: &Api, id: &str, after: Option<u64>) -> anyhow::Result<Listing<Entry>> {
    let (path, after) = (format!("v1/incidents/{id}/timeline"), after.map(|seq| seq.to_string()));
    listing::read(api, Place { path: &path, after }).await
}

fn list(items: &[Incident]) -> String {
    if items.is_empty() {
        return "No incidents.".to_owned();
    }
    let row = |i: &Incident| {
        let since = i.opened_at.format("%Y-%m-%d %H:%M:%S").to_string();
        let owner = i.attendance.owner.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        vec![i.id.clone(), i.severity.to_string(), i.phase.label().to_owned(), owner, since, i.title.clone()]
    };
    table(&["INCIDENT", "SEVERITY", "PHASE", "OWNER", "SINCE (UTC)", "TITLE"], &items.iter().map(row).collect::<Vec<_>>())
}

fn one(i: &Incident, connection: &Connection) -> String {
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    let ended = match (&i.closed_at, &i.outcome) {
        (Some(at), Some(outcome)) => format!("\nended      {}: {outcome}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        _ => String::new(),
    };
    let attended = i.attendance.sentence().map(|who| format!("\nattended   {who}")).unwrap_or_default();
    let follows = i.follows.as_ref().map(|before| format!("\nfollows    {before}")).unwrap_or_default();
    format!(
        "{}\n{}\nseverity   {}\nphase      {}\nsince      {}{ended}{attended}{follows}\n\n{paramedic} incident timeline {}{flag} shows all that happened.",
        i.id,
        i.title,
        i.severity,
        i.phase.label(),
        i.opened_at.format("%Y-%m-%d %H:%M:%S UTC"),
        i.id
    )
}

/// Left of a sentence in a timeline: time, place in the chain, who says so.
const INDENT: usize = 34;

/// One line of a timeline; evidence follows on lines of its own.
fn entry(entry: &Entry) -> String {
    let Entry { seq, fact } = entry;
    let sentence = fact.what.sentence().replace('\n', &format!("\n{:INDENT$}", ""));
    format!("{} {:>5} {:<13} {sentence}", fact.at.format("%H:%M:%S%.3f"), format!("#{seq}"), fact.by.as_str())
}
