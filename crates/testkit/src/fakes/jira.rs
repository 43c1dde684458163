//! A Jira Cloud site: the REST v3 operations Paramedic's connector may call.
//!
//! Owns issues, their workflow and the search index that lags behind them. Rules and shapes are
//! Atlassian's published platform API (version 3) and Atlassian Document Format.

mod adf;
mod jql;
mod operations;

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::time::Instant;

use super::{Call, Failure, Fake};

/// A status of the workflow, with the category Jira groups it in (`new`, `indeterminate`, `done`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Shown name.
    pub name: String,
    /// Category key.
    pub category: String,
}

/// A step of the workflow.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Id, unique in the workflow.
    pub id: String,
    /// Name of the step, which need not be that of the status.
    pub name: String,
    /// Statuses it starts from, by name; empty for any (a global transition).
    pub from: Vec<String>,
    /// Status it leads to, by name.
    pub to: String,
}

/// How the site is set up.
#[derive(Debug, Clone)]
pub struct JiraOptions {
    /// The account whose API token is accepted.
    pub email: String,
    /// The API token.
    pub api_token: String,
    /// Project keys.
    pub projects: Vec<String>,
    /// Issue types every project has.
    pub issue_types: Vec<String>,
    /// The workflow's statuses; the first is where issues start.
    pub statuses: Vec<Status>,
    /// The workflow's steps.
    pub transitions: Vec<Transition>,
    /// How long search does not see what was written.
    pub search_lag: Duration,
}

impl Default for JiraOptions {
    fn default() -> Self {
        let status = |name: &str, category: &str| Status { name: name.to_owned(), category: category.to_owned() };
        let step = |id: &str, name: &str, from: &[&str], to: &str| Transition {
            id: id.to_owned(),
            name: name.to_owned(),
            from: from.iter().map(|from| (*from).to_owned()).collect(),
            to: to.to_owned(),
        };
        Self {
            email: "paramedic@example.com".to_owned(),
            api_token: "ATATT3xFakeSiteToken".to_owned(),
            projects: vec!["OPS".to_owned()],
            issue_types: vec!["Task".to_owned(), "Bug".to_owned(), "Incident".to_owned()],
            statuses: vec![status("To Do", "new"), status("In Progress", "indeterminate"), status("Done", "done")],
            transitions: vec![
                step("11", "Start work", &["To Do"], "In Progress"),
                step("21", "Stop work", &["In Progress"], "To Do"),
                step("31", "Resolve", &["To Do", "In Progress"], "Done"),
                step("41", "Reopen", &["Done"], "To Do"),
            ],
            search_lag: Duration::from_millis(300),
        }
    }
}

/// A comment.
#[derive(Debug, Clone)]
pub struct Comment {
    /// Its id.
    pub id: String,
    /// The body, in Atlassian Document Format.
    pub body: Value,
    /// The body's text, one line per block.
    pub text: String,
}

/// An issue as the site has it now.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Numeric id, as a string.
    pub id: String,
    /// Key, such as `OPS-7`.
    pub key: String,
    /// Project key.
    pub project: String,
    /// Issue type.
    pub issue_type: String,
    /// One line.
    pub summary: String,
    /// The description, in Atlassian Document Format; null without.
    pub description: Value,
    /// Labels.
    pub labels: Vec<String>,
    /// Where it stands in the workflow.
    pub status: Status,
    /// Where it stood before, oldest first.
    pub status_history: Vec<Status>,
    /// Comments, oldest first.
    pub comments: Vec<Comment>,
    /// When it was written last: search sees it a lag later.
    pub changed_at: Instant,
}

/// A running Jira.
pub struct JiraFake(Fake<Site>);

impl JiraFake {
    /// Starts it on a free loopback port.
    pub async fn start(options: JiraOptions) -> anyhow::Result<Self> {
        Ok(Self(Fake::start(Site::new(options)?).await?))
    }

    /// What stands for `https://your-domain.atlassian.net`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.0.address())
    }

    /// The options it runs with.
    pub fn options(&self) -> JiraOptions {
        self.0.provider().options.clone()
    }

    /// All issues, oldest first.
    pub fn issues(&self) -> Vec<Issue> {
        self.0.provider().issues.clone()
    }

    /// The issue with this key.
    pub fn issue(&self, key: &str) -> Option<Issue> {
        self.0.provider().find(key).cloned()
    }

    /// Waits for an issue that `is_it`.
    pub async fn wait_for_issue(&self, what: &str, within: Duration, is_it: impl Fn(&Issue) -> bool) -> anyhow::Result<Issue> {
        let look = |site: &Site| site.issues.iter().find(|issue| is_it(issue)).cloned();
        self.0.wait_for(what, within, look).await
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.0.calls()
    }

    /// The next call of `operation` fails so; several queue up. Operations are named as in
    /// Atlassian's description: `createIssue`, `getIssue`, `getTransitions`, `doTransition`,
    /// `addComment`, `getComments`, `getCurrentUser`,
    /// `searchAndReconsileIssuesUsingJqlPost` (their spelling).
    pub fn fail_next(&self, operation: &str, failure: Failure) {
        self.0.faults().push(operation, failure);
    }

    /// Every call fails so, until `None`.
    pub fn outage(&self, failure: Option<Failure>) {
        self.0.faults().outage(failure);
    }

    /// Forgets all failures planned.
    pub fn clear_failures(&self) {
        self.0.faults().clear();
    }

    /// Moves an issue as a person on the site would, whatever the workflow says.
    ///
    /// # Errors
    /// There is no such issue or status.
    pub fn move_issue(&self, key: &str, status: &str) -> anyhow::Result<()> {
        let mut site = self.0.provider();
        let status = site.status(status).with_context(|| format!("find status {status}"))?;
        let issue = site.find_mut(key).with_context(|| format!("find issue {key}"))?;
        issue.enter(status, Instant::now());
        Ok(())
    }
}

/// The state behind the API.
pub(crate) struct Site {
    options: JiraOptions,
    /// The `Authorization` header of the account.
    authorization: String,
    issues: Vec<Issue>,
    last_id: u64,
}

impl Site {
    fn new(options: JiraOptions) -> anyhow::Result<Self> {
        // reqwest knows how to write basic credentials; no second copy of that here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = reqwest::Client::new()
            .get("http://jira.invalid/")
            .basic_auth(&options.email, Some(&options.api_token))
            .build()
            .context("write the account's credentials")?;
        let authorization = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .context("read the account's credentials")?
            .to_owned();
        Ok(Self { options, authorization, issues: Vec::new(), last_id: 10_000 })
    }

    fn find(&self, key_or_id: &str) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.key == key_or_id || issue.id == key_or_id)
    }

    fn find_mut(&mut self, key_or_id: &str) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.key == key_or_id || issue.id == key_or_id)
    }

    fn status(&self, name: &str) -> Option<Status> {
        self.options.statuses.iter().find(|status| status.name == name).cloned()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Issue {
    fn enter(&mut self, status: Status, now: Instant) {
        let left = std::mem::replace(&mut self.status, status);
        self.status_history.push(left);
        self.changed_at = now;
    }
}

#[cfg(test)]
mod tests;
