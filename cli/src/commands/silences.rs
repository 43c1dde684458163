//! `paramedic silence …`.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Utc};
use incident::silence::{Silence, Source};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::listing::Listing;
use crate::api::Api;
use crate::args::{Connection, SilenceAdd, SilenceCommand};
use crate::output::{show, table};
use crate::program;

/// A person waits for an Alertmanager.
const WITHIN: Duration = Duration::from_secs(10);

/// A silence as the gateway shows it.
#[derive(Debug, Serialize, Deserialize)]
struct Shown {
    state: String,
    #[serde(flatten)]
    silence: Silence,
}

/// What a silence would have muted.
#[derive(Debug, Serialize, Deserialize)]
struct Preview {
    since: DateTime<Utc>,
    looked_at: usize,
    is_partial: bool,
    alerts: usize,
    incidents: Vec<Hit>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hit {
    incident: String,
    title: String,
    is_open: bool,
    muted: usize,
    alerts: usize,
}

/// What became of an import.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the words of the API")]
struct Imported {
    imported: Vec<String>,
    ended: Vec<String>,
    skipped: Vec<Skipped>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Skipped {
    alertmanager: String,
    why: String,
}

pub(crate) async fn run(command: SilenceCommand, connection: &Connection) -> anyhow::Result<()> {
    let api = Api::new(connection)?;
    match command {
        SilenceCommand::Add(add) => {
            let made: Shown = api.post("v1/silences", &wanted(add)).await?;
            show(connection.output, &made, |made| one(made, connection))
        }
        SilenceCommand::List { all } => {
            let state = if all { "any" } else { "open" };
            let listing: Listing<Shown> = api.get(&format!("v1/silences?state={state}")).await?;
            show(connection.output, &listing, |listing| list(&listing.items))
        }
        SilenceCommand::Show { id } => {
            let shown: Shown = api.get(&format!("v1/silences/{id}")).await?;
            show(connection.output, &shown, |shown| one(shown, connection))
        }
        SilenceCommand::Expire { id } => {
            let ended: Shown = api.post(&format!("v1/silences/{id}/expire"), &json!({})).await?;
            show(connection.output, &ended, |ended| format!("{} is over; what still fires is told now.", ended.silence.id))
        }
        SilenceCommand::Preview { matchers, hours } => {
            let preview: Preview = api.post("v1/silences/preview", &json!({"matchers": matchers, "hours": hours})).await?;
            show(connection.output, &preview, previewed)
        }
        SilenceCommand::Import { from } => {
            let imported: Imported = api.post("v1/silences/import", &theirs(&from).await?).await?;
            show(connection.output, &imported, came_over)
        }
    }
}

fn wanted(add: SilenceAdd) -> Value {
    let SilenceAdd { matchers, reason, lasts, until, from } = add;
    let minutes = lasts.map(|lasts| lasts.num_minutes());
    json!({"matchers": matchers, "reason": reason, "starts_at": from, "ends_at": until, "minutes": minutes})
}

/// An Alertmanager's silences, as it lists them.
async fn theirs(from: &Url) -> anyhow::Result<Value> {
    let mut url = from.clone();
    let folder = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{folder}/api/v2/silences"));
    let http = reqwest::Client::builder().timeout(WITHIN).build()?;
    let answer = http.get(url.clone()).send().await.with_context(|| format!("no answer from the Alertmanager at {from}"))?;
    let status = answer.status();
    ensure!(
        status.is_success(),
        "{url} answers {status}: --from must be an Alertmanager's address, such as http://alertmanager:9093"
    );
    answer.json().await.with_context(|| format!("{url} answers with something else than silences"))
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn matchers(silence: &Silence) -> String {
    silence.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn list(items: &[Shown]) -> String {
    if items.is_empty() {
        return "No silences.".to_owned();
    }
    let row = |shown: &Shown| {
        let silence = &shown.silence;
        vec![
            silence.id.to_string(),
            shown.state.clone(),
            time(silence.ends_at),
            silence.owner.to_string(),
            matchers(silence),
            silence.reason.clone(),
        ]
    };
    table(&["SILENCE", "STATE", "UNTIL (UTC)", "OWNER", "MATCHERS", "REASON"], &items.iter().map(row).collect::<Vec<_>>())
}

fn one(shown: &Shown, connection: &Connection) -> String {
    let Shown { state, silence } = shown;
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    let source = match &silence.source {
        Source::Paramedic => String::new(),
        Source::Alertmanager { id, created_by } => format!("\nfrom       Alertmanager's {id}, made there by {created_by}"),
    };
    let end = if state == "expired" {
        String::new()
    } else {
        format!("\n\n{paramedic} silence expire {}{flag} ends it before its time.", silence.id)
    };
    format!(
        "{}\nstate      {state}\nmatchers   {}\nreason     {}\nowner      {}{source}\nfrom       {} UTC\nuntil      {} UTC{end}",
        silence.id,
        matchers(silence),
        silence.reason,
        silence.owner,
        time(silence.starts_at),
        time(silence.ends_at),
    )
}

fn previewed(preview: &Preview) -> String {
    let more = if preview.is_partial { ", the newest of more" } else { "" };
    let head = format!(
        "It would have muted {} of {} alerts that began to fire since {} UTC{more}.",
        preview.alerts,
        preview.looked_at,
        time(preview.since)
    );
    if preview.incidents.is_empty() {
        return head;
    }
    let row = |hit: &Hit| {
        let state = if hit.is_open { "open" } else { "over" };
        vec![hit.incident.clone(), state.to_owned(), format!("{} of {}", hit.muted, hit.alerts), hit.title.clone()]
    };
    let rows: Vec<_> = preview.incidents.iter().map(row).collect();
    format!(
        "{head}\n\n{}\n\nAn incident is silenced while all of its alerts are.",
        table(&["INCIDENT", "STATE", "ALERTS", "TITLE"], &rows)
    )
}

fn came_over(imported: &Imported) -> String {
    let mut lines =
        vec![format!("{} silences taken over, {} ended as they did there.", imported.imported.len(), imported.ended.len())];
    lines.extend(imported.skipped.iter().map(|skipped| format!("not taken: {}: {}", skipped.alertmanager, skipped.why)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use chrono::TimeDelta;

    use super::*;
    use crate::args::Output;

    fn shown(state: &str) -> Shown {
        let starts_at = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let silence = Silence {
            id: "sil_1".parse().unwrap(),
            owner: "ana".parse().unwrap(),
            reason: "the disk is being replaced".to_owned(),
            matchers: vec!["service=\"checkout\"".parse().unwrap(), "severity!=\"critical\"".parse().unwrap()],
            starts_at,
            ends_at: starts_at + TimeDelta::hours(2),
            source: Source::Alertmanager { id: "8b1c".to_owned(), created_by: "ben".to_owned() },
        };
        Shown { state: state.to_owned(), silence }
    }

    #[test]
    fn a_silence_is_shown_with_all_that_others_wonder_about() {
        let connection = Connection { url: None, token: None, home: PathBuf::from("/srv/p"), output: Output::Text };
        let text = one(&shown("active"), &connection);
        for said in [
            "sil_1",
            "active",
            "service=\"checkout\", severity!=\"critical\"",
            "the disk is being replaced",
            "ana",
            "8b1c",
            "made there by ben",
            "silence expire sil_1 --home /srv/p",
        ] {
            assert!(text.contains(said), "{said:?} is not in\n{text}");
        }
        assert!(!one(&shown("expired"), &connection).contains("silence expire"));
        assert!(list(&[shown("active")]).contains("the disk is being replaced"));
        assert_eq!(list(&[]), "No silences.");
    }

    #[test]
    fn what_the_gateway_sends_reads_back() {
        let text = serde_json::to_string(&shown("active")).unwrap();
        let back: Shown = serde_json::from_str(&text).unwrap();
        assert_eq!((back.state.as_str(), back.silence), ("active", shown("active").silence));
    }
}
