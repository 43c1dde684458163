//! An agent in memory. Tasks do just what a test says, and any operation can be made to answer anything, or nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, Operation, SendMessageRequest,
    SendMessageResponse, StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, TaskState, TaskStatus,
};
use futures::stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

/// What an operation does instead of the usual.
#[derive(Debug, Clone)]
pub(crate) enum Instead {
    Answer(Value),
    Fail(A2aError),
    /// Nothing, until it is told otherwise.
    Wait,
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) caller: Caller,
    pub(crate) request: Value,
}

pub(crate) struct Script {
    card: AgentCard,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    instead: BTreeMap<Operation, Instead>,
    tasks: BTreeMap<String, Vec<StreamResponse>>,
    messages: BTreeMap<(String, String), String>,
    streams: usize,
    broken: Option<A2aError>,
}

pub(crate) fn card() -> AgentCard {
    let card = json!({
        "name": "Script",
        "description": "Does what it is told.",
        "supportedInterfaces": [{
            "url": "nats://127.0.0.1:4222/a2a.acme.script",
            "protocolBinding": a2a_nats::BINDING,
            "protocolVersion": "1.0",
        }],
        "version": "1",
        "capabilities": {"streaming": true, "pushNotifications": true, "extendedAgentCard": true},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "any", "name": "Anything", "description": "Whatever a test wants.", "tags": ["test"]}],
    });
    serde_json::from_value(card).unwrap()
}

impl Script {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_card(card())
    }

    pub(crate) fn with_card(card: AgentCard) -> Arc<Self> {
        Arc::new(Self { card, state: Mutex::default(), changed: watch::Sender::new(()) })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
        result
    }

    /// From now on the operation does this.
    pub(crate) fn instead(&self, operation: Operation, instead: Instead) {
        self.change(|state| state.instead.insert(operation, instead));
    }

    /// From now on the operation does what it usually does.
    pub(crate) fn as_usual(&self, operation: Operation) {
        self.change(|state| state.instead.remove(&operation));
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// Streams that somebody reads.
    pub(crate) fn streams(&self) -> usize {
        self.state.lock().unwrap().streams
    }

    /// Begins a task that is there already when the first client comes.
    pub(crate) fn begin(&self, id: &str) {
        self.change(|state| state.tasks.insert(id.to_owned(), vec![StreamResponse::Task(new_task(id))]));
    }

    /// Something happens to a task.
    pub(crate) fn tell(&self, id: &str, event: StreamResponse) {
        self.change(|state| state.tasks.get_mut(id).unwrap().push(event));
    }

    /// All streams end with this, those that are still to come as well.
    pub(crate) fn break_streams(&self, error: A2aError) {
        self.change(|state| state.broken = Some(error));
    }

    /// They go on again.
    pub(crate) fn mend_streams(&self) {
        self.change(|state| state.broken = None);
    }

    /// Ids of all tasks.
    pub(crate) fn tasks(&self) -> Vec<String> {
        self.state.lock().unwrap().tasks.keys().cloned().collect()
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        (operation, caller): (Operation, &Caller),
        request: &impl Serialize,
        usual: impl FnOnce(&mut State) -> Result<T, A2aError>,
    ) -> Result<T, A2aError> {
        let call = Call { operation, caller: caller.clone(), request: serde_json::to_value(request).unwrap() };
        let mut changed = self.changed.subscribe();
        self.change(|state| state.calls.push(call));
        loop {
            changed.borrow_and_update();
            let instead = self.state.lock().unwrap().instead.get(&operation).cloned();
            match instead {
                None => return self.change(usual),
                Some(Instead::Answer(value)) => return Ok(serde_json::from_value(value).unwrap()),
                Some(Instead::Fail(error)) => return Err(error),
                Some(Instead::Wait) => changed.changed().await.unwrap(),
            }
        }
    }

    /// The task as it is, then what happens to it.
    fn follow(self: &Arc<Self>, id: &str) -> EventStream {
        let (from, first) = self.change(|state| {
            state.streams += 1;
            (state.tasks[id].len(), StreamResponse::Task(state.task(id).unwrap()))
        });
        let reading = Reading(self.clone());
        let next = |(mut changed, id, at, first, reading): (watch::Receiver<()>, String, usize, Option<_>, Reading)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (changed, id, at, None, reading)));
            }
            loop {
                changed.borrow_and_update();
                let (event, is_over, broken) = {
                    let state = reading.0.state.lock().unwrap();
                    let is_over = state.task(&id).unwrap().status.state.is_terminal();
                    (state.tasks[&id].get(at).cloned(), is_over, state.broken.clone())
                };
                match event {
                    Some(event) => return Some((Ok(event), (changed, id, at + 1, None, reading))),
                    None if is_over => return None,
                    None if broken.is_some() => return broken.map(|error| (Err(error), (changed, id, at, None, reading))),
                    None => changed.changed().await.unwrap(),
                }
            }
        };
        Box::pin(stream::unfold((self.changed.subscribe(), id.to_owned(), from, Some(first), reading), next))
    }
}

struct Reading(Arc<Script>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.change(|state| state.streams -= 1);
    }
}

impl State {
    fn task(&self, id: &str) -> Result<Task, A2aError> {
        let events = self.tasks.get(id).ok_or_else(|| A2aError::task_not_found(id))?;
        Ok(events.iter().fold(new_task(id), |task, event| task.apply(event.clone()).unwrap()))
    }

    /// A message is a task's, however often it is sent.
    fn taken(&mut self, caller: &Caller, request: &SendMessageRequest) -> String {
        let next = format!("t{}", self.tasks.len() + 1);
        let key = (caller.sender.clone(), request.message.message_id.clone());
        let id = self.messages.entry(key).or_insert(next).clone();
        self.tasks.entry(id.clone()).or_insert_with(|| vec![StreamResponse::Task(new_task(&id))]);
        id
    }
}

fn new_task(id: &str) -> Task {
    let mut task = Task::new(id, TaskStatus::new(TaskState::Submitted));
    task.context_id = Some("c1".to_owned());
    task
}

/// The service is the `Arc`: streams outlive the call that opens them.
pub(crate) struct Scripted(pub(crate) Arc<Script>);

impl A2aService for Scripted {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        let usual = |state: &mut State| {
            let id = state.taken(caller, &request);
            state.task(&id).map(SendMessageResponse::Task)
        };
        self.0.answer((Operation::SendMessage, caller), &request, usual).await
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        let usual = |state: &mut State| Ok(state.taken(caller, &request));
        let id: String = self.0.answer((Operation::SendStreamingMessage, caller), &request, usual).await?;
        Ok(self.0.follow(&id))
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        self.0.answer((Operation::GetTask, caller), &request, |state| state.task(&request.id)).await
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        let usual = |state: &mut State| {
            let tasks: Vec<Task> = state.tasks.keys().map(|id| state.task(id).unwrap()).collect();
            let total_size = u32::try_from(tasks.len()).unwrap();
            Ok(ListTasksResponse { tasks, next_page_token: String::new(), page_size: 50, total_size })
        };
        self.0.answer((Operation::ListTasks, caller), &request, usual).await
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        let usual = |state: &mut State| {
            let task = state.task(&request.id)?;
            if !task.status.state.is_terminal() {
                let event = crate::stage::status(&request.id, TaskState::Canceled);
                state.tasks.get_mut(&request.id).unwrap().push(event);
            }
            state.task(&request.id)
        };
        self.0.answer((Operation::CancelTask, caller), &request, usual).await
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        let usual = |state: &mut State| {
            let is_over = state.task(&request.id)?.status.state.is_terminal();
            if is_over { Err(A2aError::unsupported_operation("the task has ended")) } else { Ok(request.id.clone()) }
        };
        let id: String = self.0.answer((Operation::SubscribeToTask, caller), &request, usual).await?;
        Ok(self.0.follow(&id))
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let operation = Operation::CreateTaskPushNotificationConfig;
        self.0.answer((operation, caller), &request, |_| Ok(request.clone())).await
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        let operation = Operation::GetTaskPushNotificationConfig;
        self.0.answer((operation, caller), &request, |_| Err(A2aError::task_not_found(&request.task_id))).await
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        let operation = Operation::ListTaskPushNotificationConfigs;
        self.0.answer((operation, caller), &request, |_| Ok(ListTaskPushNotificationConfigsResponse::default())).await
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        let operation = Operation::DeleteTaskPushNotificationConfig;
        self.0.answer((operation, caller), &request, |_| Ok(Value::Null)).await.map(drop)
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        let extended = AgentCard { description: "For friends.".to_owned(), ..self.0.card.clone() };
        self.0.answer((Operation::GetExtendedAgentCard, caller), &request, |_| Ok(extended)).await
    }

    fn card(&self) -> AgentCard {
        self.0.card.clone()
    }
}
