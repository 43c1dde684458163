//! Follows the incident through the gateway's API, as any person with a terminal could, and approves if it was told to.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use incident::id::ApprovalId;
use incident::plan::Digest;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::stage::Stage;
use super::story::{Ending, Story, Turn, shown};
use super::{eventually, leftover};
use crate::api::Api;
use crate::args::Demo;
use crate::commands::approvals;
use crate::commands::incidents::{Entry, Incident, timeline};
use crate::output::line;
use crate::program;
use crate::up::Home;

/// Rollout, some scrapes, the rule, Alertmanager: some seconds each.
const FIRES_WITHIN: Duration = Duration::from_mins(1);
/// Between two facts, unless a person is waited for. Verification is the longest, and has a minute.
const NEWS_WITHIN: Duration = Duration::from_secs(90);
/// The gateway hears of a plan at the same time as the ledger does.
const ASKED_WITHIN: Duration = Duration::from_secs(10);
/// Left of a fact: its second and who says so.
const INDENT: usize = 25;

/// Releases the bad revision and tells what happens until it is over.
pub(crate) async fn follow(arguments: &Demo, home: &Home, stage: &Stage) -> anyhow::Result<Ending> {
    let api = stage.api()?;
    let (began, image) = stage.release().await?;
    line(&format!(
        "\nThe story, in seconds since the bad release, each line from the incident's record:\n{:>7.1} s  {:<13} {image} is rolled out",
        0.0, "release"
    ));
    let incident = eventually("an incident", FIRES_WITHIN, async || newest(api, began).await).await?;
    let teller = Teller { arguments, home: &home.path, api, incident: &incident, began };
    let mut story = Story::new(began);
    let ending = teller.tell(&mut story).await?;
    if ending == Ending::Resolved && !stage.runs_good_image().await? {
        bail!("the record says resolved, but the cluster does not run the good image");
    }
    line(&format!("\n{}", story.timing()));
    if ending == Ending::Resolved {
        let (paramedic, flag) = (program::name(), program::home_flag(&home.path));
        line(&format!(
            "\nResolved by the approved rollback. While `{paramedic} up{flag}` runs, all of it can be read again:\n\
             \x20 {paramedic} incident timeline {}{flag}\n\x20 {paramedic} audit verify{}",
            incident.id,
            program::config_flag(&home.path.join(crate::up::CONFIG_FILE))
        ));
    }
    Ok(ending)
}

async fn newest(api: &Api, began: DateTime<Utc>) -> Option<Incident> {
    leftover::open(api).await.ok()?.into_iter().find(|incident| incident.opened_at >= began)
}

struct Teller<'a> {
    arguments: &'a Demo,
    home: &'a Path,
    api: &'a Api,
    incident: &'a Incident,
    began: DateTime<Utc>,
}

impl Teller<'_> {
    async fn tell(&self, story: &mut Story) -> anyhow::Result<Ending> {
        let mut after = 0;
        loop {
            let news = self.news(after, story).await?;
            for entry in &news {
                after = entry.seq;
                self.show(entry);
                match story.hear(&entry.fact) {
                    Turn::GoesOn => {}
                    Turn::Asks(approval, digest) => self.ask(&approval, &digest).await?,
                    Turn::Ended(ending) => return Ok(ending),
                }
            }
        }
    }

    /// The next facts. A person may take their time: the policy's expiry ends that wait, which is news.
    async fn news(&self, after: u64, story: &Story) -> anyhow::Result<Vec<Entry>> {
        let look = async || {
            let entries = timeline(self.api, &self.incident.id, Some(after)).await.ok()?.items;
            (!entries.is_empty()).then_some(entries)
        };
        let since = Instant::now();
        loop {
            let found = eventually("the incident's next step", NEWS_WITHIN, look).await;
            if found.is_err() && story.awaits_a_person() && !self.arguments.approve {
                tracing::info!(waited_s = since.elapsed().as_secs(), "the demo waits for a person");
                continue;
            }
            return found;
        }
    }

    fn show(&self, entry: &Entry) {
        let fact = &entry.fact;
        let Some(text) = shown(&fact.what) else { return };
        let seconds = (fact.at - self.began).as_seconds_f64();
        let text = text.replace('\n', &format!("\n{:INDENT$}", ""));
        line(&format!("{seconds:>7.1} s  {:<13} {text}", fact.by.as_str()));
    }

    async fn ask(&self, approval: &ApprovalId, digest: &Digest) -> anyhow::Result<()> {
        let (paramedic, flag) = (program::name(), program::home_flag(self.home));
        line(&format!("\n{:INDENT$}approve with: {paramedic} approve {approval}{flag}", ""));
        if self.arguments.approve {
            line(&format!("{:INDENT$}(--approve: the demo says yes itself, through the same API)\n", ""));
            return self.approve(approval, digest).await;
        }
        line(&format!(
            "{:INDENT$}or say no:    {paramedic} reject {approval} --reason 'not now'{flag}\n\
             {:INDENT$}in another terminal, in this folder. Until then, nothing is changed. Ctrl-C stops the demo.\n",
            "", ""
        ));
        Ok(())
    }

    /// Yes to the plan with exactly the digest that was shown.
    async fn approve(&self, approval: &ApprovalId, digest: &Digest) -> anyhow::Result<()> {
        let id = approval.as_str();
        let waiting =
            eventually("the plan at the gateway", ASKED_WITHIN, async || approvals::one(self.api, id).await.ok()).await?;
        anyhow::ensure!(waiting.digest == digest.0, "the plan that waits is not the one on the record: {}", waiting.digest);
        let answer = json!({ "decision": "approve", "digest": digest, "reason": "make demo APPROVE=yes" });
        let _: Value = self.api.post(&format!("v1/approvals/{id}/decisions"), &answer).await.context("approving")?;
        Ok(())
    }
}
