//! The operations, by Atlassian's names.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Comment, Issue, Site, Transition, adf, jql::Jql};
use crate::fakes::{Incoming, Provider, Reply, put};

/// Longest summary.
const SUMMARY_CHARS_MAX: usize = 255;

/// Longest label.
const LABEL_CHARS_MAX: usize = 255;

/// Page sizes where none is named, and the largest for full issues.
const SEARCH_PAGE_DEFAULT: usize = 50;
const SEARCH_PAGE_MAX: usize = 100;
const COMMENTS_PAGE_MAX: usize = 100;

/// Ids in `reconcileIssues`.
const RECONCILE_MAX: usize = 50;

/// What a path asks for.
enum Operation<'a> {
    CreateIssue,
    GetIssue(&'a str),
    Search,
    GetTransitions(&'a str),
    DoTransition(&'a str),
    AddComment(&'a str),
    GetComments(&'a str),
    Myself,
    Unknown,
}

impl<'a> Operation<'a> {
    fn of(incoming: &'a Incoming) -> Self {
        let path = incoming.path.strip_prefix("/rest/api/3/").unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        match (incoming.http_method.as_str(), parts.as_slice()) {
            ("POST", ["issue"]) => Self::CreateIssue,
            ("GET", ["issue", key]) => Self::GetIssue(key),
            ("POST", ["search", "jql"]) => Self::Search,
            ("GET", ["issue", key, "transitions"]) => Self::GetTransitions(key),
            ("POST", ["issue", key, "transitions"]) => Self::DoTransition(key),
            ("POST", ["issue", key, "comment"]) => Self::AddComment(key),
            ("GET", ["issue", key, "comment"]) => Self::GetComments(key),
            ("GET", ["myself"]) => Self::Myself,
            _ => Self::Unknown,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CreateIssue => "createIssue",
            Self::GetIssue(_) => "getIssue",
            Self::Search => "searchAndReconsileIssuesUsingJqlPost",
            Self::GetTransitions(_) => "getTransitions",
            Self::DoTransition(_) => "doTransition",
            Self::AddComment(_) => "addComment",
            Self::GetComments(_) => "getComments",
            Self::Myself => "getCurrentUser",
            Self::Unknown => "unknown",
        }
    }
}

/// A refusal: status, general messages, messages by field.
struct Refused {
    status: u16,
    messages: Vec<String>,
    errors: Value,
}

impl Refused {
    fn new(status: u16, message: &str) -> Self {
        Self { status, messages: vec![message.to_owned()], errors: json!({}) }
    }

    fn field(name: &str, message: &str) -> Self {
        Self { status: 400, messages: Vec::new(), errors: json!({ name: message }) }
    }

    fn no_issue() -> Self {
        Self::new(404, "Issue does not exist or you do not have permission to see it.")
    }
}

impl Provider for Site {
    fn method_name(&self, incoming: &Incoming) -> String {
        Operation::of(incoming).name().to_owned()
    }

    fn handle(&mut self, incoming: &Incoming) -> Reply {
        let outcome = self.admit(incoming).and_then(|()| match Operation::of(incoming) {
            Operation::CreateIssue => self.create(incoming),
            Operation::GetIssue(key) => self.get(key),
            Operation::Search => self.search(incoming),
            Operation::GetTransitions(key) => self.transitions(key),
            Operation::DoTransition(key) => self.transition(key, incoming),
            Operation::AddComment(key) => self.comment(key, incoming),
            Operation::GetComments(key) => self.comments(key, incoming),
            Operation::Myself => Ok(Reply::json(200, json!({ "accountId": "5b10a2844c20165700ede21g" }))),
            Operation::Unknown => Err(Refused::new(404, "No such resource.")),
        });
        outcome.unwrap_or_else(|Refused { status, messages, errors }| {
            let error = format!("{messages:?} {errors}");
            let body = json!({ "errorMessages": messages, "errors": errors });
            Reply { error: Some(error), ..Reply::json(status, body) }
        })
    }

    fn rate_limited(&self, seconds: u32) -> Reply {
        let body = json!({ "errorMessages": ["Rate limit exceeded."], "errors": {} });
        Reply {
            headers: vec![("retry-after", seconds.to_string()), ("ratelimit-reason", "jira-burst-based".to_owned())],
            error: Some("rate limited".to_owned()),
            ..Reply::json(429, body)
        }
    }

    fn failed(&self, status: u16) -> Reply {
        let body = json!({ "errorMessages": ["Internal server error"], "errors": {} });
        Reply { error: Some(format!("http_{status}")), ..Reply::json(status, body) }
    }
}

impl Site {
    fn admit(&self, incoming: &Incoming) -> Result<(), Refused> {
        if incoming.header("authorization") != Some(self.authorization.as_str()) {
            let message = "Client must be authenticated to access this resource.";
            return Err(Refused::new(401, message));
        }
        let is_json = incoming.content_type.starts_with("application/json");
        if incoming.http_method == "POST" && !is_json {
            return Err(Refused::new(415, "Unsupported Media Type"));
        }
        if incoming.http_method == "POST" && !incoming.body.is_object() {
            return Err(Refused::new(400, "Unexpected character in the request body."));
        }
        Ok(())
    }

    fn create(&mut self, incoming: &Incoming) -> Result<Reply, Refused> {
        let fields = incoming.body.get("fields").cloned().unwrap_or_default();
        let known = ["project", "issuetype", "summary", "description", "labels"];
        let names = fields.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(unknown) = names.into_iter().find(|name| !known.contains(&name.as_str())) {
            let why = format!("Field '{unknown}' cannot be set. It is not on the appropriate screen, or unknown.");
            return Err(Refused::field(unknown, &why));
        }
        let project = text(&fields, "/project/key");
        if !self.options.projects.iter().any(|known| known == project) {
            return Err(Refused::field("project", "Specify a valid project ID or key"));
        }
        let issue_type = text(&fields, "/issuetype/name");
        if !self.options.issue_types.iter().any(|known| known == issue_type) {
            return Err(Refused::field("issuetype", "Specify an issue type"));
        }
        let summary = text(&fields, "/summary");
        check_summary(summary)?;
        let labels = check_labels(fields.get("labels"))?;
        let description = fields.get("description").cloned().unwrap_or_default();
        if !description.is_null() {
            adf::check(&description)
                .map_err(|why| Refused::field("description", &format!("Operation value must be an Atlassian Document: {why}")))?;
        }
        let number = self.issues.iter().filter(|issue| issue.project == project).count() + 1;
        let id = self.next_id();
        let Some(status) = self.options.statuses.first().cloned() else {
            return Err(Refused::new(400, "The project has no workflow."));
        };
        let issue = Issue {
            id: id.to_string(),
            key: format!("{project}-{number}"),
            project: project.to_owned(),
            issue_type: issue_type.to_owned(),
            summary: summary.to_owned(),
            description,
            labels,
            status,
            status_history: Vec::new(),
            comments: Vec::new(),
            changed_at: Instant::now(),
        };
        let path = format!("https://site.invalid/rest/api/3/issue/{id}");
        let body = json!({ "id": issue.id, "key": issue.key, "self": path });
        self.issues.push(issue);
        Ok(Reply::json(201, body))
    }

    fn get(&self, key: &str) -> Result<Reply, Refused> {
        let issue = self.find(key).ok_or_else(Refused::no_issue)?;
        Ok(Reply::json(200, shown(issue, &["summary", "labels", "status"])))
    }

    fn search(&self, incoming: &Incoming) -> Result<Reply, Refused> {
        let jql = Jql::parse(text(&incoming.body, "/jql")).map_err(|why| Refused::new(400, &why))?;
        let list = |name: &str| incoming.body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let reconciled = list("reconcileIssues");
        if reconciled.len() > RECONCILE_MAX {
            return Err(Refused::new(400, "reconcileIssues takes at most 50 ids."));
        }
        let is_indexed = |issue: &&Issue| {
            incoming.at.saturating_duration_since(issue.changed_at) >= self.options.search_lag
                || reconciled.iter().any(|id| id.as_u64() == issue.id.parse().ok())
        };
        let found: Vec<_> = self.issues.iter().filter(is_indexed).filter(|issue| jql.matches(issue)).collect();
        let start = match text(&incoming.body, "/nextPageToken") {
            "" => 0,
            token => token.parse().map_err(|_| Refused::new(400, "Invalid nextPageToken."))?,
        };
        let asked = incoming.body.get("maxResults").and_then(Value::as_u64);
        let size = asked.and_then(|size| usize::try_from(size).ok()).unwrap_or(SEARCH_PAGE_DEFAULT).min(SEARCH_PAGE_MAX);
        let fields = list("fields");
        let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
        let issues: Vec<_> = found
            .iter()
            .skip(start)
            .take(size)
            .map(|issue| if fields.is_empty() { json!({ "id": issue.id }) } else { shown(issue, &fields) })
            .collect();
        let end = start + issues.len();
        let mut body = json!({ "issues": issues, "isLast": end >= found.len() });
        if end < found.len() {
            put(&mut body, "nextPageToken", json!(end.to_string()));
        }
        Ok(Reply::json(200, body))
    }

    /// The steps open from where the issue stands.
    fn open_steps(&self, issue: &Issue) -> impl Iterator<Item = &Transition> {
        let status = issue.status.name.clone();
        self.options.transitions.iter().filter(move |step| step.from.is_empty() || step.from.contains(&status))
    }

    fn transitions(&self, key: &str) -> Result<Reply, Refused> {
        let issue = self.find(key).ok_or_else(Refused::no_issue)?;
        let steps: Vec<_> = self
            .open_steps(issue)
            .filter_map(|step| {
                let to = self.status(&step.to)?;
                Some(json!({
                    "id": step.id, "name": step.name, "isAvailable": true,
                    "to": { "name": to.name, "statusCategory": { "key": to.category } },
                }))
            })
            .collect();
        Ok(Reply::json(200, json!({ "transitions": steps })))
    }

    fn transition(&mut self, key: &str, incoming: &Incoming) -> Result<Reply, Refused> {
        let issue = self.find(key).ok_or_else(Refused::no_issue)?;
        let id = text(&incoming.body, "/transition/id");
        let target = self.open_steps(issue).find(|step| step.id == id).map(|step| step.to.clone());
        let Some(status) = target.and_then(|target| self.status(&target)) else {
            return Err(Refused::new(
                400,
                "It seems that you have tried to perform a workflow operation that is not valid for the current state of this issue.",
            ));
        };
        if let Some(issue) = self.find_mut(key) {
            issue.enter(status, incoming.at);
        }
        Ok(Reply { status: 204, headers: Vec::new(), body: None, error: None })
    }

    fn comment(&mut self, key: &str, incoming: &Incoming) -> Result<Reply, Refused> {
        let body = incoming.body.get("body").cloned().unwrap_or_default();
        adf::check(&body).map_err(|why| Refused::field("comment", &format!("Comment body is not valid: {why}")))?;
        let id = self.next_id().to_string();
        let issue = self.find_mut(key).ok_or_else(Refused::no_issue)?;
        let comment = Comment { text: adf::text(&body), body, id };
        let answer = shown_comment(&comment);
        issue.comments.push(comment);
        Ok(Reply::json(201, answer))
    }

    fn comments(&self, key: &str, incoming: &Incoming) -> Result<Reply, Refused> {
        let issue = self.find(key).ok_or_else(Refused::no_issue)?;
        let number = |name: &str| incoming.query(name).and_then(|value| value.parse::<usize>().ok());
        let start = number("startAt").unwrap_or(0);
        let size = number("maxResults").unwrap_or(COMMENTS_PAGE_MAX).min(COMMENTS_PAGE_MAX);
        let mut comments: Vec<_> = issue.comments.iter().map(shown_comment).collect();
        match incoming.query("orderBy") {
            None | Some("created" | "+created") => {}
            Some("-created") => comments.reverse(),
            Some(_) => return Err(Refused::new(400, "Unsupported orderBy.")),
        }
        let total = comments.len();
        let comments: Vec<_> = comments.into_iter().skip(start).take(size).collect();
        let body = json!({
            "startAt": start, "maxResults": size, "total": total, "comments": comments,
        });
        Ok(Reply::json(200, body))
    }
}

fn check_summary(summary: &str) -> Result<(), Refused> {
    if summary.trim().is_empty() {
        return Err(Refused::field("summary", "You must specify a summary of the issue."));
    }
    if summary.contains(['\n', '\r']) {
        let why = "The summary is invalid because it contains newline characters.";
        return Err(Refused::field("summary", why));
    }
    if summary.chars().count() > SUMMARY_CHARS_MAX {
        return Err(Refused::field("summary", "Summary must be less than 255 characters."));
    }
    Ok(())
}

fn check_labels(labels: Option<&Value>) -> Result<Vec<String>, Refused> {
    let refused = |why: &str| Refused::field("labels", why);
    let Some(labels) = labels else { return Ok(Vec::new()) };
    let Some(labels) = labels.as_array() else { return Err(refused("data was not an array")) };
    labels
        .iter()
        .map(|label| match label.as_str() {
            Some(label) if label.contains(char::is_whitespace) => {
                Err(refused(&format!("The label '{label}' contains spaces which is invalid.")))
            }
            Some(label) if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX => {
                Err(refused("The label is empty or longer than 255 characters."))
            }
            Some(label) => Ok(label.to_owned()),
            None => Err(refused("string expected at index 0")),
        })
        .collect()
}

fn shown(issue: &Issue, fields: &[&str]) -> Value {
    let mut shown = json!({});
    for field in fields {
        let value = match *field {
            "summary" => json!(issue.summary),
            "labels" => json!(issue.labels),
            "status" => json!({
                "name": issue.status.name,
                "statusCategory": { "key": issue.status.category },
            }),
            _ => continue,
        };
        put(&mut shown, field, value);
    }
    json!({ "id": issue.id, "key": issue.key, "fields": shown })
}

fn shown_comment(comment: &Comment) -> Value {
    json!({ "id": comment.id, "body": comment.body })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
