//! What people see and do: the API, the card and its buttons.

use anyhow::{Context as _, Result, bail, ensure};
use incident::fact::{Fact, What};
use incident::id::ApprovalId;
use incident::plan::{Digest, Plan};
use incident::task::Phase;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use testkit::Alertmanager;
use testkit::fakes::slack::{Answered, Ephemeral, Interaction, Message};

use super::{Pipeline, SOON, TENANT, Who, until, webhook_token};

/// The card's button that says yes.
pub(crate) const APPROVE: &str = "paramedic_approve";
/// The one that says no.
pub(crate) const REJECT: &str = "paramedic_reject";

/// An incident as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Incident {
    #[serde(rename = "incident")]
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) phase: Phase,
    #[serde(default)]
    pub(crate) outcome: Option<String>,
}

/// A plan that waits, as the API shows it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) approval: ApprovalId,
    pub(crate) digest: Digest,
    pub(crate) plan: Plan,
}

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    approval: ApprovalId,
}

pub(super) fn client() -> Result<Client> {
    // "Already installed" is the only error, and means what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(Client::builder().no_proxy().timeout(SOON).build()?)
}

impl Pipeline {
    /// Calls the API as a person; gives status and body.
    pub(crate) async fn api(&self, who: Who, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        self.call(&who.token_at(TENANT), method, path, body).await
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let mut request = client()?.request(method, format!("{}{path}", self.process.gateway)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("calling {path}"))?;
        let status = response.status();
        Ok((status, response.json().await.unwrap_or_default()))
    }

    /// Tells the gateway what a tenant's Alertmanager would; it must accept.
    pub(crate) async fn accepts(&self, tenant: &str, body: &Value) -> Result<()> {
        let url = format!("{}/v1/alertmanager/{tenant}", self.process.gateway);
        let answer = client()?.post(url).bearer_auth(webhook_token(tenant)).json(body).send().await?;
        ensure!(answer.status().is_success(), "an alert is not accepted: {}", answer.status());
        Ok(())
    }

    /// A page for whoever operates it.
    pub(crate) async fn page(&self, path: &str) -> Result<(StatusCode, String)> {
        let response = client()?.get(format!("{}{path}", self.process.gateway)).send().await?;
        Ok((response.status(), response.text().await?))
    }

    /// The program's own figures.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let (status, text) = self.page("/metrics").await?;
        ensure!(status == StatusCode::OK, "{status} {text}");
        Ok(text)
    }

    /// How many notifications an Alertmanager has sent, by its own count.
    pub(crate) async fn sent(&self, alertmanager: &Alertmanager) -> Result<f64> {
        let metrics = client()?.get(format!("{}/metrics", alertmanager.url())).send().await?.text().await?;
        let is_it = |line: &&str| line.starts_with("alertmanager_notifications_total{integration=\"webhook\"");
        let line = metrics.lines().find(is_it).context("Alertmanager does not count webhooks")?;
        Ok(line.rsplit_once(' ').context("a figure")?.1.parse()?)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.get_at(TENANT, path).await
    }

    async fn get_at<T: DeserializeOwned>(&self, tenant: &str, path: &str) -> Result<T> {
        let (status, body) = self.call(&Who::Ana.token_at(tenant), Method::GET, path, None).await?;
        ensure!(status.is_success(), "{path}: {status} {body}");
        serde_json::from_value(body).with_context(|| format!("reading {path}"))
    }

    /// All incidents.
    pub(crate) async fn incidents(&self) -> Result<Vec<Incident>> {
        self.incidents_of(TENANT).await
    }

    /// All incidents of a tenant.
    pub(crate) async fn incidents_of(&self, tenant: &str) -> Result<Vec<Incident>> {
        Ok(self.get_at::<Page<Incident>>(tenant, "/v1/incidents?state=any&limit=100").await?.items)
    }

    /// The only incident.
    pub(crate) async fn incident(&self) -> Result<Incident> {
        let mut all = self.incidents().await?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (last, more) => bail!("not one incident, but {last:?} and {more} more"),
        }
    }

    /// Waits until the only incident is there.
    pub(crate) async fn in_phase(&self, phase: Phase) -> Result<Incident> {
        until(&format!("an incident that is {}", phase.label()), async || {
            let incident = self.incident().await?;
            ensure!(incident.phase == phase, "{incident:?}");
            Ok(incident)
        })
        .await
    }

    /// All that happened in an incident, in order.
    pub(crate) async fn facts(&self, incident: &str) -> Result<Vec<What>> {
        Ok(self.record(TENANT, incident).await?.into_iter().map(|fact| fact.what).collect())
    }

    /// What a tenant's incident was, as it was recorded.
    pub(crate) async fn record(&self, tenant: &str, incident: &str) -> Result<Vec<Fact>> {
        let (mut facts, mut after) = (Vec::new(), "0".to_owned());
        loop {
            let path = format!("/v1/incidents/{incident}/timeline?cursor={after}&limit=200");
            let page: Page<Fact> = self.get_at(tenant, &path).await?;
            facts.extend(page.items);
            let Some(next) = page.next else { return Ok(facts) };
            after = next;
        }
    }

    /// Waits for a fact of the only incident.
    pub(crate) async fn fact<T>(&self, what: &str, look: impl Fn(&What) -> Option<T>) -> Result<T> {
        until(what, async || {
            let facts = self.facts(&self.incident().await?.id).await?;
            facts.iter().find_map(&look).with_context(|| format!("it is not among {facts:?}"))
        })
        .await
    }

    /// Waits until the only incident's record has just so many such facts: the ledger writes a little after what it tells of.
    pub(crate) async fn recorded(&self, what: &str, times: usize, is_one: impl Fn(&What) -> bool) -> Result<()> {
        until(what, async || {
            let facts = self.facts(&self.incident().await?.id).await?;
            let found = facts.iter().filter(|what| is_one(what)).count();
            ensure!(found == times, "{found} times, not {times}: {facts:?}");
            Ok(())
        })
        .await
    }

    /// Waits until an answer of this person is recorded as refused, for this reason.
    pub(crate) async fn refusal(&self, of: &str, reason: &str) -> Result<()> {
        self.fact(&format!("the refusal of {of}'s answer ({reason})"), |what| match what {
            What::VoteRefused { person, why, .. } if person == of && why.contains(reason) => Some(()),
            _ => None,
        })
        .await
    }

    /// Waits until a plan waits that is none of `known`, and gives it whole.
    pub(crate) async fn waiting(&self, known: &[ApprovalId]) -> Result<Waiting> {
        until("a plan that waits", async || {
            let page: Page<Named> = self.get("/v1/approvals").await?;
            let new = page.items.into_iter().find(|item| !known.contains(&item.approval)).context("no new plan waits")?;
            self.get(&format!("/v1/approvals/{}", new.approval)).await
        })
        .await
    }

    /// Makes sure that no plan waits.
    pub(crate) async fn nothing_waits(&self) -> Result<()> {
        until("the end of all waiting plans", async || {
            let page: Page<Named> = self.get("/v1/approvals").await?;
            ensure!(page.items.is_empty(), "{} still wait", page.items.len());
            Ok(())
        })
        .await
    }

    /// Where Slack sends clicks.
    pub(crate) fn interactions(&self) -> String {
        format!("{}/v1/slack/{TENANT}/interactions", self.process.gateway)
    }

    /// Waits for a card that asks about a plan.
    pub(crate) async fn card(&self) -> Result<Message> {
        let asks = |message: &Message| message.thread_ts.is_none() && message.blocks.to_string().contains(APPROVE);
        self.slack.wait_for_message("a card that asks", SOON, asks).await
    }

    /// Waits for a card that asks about just this plan.
    pub(crate) async fn card_of(&self, approval: &ApprovalId) -> Result<Message> {
        let value = format!("v1.{approval}.");
        let asks = |message: &Message| message.blocks.to_string().contains(&value);
        self.slack.wait_for_message("a card that asks about the plan", SOON, asks).await
    }

    /// Waits for a line in the card's thread.
    pub(crate) async fn line(&self, text: &str) -> Result<Message> {
        let says = |message: &Message| message.thread_ts.is_some() && message.text.contains(text);
        self.slack.wait_for_message(&format!("a line that says {text:?}"), SOON, says).await
    }

    /// Presses a button of the card; Slack shows the person an error if the answer takes longer than 3 s.
    pub(crate) async fn press(&self, card: &Message, button: &str, who: Who) -> Result<(Interaction, Answered)> {
        let click = self.slack.click(card, button, who.slack_user())?;
        let answered = click.post(&self.interactions()).await?;
        ensure!(answered.took.as_secs() < 3, "Slack would have given up: {answered:?}");
        Ok((click, answered))
    }

    /// That a click was acknowledged, and that its person was told something in private. Slack shows nothing of the acknowledgement.
    pub(crate) async fn told_in_private(&self, answered: &Answered, user: &str, text: &str) -> Result<()> {
        ensure!(answered.status == 200 && answered.body.is_empty(), "{answered:?}");
        let says = |told: &Ephemeral| told.user == user && told.text.contains(text);
        self.slack.wait_for_ephemeral(&format!("{user} being told {text:?}"), SOON, says).await?;
        Ok(())
    }

    /// Approves by the card's button, which must count.
    pub(crate) async fn approve_in_slack(&self) -> Result<Interaction> {
        let (click, answered) = self.press(&self.card().await?, APPROVE, Who::Ana).await?;
        ensure!(answered.status == 200 && answered.body.is_empty(), "{answered:?}");
        Ok(click)
    }
}
