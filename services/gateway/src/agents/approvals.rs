//! The gateway as an agent: it takes decisions on plans that wait, from clients that speak for a person (`schemas/a2a-approval.md`). A
//! decision is answered with a message; there are no tasks.

use std::sync::Arc;

use a2a::nats::APPROVAL_EXTENSION;
use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, ErrorKind, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Message, Part, Role as Speaker,
    SendMessageRequest, SendMessageResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, TaskState,
};
use incident::agent::PersonsAnswer;
use incident::approval::{Answer, Channel, Refusal};
use incident::id::{ApprovalId, PersonId, TenantId};
use incident::plan::Digest;
use incident::task::Role;
use runtime::clock;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::Agents;
use super::forward::agents_task;
use crate::approvals::{self, Word};
use crate::edge::{ANSWER_WITHIN, Edge};
use crate::slack::digest_of;

/// Tasks on a page: as many as the protocol allows.
const WAITING_MAX: u32 = 100;

/// What the metadata of a decision holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    approval: ApprovalId,
    digest: String,
    decision: Word,
    #[serde(default)]
    reason: Option<String>,
}

/// Takes decisions.
pub(super) struct Approvals {
    edge: Arc<Edge>,
    agents: Agents,
    card: AgentCard,
}

impl Approvals {
    pub(super) const fn new(edge: Arc<Edge>, agents: Agents, card: AgentCard) -> Self {
        Self { edge, agents, card }
    }

    async fn decide(&self, caller: &Caller, message: &Message) -> Result<Message, A2aError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        if let Some(task) = &message.task_id {
            return Err(A2aError::task_not_found(task));
        }
        let given = read(message)?;
        let digest = digest_of(&given.digest)
            .ok_or_else(|| A2aError::invalid_field(&field("digest"), "must be 64 lower-case hexadecimal digits"))?;
        let answer = approvals::given(given.decision, given.reason)
            .map_err(|_| A2aError::invalid_field(&field("reason"), "must have at most 1000 characters"))?;
        let tenant: TenantId = caller.tenant.parse().map_err(|_| A2aError::internal("the tenant has no usable name"))?;
        let person = self.speaks_for(caller).ok_or_else(|| refused(Refusal::NotAuthorised))?;
        if self.asked_for(caller, &tenant, &given.approval).await? {
            return Err(refused(Refusal::NotAuthorised));
        }
        self.submit(&tenant, &given.approval, digest, person, answer, deadline).await?;
        let data = json!({"approval": given.approval, "decision": given.decision, "recorded": true});
        let reply = Message::new(random()?, Speaker::Agent, vec![Part::data(data)]);
        Ok(Message { context_id: message.context_id.clone(), extensions: vec![APPROVAL_EXTENSION.to_owned()], ..reply })
    }

    fn speaks_for(&self, caller: &Caller) -> Option<PersonId> {
        self.edge.parts.tenants.named(&caller.tenant)?.client_named(&caller.sender)?.speaks_for.clone()
    }

    /// Whether the plan comes of a task that this very client asked for: nobody agrees to their own proposal.
    async fn asked_for(&self, caller: &Caller, tenant: &TenantId, approval: &ApprovalId) -> Result<bool, A2aError> {
        let Some(engine) = self.agents.of(Role::Remediation) else { return Ok(false) };
        let Some((open, _)) = approvals::open(&self.edge, tenant, approval).await.map_err(|_| unavailable())? else {
            return Ok(false);
        };
        let mut waiting = ListTasksRequest {
            status: Some(TaskState::AuthRequired),
            page_size: Some(WAITING_MAX),
            history_length: Some(0),
            ..ListTasksRequest::default()
        };
        loop {
            let page = engine.list_tasks(caller, waiting.clone()).await?;
            if page.tasks.iter().any(|task| agents_task(tenant, Role::Remediation, &task.id) == open.plan.task) {
                return Ok(true);
            }
            if page.next_page_token.is_empty() {
                return Ok(false);
            }
            waiting.page_token = Some(page.next_page_token);
        }
    }

    async fn submit(
        &self,
        tenant: &TenantId,
        approval: &ApprovalId,
        digest: Digest,
        person: PersonId,
        answer: Answer,
        deadline: Instant,
    ) -> Result<(), A2aError> {
        let answer = PersonsAnswer { approval: approval.clone(), digest: Some(digest), person, channel: Channel::A2a, answer };
        // A fresh name each time: an answer that was refused may count later, when the person is in the group.
        match self.edge.submit(tenant, format!("a2a-{}", random()?), answer, deadline).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refusal)) => Err(refused(refusal)),
            Err(_) => Err(unavailable()),
        }
    }
}

fn read(message: &Message) -> Result<Given, A2aError> {
    let said = message.metadata.get(APPROVAL_EXTENSION).ok_or_else(|| {
        A2aError::invalid_field(
            "message.metadata",
            &format!("must hold a decision under {APPROVAL_EXTENSION}; text is never taken for one"),
        )
    })?;
    serde_path_to_error::deserialize(said).map_err(|error| {
        let path = error.path().to_string();
        A2aError::invalid_field(&field(if path == "." { "" } else { &path }), &error.inner().to_string())
    })
}

fn field(name: &str) -> String {
    let dot = if name.is_empty() { "" } else { "." };
    format!("message.metadata[\"{APPROVAL_EXTENSION}\"]{dot}{name}")
}

/// The caller learns which rule it was, by the name under which it is recorded.
fn refused(refusal: Refusal) -> A2aError {
    let name = serde_json::to_value(refusal).ok().and_then(|name| Some(name.as_str()?.to_owned()));
    A2aError::unsupported_operation(refusal.to_string()).with("refusal", name.unwrap_or_default())
}

fn unavailable() -> A2aError {
    A2aError::unavailable("it is not known whether it was recorded; look with `paramedic approvals`, or send it again")
}

fn random() -> Result<String, A2aError> {
    clock::random_hex::<16>().map_err(|_| A2aError::internal("the operating system gives no random bytes"))
}

fn no_streams<T>() -> Result<T, A2aError> {
    Err(A2aError::unsupported_operation("this agent has no streams: decisions are answered at once"))
}

fn no_push<T>() -> Result<T, A2aError> {
    Err(A2aError::new(ErrorKind::PushNotificationNotSupported, "this agent has no tasks to tell of"))
}

impl A2aService for Approvals {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        self.decide(caller, &request.message).await.map(SendMessageResponse::Message)
    }

    async fn send_streaming_message(&self, _: &Caller, _: SendMessageRequest) -> Result<EventStream, A2aError> {
        no_streams()
    }

    async fn get_task(&self, _: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        Err(A2aError::task_not_found(&request.id))
    }

    async fn list_tasks(&self, _: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        let page_size = request.page_size.unwrap_or(WAITING_MAX);
        Ok(ListTasksResponse { tasks: vec![], next_page_token: String::new(), page_size, total_size: 0 })
    }

    async fn cancel_task(&self, _: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        Err(A2aError::task_not_found(&request.id))
    }

    async fn subscribe_to_task(&self, _: &Caller, _: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        no_streams()
    }

    async fn create_push_config(
        &self,
        _: &Caller,
        _: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        no_push()
    }

    async fn get_push_config(
        &self,
        _: &Caller,
        _: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        no_push()
    }

    async fn list_push_configs(
        &self,
        _: &Caller,
        _: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        no_push()
    }

    async fn delete_push_config(&self, _: &Caller, _: DeleteTaskPushNotificationConfigRequest) -> Result<(), A2aError> {
        no_push()
    }

    async fn extended_card(&self, _: &Caller, _: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        Err(A2aError::unsupported_operation("this agent says no more of itself"))
    }

    fn card(&self) -> AgentCard {
        self.card.clone()
    }
}
