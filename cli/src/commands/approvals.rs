//! `paramedic approvals`, `approve` and `reject`.

use chrono::{DateTime, Utc};
use incident::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listing::{self, Listing, Place};
use super::plan as words;
use crate::api::Api;
use crate::args::Connection;
use crate::output::{show, table};
use crate::program;

/// A plan that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) approval: String,
    pub(crate) incident: String,
    pub(crate) headline: String,
    pub(crate) risk: String,
    pub(crate) digest: String,
    pub(crate) quorum: u8,
    pub(crate) groups: Vec<String>,
    /// Who may answer, as the gateway knows people now.
    #[serde(default)]
    pub(crate) may_answer: Vec<String>,
    /// Who has said yes.
    #[serde(default)]
    pub(crate) agreed: Vec<String>,
    pub(crate) expires_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) diff: Vec<String>,
    /// All of it, where one plan is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Box<Plan>>,
}

/// Those that wait.
pub(crate) async fn list(after: Option<String>, connection: &Connection) -> anyhow::Result<()> {
    let place = Place { path: "v1/approvals", after };
    let waiting: Listing<Waiting> = listing::read(&Api::new(connection)?, place).await?;
    let command = format!("{} approvals{}", program::name(), program::home_flag(&connection.home));
    show(connection.output, &waiting, |waiting| waiting.told(&command, |items| rows(items, connection)))
}

/// One, with its plan, for people.
pub(crate) async fn show_one(id: &str, connection: &Connection) -> anyhow::Result<()> {
    let waiting = one(&Api::new(connection)?, id).await?;
    show(connection.output, &waiting, |waiting| plan(waiting, connection))
}

/// One, with its plan.
pub(crate) async fn one(api: &Api, id: &str) -> anyhow::Result<Waiting> {
    api.get(&format!("v1/approvals/{id}")).await
}

fn rows(items: &[Waiting], connection: &Connection) -> String {
    if items.is_empty() {
        return "No plan waits for an answer.".to_owned();
    }
    let row = |w: &Waiting| {
        vec![
            w.approval.clone(),
            w.incident.clone(),
            format!("{} of {}", w.quorum, w.groups.join(", ")),
            w.expires_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            w.headline.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let text = table(&["APPROVAL", "INCIDENT", "NEEDS", "UNTIL (UTC)", "PLAN"], &rows);
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    format!("{text}\n\n{paramedic} approvals ID{flag} shows what exactly would be done, and how to answer.")
}

/// A plan in full, for who decides: all that a card would say.
fn plan(w: &Waiting, connection: &Connection) -> String {
    let (paramedic, flag) = (program::name(), program::home_flag(&connection.home));
    let until = w.expires_at.format("%Y-%m-%d %H:%M:%S UTC");
    let agreed = if w.agreed.is_empty() { String::new() } else { format!("; yes so far: {}", w.agreed.join(", ")) };
    let mut facts = vec![("incident", w.incident.clone())];
    facts.extend(w.plan.as_deref().map(words::lines).unwrap_or_default());
    facts.extend([
        ("risk", w.risk.clone()),
        ("needs", format!("{} of {}{agreed}", w.quorum, w.groups.join(", "))),
        ("expires", format!("{until}, then nothing is done")),
        ("digest", w.digest.clone()),
        ("evidence", format!("{paramedic} incident timeline {}{flag}", w.incident)),
    ]);
    let facts: Vec<String> = facts.into_iter().map(|(name, text)| format!("{name:<10} {text}\n")).collect();
    let diff: Vec<String> = w.diff.iter().map(|line| format!("  {line}\n")).collect();
    let id = &w.approval;
    format!(
        "{}\n{}\nWhat changes, by the API server's dry run:\n{}\n\
         {paramedic} approve {id}{flag}\n{paramedic} reject {id} --reason '…'{flag}",
        w.headline,
        facts.concat(),
        diff.concat()
    )
}

pub(crate) async fn approve(id: &str, digest: Option<&str>, connection: &Connection) -> anyhow::Result<()> {
    let api = Api::new(connection)?;
    let shown = one(&api, id).await?;
    if let Some(digest) = digest {
        anyhow::ensure!(shown.digest.starts_with(digest), "the plan that waits has another digest: {}", shown.digest);
    }
    answer(&api, id, &json!({ "decision": "approve", "digest": shown.digest }), connection).await
}

pub(crate) async fn reject(id: &str, reason: &str, connection: &Connection) -> anyhow::Result<()> {
    answer(&Api::new(connection)?, id, &json!({ "decision": "reject", "reason": reason }), connection).await
}

async fn answer(api: &Api, id: &str, body: &Value, connection: &Connection) -> anyhow::Result<()> {
    let recorded: Value = api.post(&format!("v1/approvals/{id}/decisions"), body).await?;
    show(connection.output, &recorded, |_| {
        let flag = program::home_flag(&connection.home);
        format!("Recorded for {id}. `{} incident list{flag}` shows how it goes on.", program::name())
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use incident::plan::{Action, Digest, Target, Undo, Verification};
    use incident::workload::{Workload, WorkloadKind};

    use super::*;
    use crate::args::Output;

    fn a_plan(expression: Option<&str>, expires_at: DateTime<Utc>) -> Plan {
        let workload = Workload {
            cluster: String::new(),
            namespace: "shop".to_owned(),
            kind: WorkloadKind::Deployment,
            name: "cart".to_owned(),
        };
        Plan {
            tenant: "acme".parse().unwrap(),
            incident: "inc_1".parse().unwrap(),
            task: "task_1".parse().unwrap(),
            requested_by: None,
            generation: 1,
            runbook: "rollback-bad-deploy".to_owned(),
            target: Target {
                workload,
                uid: "uid-1".to_owned(),
                resource_version: "7".to_owned(),
                spec_digest: Digest::of(b"spec"),
            },
            action: Action::RollBack { from_revision: 2, to_revision: 1, template: Digest::of(b"after") },
            undo: Undo::RestoreTemplate { template: Digest::of(b"before") },
            diff: vec!["- image: cart:v2".to_owned(), "+ image: cart:v1".to_owned()],
            verification: Verification {
                expressions: expression.map(str::to_owned).into_iter().collect(),
                settle_s: 30,
                deadline_s: 600,
            },
            risk: "Requests in flight may fail.".to_owned(),
            proposed_at: expires_at,
            expires_at,
        }
    }

    fn shown(expression: Option<&str>) -> String {
        let plan = a_plan(expression, DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let waiting = Waiting {
            approval: "apr_1".to_owned(),
            incident: plan.incident.to_string(),
            headline: plan.headline(),
            risk: plan.risk.clone(),
            digest: plan.digest().unwrap().0,
            quorum: 2,
            groups: vec!["sre".to_owned()],
            may_answer: vec![],
            agreed: vec!["ana".to_owned()],
            expires_at: plan.expires_at,
            diff: plan.diff.clone(),
            plan: Some(Box::new(plan)),
        };
        let home = PathBuf::from("/srv/p");
        super::plan(&waiting, &Connection { url: None, token: None, home, output: Output::Text })
    }

    #[test]
    fn a_plan_is_shown_with_all_that_a_card_would_say() {
        let text = shown(Some("errors > 1"));
        for said in [
            "Roll ",
            "shop",
            "uid-1",
            "rollback-bad-deploy",
            "the alert's own expression, no longer true for 30 s within 600 s",
            "errors > 1",
            "put back",
            "2 of sre; yes so far: ana",
            "2026-11-1",
            "incident timeline inc_1 --home /srv/p",
            "+ image: cart:v1",
            "approve apr_1 --home /srv/p",
        ] {
            assert!(text.contains(said), "{said:?} is not in\n{text}");
        }
        assert!(shown(None).contains("the rollout alone"), "{}", shown(None));
    }
}
