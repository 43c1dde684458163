//! Jira Cloud's platform REST API, version 3: requests, answers, look-ups.
//!
//! Creating has no idempotency key, so each issue carries its key as a label and each comment as
//! its last line. Search is eventually consistent, reading one issue is not.

use std::time::Duration;

use mcp::outgoing::{Answer, Ask, LaneKey, Outgoing, Safety, Tier, Verdict, retry_after};
use mcp::{FaultKind, ToolFault};
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use url::Url;

use super::{AddComment, AddedComment, Config, CreateIssue, CreatedIssue, Rates, TransitionIssue, TransitionedIssue, adf};
use crate::look::{self, Patience};
use crate::{SetupError, key};

/// Comments per page of a look-up, and pages: newest first, so a retry's comment is on the first.
const COMMENTS_PAGE: &str = "100";
const COMMENTS_PAGES_MAX: usize = 5;

/// The category every finished status belongs to.
const DONE: &str = "done";
/// What stands for all other categories.
const OPEN: &str = "open";

/// What finished work is called, best first. The category also holds `Won't Do` and `Duplicate`, which say something else.
const DONE_NAMES: [&str; 3] = ["Done", "Resolved", "Closed"];

pub(super) struct Api {
    outgoing: Outgoing,
    site: Url,
    browse: Url,
    email: Option<String>,
    token: SecretString,
    rates: Rates,
    index_lag: Duration,
    settle: Duration,
}

#[derive(Deserialize)]
struct IssueRef {
    id: String,
    key: String,
}

#[derive(Deserialize)]
struct SearchPage {
    #[serde(default)]
    issues: Vec<IssueRef>,
}

#[derive(Deserialize)]
struct CommentRef {
    id: String,
}

#[derive(Deserialize)]
struct CommentPage {
    #[serde(default)]
    comments: Vec<FoundComment>,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct FoundComment {
    id: String,
    #[serde(default)]
    body: Value,
}

#[derive(Deserialize)]
struct IssueStatus {
    fields: StatusField,
}

#[derive(Deserialize)]
struct StatusField {
    status: Status,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Status {
    name: String,
    #[serde(default)]
    status_category: Category,
}

#[derive(Deserialize, Clone, Default)]
struct Category {
    #[serde(default)]
    key: String,
}

#[derive(Deserialize)]
struct Transitions {
    #[serde(default)]
    transitions: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    id: String,
    to: Status,
}

/// One call: operation, path below `/rest/api/3`, query, body, what limits it.
struct Call<'a> {
    operation: &'static str,
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    safety: Safety,
    /// The issue that is written to.
    writes: Option<&'a str>,
    deadline: Instant,
}

impl Api {
    pub(super) fn new(config: Config) -> Result<Self, SetupError> {
        let Config { site_url, browse_url, email, token, index_lag_ms, settle_ms, rates, policy } = config;
        let browse = browse_url.unwrap_or_else(|| site_url.clone());
        for (setting, url) in [("jira.site_url", &site_url), ("jira.browse_url", &browse)] {
            if url.cannot_be_a_base() {
                return Err(SetupError::Url { setting, url: url.to_string(), example: "https://your-domain.atlassian.net" });
            }
        }
        let outgoing = Outgoing::new("jira", &site_url, policy, vec![token.clone()])
            .map_err(|source| SetupError::Http { provider: "jira", source })?;
        let (index_lag, settle) = (Duration::from_millis(index_lag_ms), Duration::from_millis(settle_ms));
        Ok(Self { outgoing, site: site_url, browse, email, token, rates, index_lag, settle })
    }

    pub(super) async fn create_issue(&self, args: &CreateIssue, deadline: Instant) -> Result<CreatedIssue, ToolFault> {
        let mut labels = args.labels.clone();
        labels.push(key::mark(&args.idempotency_key));
        let mut fields = json!({
            "project": { "key": args.project },
            "issuetype": { "name": args.issue_type },
            "summary": args.summary,
            "labels": labels,
        });
        if !args.description.trim().is_empty()
            && let Some(fields) = fields.as_object_mut()
        {
            fields.insert("description".to_owned(), adf::document(&args.description));
        }
        let call = Call {
            operation: "createIssue",
            method: Method::POST,
            path: vec!["issue"],
            query: Vec::new(),
            body: Some(json!({ "fields": fields })),
            safety: Safety::Once,
            writes: None,
            deadline,
        };
        let issue: IssueRef = self.read(call).await?;
        Ok(self.created(issue, false))
    }

    /// The issue an earlier attempt created; none once it is certain that there is none. Jira may
    /// create it late, and search may see it later still.
    pub(super) async fn find_issue(&self, args: &CreateIssue, deadline: Instant) -> Result<Option<CreatedIssue>, ToolFault> {
        let time = self.settle + self.index_lag;
        let patience = Patience { time, settings: "jira.settle_ms and jira.index_lag_ms" };
        let found = look::until_settled(patience, deadline, || self.search(args, deadline)).await?;
        Ok(found.map(|issue| self.created(issue, true)))
    }

    async fn search(&self, args: &CreateIssue, deadline: Instant) -> Result<Option<IssueRef>, ToolFault> {
        let mark = key::mark(&args.idempotency_key);
        let jql = format!("project = \"{}\" AND labels = \"{mark}\" ORDER BY created ASC", args.project);
        let call = Call {
            operation: "search",
            method: Method::POST,
            path: vec!["search", "jql"],
            query: Vec::new(),
            // `key` comes with any field; without `fields` only the id does.
            body: Some(json!({ "jql": jql, "fields": ["status"], "maxResults": 1 })),
            safety: Safety::Repeatable,
            writes: None,
            deadline,
        };
        let page: SearchPage = self.read(call).await?;
        Ok(page.issues.into_iter().next())
    }

    pub(super) async fn add_comment(&self, args: &AddComment, deadline: Instant) -> Result<AddedComment, ToolFault> {
        let marked = format!("{}\n\n{}", args.body, key::mark(&args.idempotency_key));
        let call = Call {
            operation: "addComment",
            method: Method::POST,
            path: vec!["issue", &args.key, "comment"],
            query: Vec::new(),
            body: Some(json!({ "body": adf::document(&marked) })),
            safety: Safety::Once,
            writes: Some(&args.key),
            deadline,
        };
        let comment: CommentRef = self.read(call).await?;
        Ok(AddedComment { id: comment.id, already: false })
    }

    /// The comment an earlier attempt added; none once it is certain that there is none.
    pub(super) async fn find_comment(&self, args: &AddComment, deadline: Instant) -> Result<Option<String>, ToolFault> {
        let patience = Patience { time: self.settle, settings: "jira.settle_ms" };
        look::until_settled(patience, deadline, || self.look_for_comment(args, deadline)).await
    }

    async fn look_for_comment(&self, args: &AddComment, deadline: Instant) -> Result<Option<String>, ToolFault> {
        let mark = key::mark(&args.idempotency_key);
        let mut seen = 0;
        for _ in 0..COMMENTS_PAGES_MAX {
            let page = self.comments(args, seen, deadline).await?;
            let is_ours = |comment: &&FoundComment| adf::last_line(&comment.body).as_ref() == Some(&mark);
            if let Some(found) = page.comments.iter().find(is_ours) {
                return Ok(Some(found.id.clone()));
            }
            seen += page.comments.len();
            if page.comments.is_empty() || seen >= page.total {
                return Ok(None);
            }
        }
        Err(look::incomplete(
            "the issue has too many comments to tell whether this one is among them: look, and add it by hand if it is not",
        ))
    }

    async fn comments(&self, args: &AddComment, start: usize, deadline: Instant) -> Result<CommentPage, ToolFault> {
        let call = Call {
            operation: "getComments",
            method: Method::GET,
            path: vec!["issue", &args.key, "comment"],
            query: vec![
                ("startAt", start.to_string()),
                ("maxResults", COMMENTS_PAGE.to_owned()),
                ("orderBy", "-created".to_owned()),
            ],
            body: None,
            safety: Safety::Repeatable,
            writes: None,
            deadline,
        };
        self.read(call).await
    }

    pub(super) async fn transition(&self, args: &TransitionIssue, deadline: Instant) -> Result<TransitionedIssue, ToolFault> {
        let now = self.status(args, deadline).await?;
        if now.is(&args.to) {
            return Ok(reached(args, now, true));
        }
        let step = self.step(args, &now, deadline).await?;
        let call = Call {
            operation: "doTransition",
            method: Method::POST,
            path: vec!["issue", &args.key, "transitions"],
            query: Vec::new(),
            body: Some(json!({ "transition": { "id": step.id } })),
            safety: Safety::Once,
            writes: Some(&args.key),
            deadline,
        };
        match self.send(call).await {
            Ok(_) => Ok(reached(args, step.to, false)),
            // Someone else may have moved it there meanwhile, or the answer was lost: what counts
            // is where it stands.
            Err(fault) => match self.status(args, deadline).await {
                Ok(now) if now.is(&args.to) => Ok(reached(args, now, false)),
                _ => Err(fault),
            },
        }
    }

    async fn status(&self, args: &TransitionIssue, deadline: Instant) -> Result<Status, ToolFault> {
        let call = Call {
            operation: "getIssue",
            method: Method::GET,
            path: vec!["issue", &args.key],
            query: vec![("fields", "status".to_owned())],
            body: None,
            safety: Safety::Repeatable,
            writes: None,
            deadline,
        };
        let issue: IssueStatus = self.read(call).await?;
        Ok(issue.fields.status)
    }

    /// The workflow step from where the issue stands to where it shall be.
    async fn step(&self, args: &TransitionIssue, now: &Status, deadline: Instant) -> Result<Step, ToolFault> {
        let call = Call {
            operation: "getTransitions",
            method: Method::GET,
            path: vec!["issue", &args.key, "transitions"],
            query: Vec::new(),
            body: None,
            safety: Safety::Repeatable,
            writes: None,
            deadline,
        };
        let open: Transitions = self.read(call).await?;
        let names: Vec<_> = open.transitions.iter().map(|step| step.to.name.clone()).collect();
        best(open.transitions, &args.to).ok_or_else(|| {
            let hint = format!("the workflow leads from {} to {names:?} and not to {}", now.name, args.to);
            ToolFault::new(FaultKind::Conflict, "no_transition", hint)
        })
    }

    async fn read<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ToolFault> {
        let operation = call.operation;
        let answer = self.send(call).await?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            let hint = format!("Jira's answer to {operation} misses something: {error}");
            ToolFault::new(FaultKind::Unavailable, "unreadable_answer", hint).outcome_unknown()
        })
    }

    async fn send(&self, call: Call<'_>) -> Result<Answer, ToolFault> {
        let path: Vec<&str> = ["rest", "api", "3"].into_iter().chain(call.path).collect();
        let url = crate::join(&self.site, &path)
            .ok_or_else(|| ToolFault::new(FaultKind::Invalid, "site_url", "jira.site_url is no base address"))?;
        let mut request = self.outgoing.request(call.method, url).query(&call.query);
        request = match &self.email {
            Some(email) => request.basic_auth(email, Some(self.token.expose_secret())),
            None => request.bearer_auth(self.token.expose_secret()),
        };
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let request = request.header("Accept", "application/json").build().map_err(|error| {
            let hint = format!("cannot build the request: {}", error.without_url());
            ToolFault::new(FaultKind::Invalid, "request", hint)
        })?;
        let mut lanes: Vec<(LaneKey, Tier)> = vec![(LaneKey::route(call.operation), self.rates.operation)];
        if let Some(issue) = call.writes {
            lanes.push((LaneKey::object("issue", issue), self.rates.issue_write));
        }
        let (safety, deadline) = (call.safety, call.deadline);
        self.outgoing.ask(&Ask { request, lanes, safety, deadline, judge }).await
    }

    fn created(&self, issue: IssueRef, already: bool) -> CreatedIssue {
        let url = crate::join(&self.browse, &["browse", &issue.key]);
        let url = url.map(String::from).unwrap_or_default();
        CreatedIssue { key: issue.key, id: issue.id, url, already }
    }
}

impl Status {
    fn is(&self, wanted: &str) -> bool {
        let category = self.status_category.key.as_str();
        let is_of_kind = (wanted.eq_ignore_ascii_case(DONE) && category == DONE)
            || (wanted.eq_ignore_ascii_case(OPEN) && !category.is_empty() && category != DONE);
        is_of_kind || self.name.eq_ignore_ascii_case(wanted)
    }
}

/// The step that leads to where the issue shall be; to "done" many may.
fn best(steps: Vec<Step>, wanted: &str) -> Option<Step> {
    let rank =
        |step: &Step| DONE_NAMES.iter().position(|name| step.to.name.eq_ignore_ascii_case(name)).unwrap_or(DONE_NAMES.len());
    steps.into_iter().filter(|step| step.to.is(wanted)).min_by_key(rank)
}

fn reached(args: &TransitionIssue, status: Status, already: bool) -> TransitionedIssue {
    TransitionedIssue { key: args.key.clone(), status: status.name, already }
}

/// Jira's error body.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ErrorCollection {
    error_messages: Vec<String>,
    errors: Map<String, Value>,
}

/// Reads an answer of any operation.
fn judge(answer: &Answer) -> Verdict {
    let code = format!("http_{}", answer.status);
    let said = || {
        let errors: ErrorCollection = serde_json::from_slice(&answer.body).unwrap_or_default();
        let fields = errors.errors.iter().map(|(field, why)| format!("{field}: {}", why.as_str().unwrap_or_default()));
        errors.error_messages.iter().cloned().chain(fields).collect::<Vec<_>>().join("; ")
    };
    let refused = |kind, hint: &str| Verdict::Refused(ToolFault::new(kind, code.clone(), format!("{hint}: {}", said())));
    match answer.status {
        200..=299 => Verdict::Done,
        429 => {
            let reason = answer.headers.get("ratelimit-reason").and_then(|value| value.to_str().ok());
            // Only the per-issue limit is about the issue; every other is about the operation.
            let lane = usize::from(reason == Some("jira-per-issue-on-write"));
            let code = reason.unwrap_or("http_429").to_owned();
            Verdict::Limited { after: retry_after(&answer.headers), lane, code }
        }
        408 | 425 | 500.. => Verdict::Broken { code },
        // Refreshing does not help here: the token is good, its scopes are not.
        401 if said().contains("scope does not match") => {
            refused(FaultKind::Scope, "the token lacks read:jira-work or write:jira-work")
        }
        401 => refused(FaultKind::Auth, "Jira does not accept jira.email and jira.token"),
        403 => refused(FaultKind::Scope, "the account may not do this"),
        404 => refused(FaultKind::NotFound, "it does not exist, or the account may not see it"),
        409 => refused(FaultKind::Conflict, "someone else changed it at the same time"),
        _ => refused(FaultKind::Invalid, "Jira refuses the request"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Transitions, best, judge};
    use mcp::FaultKind;
    use mcp::outgoing::{Answer, Verdict};
    use reqwest::header::{HeaderMap, HeaderValue};

    #[test]
    fn every_kind_of_error_is_told_apart() {
        for (status, body, kind) in [
            (400, r#"{"errorMessages":[],"errors":{"summary":"too long"}}"#, FaultKind::Invalid),
            (401, r#"{"errorMessages":["authenticate"]}"#, FaultKind::Auth),
            (401, r#"{"errorMessages":["scope does not match"]}"#, FaultKind::Scope),
            (403, "", FaultKind::Scope),
            (404, "<html>", FaultKind::NotFound),
            (409, "{}", FaultKind::Conflict),
        ] {
            let answer = Answer { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec() };
            let Verdict::Refused(fault) = judge(&answer) else { panic!("{status} not refused") };
            assert_eq!(fault.kind, kind, "{status} {body}");
            assert!(body.find("too long").is_none() || fault.hint.contains("summary: too long"));
        }
    }

    #[test]
    fn done_is_what_people_call_done_and_the_rest_is_open() {
        /// Names of the statuses that steps lead to, with their categories.
        type Steps = [(&'static str, &'static str)];
        let table: [(&Steps, &str, Option<&str>); 9] = [
            (&[("Won't Do", "done"), ("Done", "done")], "done", Some("Done")),
            (&[("Duplicate", "done"), ("Closed", "done"), ("RESOLVED", "done")], "done", Some("RESOLVED")),
            (&[("In Review", "indeterminate"), ("Shipped", "done")], "done", Some("Shipped")),
            (&[("Done", "done"), ("Won't Do", "done")], "Won't Do", Some("Won't Do")),
            (&[("Resolved", "indeterminate")], "done", None),
            (&[], "done", None),
            (&[("Closed", "done"), ("Reopened", "new")], "open", Some("Reopened")),
            (&[("Won't Do", "done")], "open", None),
            (&[("Nowhere", "")], "open", None),
        ];
        for (steps, wanted, expected) in table {
            let step = |(name, category): &(&str, &str)| serde_json::json!({ "id": name, "to": { "name": name, "statusCategory": { "key": category } } });
            let steps: Vec<_> = steps.iter().map(step).collect();
            let open: Transitions = serde_json::from_value(serde_json::json!({ "transitions": steps })).expect("steps");
            let found = best(open.transitions, wanted).map(|step| step.to.name);
            assert_eq!(found.as_deref(), expected, "{wanted} of {steps:?}");
        }
    }

    #[test]
    fn a_limit_names_the_lane_it_closes() {
        for (reason, closes) in [("jira-burst-based", 0), ("jira-per-issue-on-write", 1)] {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit-reason", HeaderValue::from_static(reason));
            match judge(&Answer { status: 429, headers, body: Vec::new() }) {
                Verdict::Limited { lane, code, .. } => {
                    assert_eq!((lane, code.as_str()), (closes, reason));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
