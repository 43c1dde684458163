//! What our agents say, as it travels: A2A for tasks, plain JSON for alerts, approvals and facts. Everything from the bus is checked
//! here; the core sees only typed values.

use std::collections::BTreeMap;

use a2a::nats::{APPROVAL_EXTENSION, METHOD_HEADER, Method, VERSION, VERSION_HEADER};
use a2a::{CancelTaskRequest, Message as A2aMessage, Part, PartContent, SendMessageRequest, StreamResponse, Task, TaskState};
use incident::agent::Content;
use incident::approval::ApprovalRequest;
use incident::id::TenantId;
use incident::task::{Artifact, Errand, Role, TaskCancel, TaskEvent, TaskRequest, TaskStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A body that cannot be read as what its subject says it is. It is a dead letter: sent again it would read no better.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not JSON of the right shape.
    #[error("cannot read a {what}")]
    Json {
        /// What it should have been.
        what: &'static str,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Not our A2A binding.
    #[error("not a message of the A2A binding")]
    Binding(#[from] a2a::nats::BindingError),
    /// A field breaks a rule.
    #[error("{field} {rule}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Which rule.
        rule: String,
    },
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|source| WireError::Json { what, source })
}

fn read_value<T: DeserializeOwned>(what: &'static str, value: Value) -> Result<T, WireError> {
    serde_json::from_value(value).map_err(|source| WireError::Json { what, source })
}

fn field(field: &'static str, rule: impl Into<String>) -> WireError {
    WireError::Field { field, rule: rule.into() }
}

/// Who sent a request, and to whom: our members of the A2A `metadata`.
const FROM: &str = "from";
const TO: &str = "to";
/// The client from outside for whom the gateway asks.
const CLIENT: &str = "client";
const NUMBER: &str = "number";
const MESSAGE_ID: &str = "messageId";
/// Set on a task that was turned down because what it rests on is no longer so.
const OUTDATED: &str = "outdated";

fn name_of(role: Role) -> Value {
    Value::from(role.as_str())
}

fn role_in(metadata: &a2a::Metadata, name: &'static str) -> Result<Role, WireError> {
    let text = metadata
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| field("metadata", format!("must name a role under {name:?}")))?;
    text.parse().map_err(|rule: String| field("metadata", rule))
}

/// Headers of an A2A operation.
pub fn a2a_headers(method: Method) -> Vec<(String, String)> {
    vec![(VERSION_HEADER.to_owned(), VERSION.to_owned()), (METHOD_HEADER.to_owned(), method.as_str().to_owned())]
}

/// Writes a request as `SendMessage`.
///
/// # Errors
/// If a number in it is none (NaN).
pub fn request_to_a2a(request: &TaskRequest) -> Result<SendMessageRequest, serde_json::Error> {
    let parts = vec![Part::data(serde_json::to_value(&request.errand)?)];
    let mut metadata = BTreeMap::from([(FROM.to_owned(), name_of(request.from)), (TO.to_owned(), name_of(request.to))]);
    metadata.extend(request.client.iter().map(|client| (CLIENT.to_owned(), Value::from(client.clone()))));
    let message = A2aMessage {
        context_id: Some(request.incident.to_string()),
        metadata,
        ..A2aMessage::new(&request.message_id, a2a::Role::User, parts)
    };
    Ok(SendMessageRequest { tenant: Some(request.tenant.to_string()), ..SendMessageRequest::new(message) })
}

fn request_from_a2a(tenant: &TenantId, sent: SendMessageRequest) -> Result<TaskRequest, WireError> {
    if sent.tenant.as_deref() != Some(tenant.as_str()) {
        return Err(field("tenant", "must be the tenant of the subject"));
    }
    let message = sent.message;
    let incident = message.context_id.ok_or_else(|| field("message.contextId", "must name the incident"))?;
    let errand = message.parts.into_iter().find_map(|part| match part.content {
        PartContent::Data(data) => Some(data),
        PartContent::Text(_) | PartContent::Raw(_) | PartContent::Url(_) => None,
    });
    let errand = errand.ok_or_else(|| field("message.parts", "must hold one data part: the errand"))?;
    Ok(TaskRequest {
        message_id: message.message_id,
        tenant: tenant.clone(),
        from: role_in(&message.metadata, FROM)?,
        to: role_in(&message.metadata, TO)?,
        incident: incident.parse().map_err(|error| field("message.contextId", format!("{error}")))?,
        client: message.metadata.get(CLIENT).and_then(Value::as_str).map(str::to_owned),
        errand: read_value::<Errand>("errand", errand)?,
    })
}

/// Writes a cancellation as `CancelTask`.
pub fn cancel_to_a2a(cancel: &TaskCancel) -> CancelTaskRequest {
    let metadata = BTreeMap::from([
        (FROM.to_owned(), name_of(cancel.from)),
        (TO.to_owned(), name_of(cancel.to)),
        (MESSAGE_ID.to_owned(), Value::from(cancel.message_id.clone())),
        ("reason".to_owned(), Value::from(cancel.reason.clone())),
    ]);
    CancelTaskRequest { tenant: Some(cancel.tenant.to_string()), id: cancel.task.to_string(), metadata }
}

fn cancel_from_a2a(tenant: &TenantId, sent: &CancelTaskRequest) -> Result<TaskCancel, WireError> {
    if sent.tenant.as_deref() != Some(tenant.as_str()) {
        return Err(field("tenant", "must be the tenant of the subject"));
    }
    let text = |name: &str| sent.metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(TaskCancel {
        message_id: text(MESSAGE_ID),
        tenant: tenant.clone(),
        from: role_in(&sent.metadata, FROM)?,
        to: role_in(&sent.metadata, TO)?,
        task: sent.id.parse().map_err(|error| field("id", format!("{error}")))?,
        reason: text("reason"),
    })
}

/// What `AUTH_REQUIRED` carries under the approval extension.
#[derive(Serialize, Deserialize)]
struct ApprovalExtension {
    request: Box<ApprovalRequest>,
    reminders: u32,
}

/// Writes an event as the whole task.
///
/// # Errors
/// If a number in it is none (NaN).
pub fn event_to_a2a(event: &TaskEvent) -> Result<StreamResponse, serde_json::Error> {
    let mut artifacts = vec![];
    let mut extension = None;
    let (state, text) = match &event.status {
        TaskStatus::Working { note } => (TaskState::Working, note.clone()),
        TaskStatus::AuthRequired { request, reminders } => {
            extension = Some(serde_json::to_value(ApprovalExtension { request: request.clone(), reminders: *reminders })?);
            (TaskState::AuthRequired, format!("{} needs approval {}", request.plan.headline(), request.approval))
        }
        TaskStatus::Completed { artifact } => {
            let parts = vec![Part::data(serde_json::to_value(artifact)?)];
            artifacts.push(a2a::Artifact::new("result", parts));
            (TaskState::Completed, "done".to_owned())
        }
        TaskStatus::Failed { reason } => (TaskState::Failed, reason.clone()),
        TaskStatus::Rejected { reason } | TaskStatus::Outdated { reason } => (TaskState::Rejected, reason.clone()),
    };
    let message = A2aMessage {
        context_id: Some(event.incident.to_string()),
        task_id: Some(event.task.to_string()),
        extensions: extension.iter().map(|_| APPROVAL_EXTENSION.to_owned()).collect(),
        metadata: extension.into_iter().map(|value| (APPROVAL_EXTENSION.to_owned(), value)).collect(),
        ..A2aMessage::new(format!("{}.{}", event.task, event.number), a2a::Role::Agent, vec![Part::text(text)])
    };
    let mut metadata = BTreeMap::from([
        (FROM.to_owned(), name_of(event.from)),
        (TO.to_owned(), name_of(event.to)),
        (NUMBER.to_owned(), json!(event.number)),
        (MESSAGE_ID.to_owned(), Value::from(event.message_id.clone())),
    ]);
    if matches!(event.status, TaskStatus::Outdated { .. }) {
        metadata.insert(OUTDATED.to_owned(), Value::from(true));
    }
    Ok(StreamResponse::Task(Task {
        context_id: Some(event.incident.to_string()),
        artifacts,
        metadata,
        ..Task::new(event.task.to_string(), a2a::TaskStatus { message: Some(message), ..a2a::TaskStatus::new(state) })
    }))
}

fn event_from_a2a(tenant: &TenantId, sent: StreamResponse) -> Result<TaskEvent, WireError> {
    let StreamResponse::Task(task) = sent else { return Err(field("task", "must be there: events are whole tasks")) };
    let number = task.metadata.get(NUMBER).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let message_id = task.metadata.get(MESSAGE_ID).and_then(Value::as_str).unwrap_or_default().to_owned();
    let incident = task.context_id.clone().ok_or_else(|| field("contextId", "must name the incident"))?;
    Ok(TaskEvent {
        tenant: tenant.clone(),
        task: task.id.parse().map_err(|error| field("id", format!("{error}")))?,
        message_id,
        incident: incident.parse().map_err(|error| field("contextId", format!("{error}")))?,
        from: role_in(&task.metadata, FROM)?,
        to: role_in(&task.metadata, TO)?,
        number: number.ok_or_else(|| field("metadata.number", "must count the task's events"))?,
        status: status_from_a2a(task)?,
    })
}

fn status_from_a2a(task: Task) -> Result<TaskStatus, WireError> {
    let said = task.status.message;
    let text = said.iter().flat_map(|message| &message.parts).find_map(|part| match &part.content {
        PartContent::Text(text) => Some(text.clone()),
        PartContent::Data(_) | PartContent::Raw(_) | PartContent::Url(_) => None,
    });
    let reason = text.unwrap_or_default();
    match task.status.state {
        TaskState::Submitted | TaskState::Working => Ok(TaskStatus::Working { note: reason }),
        TaskState::Failed => Ok(TaskStatus::Failed { reason }),
        TaskState::Rejected if task.metadata.get(OUTDATED) == Some(&Value::from(true)) => Ok(TaskStatus::Outdated { reason }),
        TaskState::Rejected | TaskState::Canceled => Ok(TaskStatus::Rejected { reason }),
        TaskState::InputRequired => Err(field("status.state", "TASK_STATE_INPUT_REQUIRED: no agent of ours asks for data")),
        TaskState::AuthRequired => {
            let extension = said.and_then(|mut message| message.metadata.remove(APPROVAL_EXTENSION));
            let extension =
                extension.ok_or_else(|| field("status.message.metadata", format!("must hold {APPROVAL_EXTENSION}")))?;
            let ApprovalExtension { request, reminders } = read_value("approval request", extension)?;
            Ok(TaskStatus::AuthRequired { request, reminders })
        }
        TaskState::Completed => {
            let data = task.artifacts.into_iter().flat_map(|a| a.parts).find_map(|part| match part.content {
                PartContent::Data(data) => Some(data),
                PartContent::Text(_) | PartContent::Raw(_) | PartContent::Url(_) => None,
            });
            let data = data.ok_or_else(|| field("artifacts", "must hold one data part"))?;
            Ok(TaskStatus::Completed { artifact: read_value::<Artifact>("artifact", data)? })
        }
    }
}

/// What kind of thing a subject carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Notifications.
    Alerts,
    /// Silences.
    Silences,
    /// Orders.
    Orders,
    /// Relations of incidents.
    Related,
    /// A2A requests.
    Requests,
    /// A2A events.
    Events,
    /// What was announced while nobody could handle it.
    Announced,
    /// Questions to people.
    ApprovalRequests,
    /// Questions that wait no more.
    ApprovalsClosed,
    /// Signed votes.
    Votes,
    /// Facts.
    Facts,
}

/// Reads a body. `header` looks a header up.
///
/// # Errors
/// What is wrong with it.
pub fn read_content<'a>(
    carries: Carries,
    tenant: &TenantId,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
) -> Result<Content, WireError> {
    let content = match carries {
        Carries::Alerts => Content::Alerts(read("notification", body)?),
        Carries::Orders => Content::Order(Box::new(read("order", body)?)),
        Carries::Related => Content::Related(read("relation", body)?),
        Carries::Silences => Content::Silences { tenant: tenant.clone(), silences: read("silences", body)? },
        Carries::Requests => match Method::read(header(VERSION_HEADER), header(METHOD_HEADER))? {
            Method::SendMessage => Content::Request(request_from_a2a(tenant, read("SendMessageRequest", body)?)?),
            Method::CancelTask => Content::Cancel(cancel_from_a2a(tenant, &read("CancelTaskRequest", body)?)?),
        },
        Carries::Events => Content::Event(event_from_a2a(tenant, read("StreamResponse", body)?)?),
        Carries::Announced => Content::Announced(read("note of an announcement", body)?),
        Carries::ApprovalRequests => Content::ApprovalRequested(Box::new(read("approval request", body)?)),
        Carries::ApprovalsClosed => Content::ApprovalClosed(read("closed approval", body)?),
        Carries::Votes => Content::Voted(read("signed vote", body)?),
        Carries::Facts => Content::Fact(Box::new(read("fact", body)?)),
    };
    let inner = tenant_of(&content);
    if inner.is_some_and(|inner| inner != tenant) {
        return Err(field("tenant", "must be the tenant of the subject"));
    }
    Ok(content)
}

/// The tenant that the body itself names: it must be the subject's, which the bus's permissions guard.
const fn tenant_of(content: &Content) -> Option<&TenantId> {
    match content {
        Content::Alerts(notification) => Some(&notification.tenant),
        Content::Request(request) => Some(&request.tenant),
        Content::Cancel(cancel) => Some(&cancel.tenant),
        Content::Event(event) => Some(&event.tenant),
        Content::Announced(announced) => Some(&announced.tenant),
        Content::ApprovalRequested(request) => Some(&request.plan.tenant),
        Content::ApprovalClosed(closed) => Some(&closed.tenant),
        Content::Voted(signed) => Some(&signed.vote.tenant),
        Content::Answered(_) => None,
        Content::Order(order) => Some(&order.tenant),
        Content::Related(related) => Some(&related.tenant),
        Content::Silence { tenant, .. } | Content::Silences { tenant, .. } | Content::Listen { tenant, .. } => Some(tenant),
        Content::Fact(fact) => Some(&fact.tenant),
    }
}
