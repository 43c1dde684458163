//! The operations of A2A.

use std::sync::Arc;

use a2a::parameters::check_extensions;
use a2a::{
    A2aError, A2aService, AgentCard, Caller, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, ErrorKind, EventStream,
    GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
    StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, TaskState, Validate as _,
};
use futures::StreamExt as _;
use store::a2a::{PageSize, Place, PushKey, TaskKey};
use tokio::time::{Instant, timeout_at};

use crate::case;
use crate::core::{fault, stops};
use crate::live::Live;
use crate::sending::{self, Sent};
use crate::subscription::{self, NumberedStream, Seat};
use crate::{Engine, Executor, Updates, Work, page, push};

impl<E: Executor> A2aService for Engine<E> {
    async fn send_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<SendMessageResponse, A2aError> {
        self.check(caller)?;
        request.validate()?;
        let configuration = request.configuration.as_ref();
        let history_length = configuration.and_then(|configuration| configuration.history_length);
        let returns_at_once = configuration.is_some_and(|configuration| configuration.return_immediately);
        let deadline = Instant::now() + self.inner.core.limits.blocking_max;
        let (live, task) = match sending::send(&self.inner, caller, request).await? {
            Sent::Reply(reply) => return Ok(SendMessageResponse::Message(reply)),
            Sent::Task { live, task, .. } => (live, task),
        };
        let task = if returns_at_once {
            task
        } else {
            drop(task);
            self.rested(&live, deadline).await?
        };
        drop(live);
        Ok(SendMessageResponse::Task(Arc::unwrap_or_clone(task).view(history_length, true)))
    }

    async fn send_streaming_message(&self, caller: &Caller, request: SendMessageRequest) -> Result<EventStream, A2aError> {
        self.check(caller)?;
        self.inner.check_streaming()?;
        request.validate()?;
        let history_length = request.configuration.as_ref().and_then(|configuration| configuration.history_length);
        // A place first: who gets no stream shall not have sent anything.
        let permit = Seat::permit(&self.inner.core)?;
        let seat = match &request.message.task_id {
            None => Err(permit),
            Some(id) => {
                let live = self.inner.visible(caller, &TaskKey { tenant: caller.tenant.clone(), id: id.clone() }).await?;
                Ok(Seat::take(&live, permit)?)
            }
        };
        match sending::send(&self.inner, caller, request).await? {
            Sent::Reply(reply) => Ok(futures::stream::iter([Ok(StreamResponse::Message(reply))]).boxed()),
            Sent::Task { live, task, seq } => {
                let seat = seat.or_else(|permit| Seat::take(&live, permit))?;
                let task = Arc::new(Arc::unwrap_or_clone(task).view(history_length, true));
                Ok(events(subscription::open(seat, seq, Some(task))))
            }
        }
    }

    async fn get_task(&self, caller: &Caller, request: GetTaskRequest) -> Result<Task, A2aError> {
        self.check(caller)?;
        request.validate()?;
        let loaded = self.inner.stored(caller, &request.id).await?;
        Ok(Arc::unwrap_or_clone(loaded.task).view(request.history_length, true))
    }

    async fn list_tasks(&self, caller: &Caller, request: ListTasksRequest) -> Result<ListTasksResponse, A2aError> {
        self.check(caller)?;
        request.validate()?;
        let page = page::read(caller, &request)?;
        let core = &self.inner.core;
        let size = PageSize { tasks: page.size, bytes: core.limits.page_bytes_max };
        let listed = core.store.list_tasks(&core.agent, &page.filter, page.after.as_ref(), size).await;
        let listed = listed.map_err(|error| fault(&error))?;
        let last = listed.rows.last().filter(|_| listed.has_more);
        let last = last.map(|row| page::write_token(&page.filter, &Place { status_at: row.status_at, id: row.id.clone() }));
        let shown = |row| {
            let task = Arc::unwrap_or_clone(case::load(row, &core.limits)?.task);
            Ok(task.view(request.history_length, request.include_artifacts == Some(true)))
        };
        Ok(ListTasksResponse {
            tasks: listed.rows.into_iter().map(shown).collect::<Result<_, A2aError>>()?,
            next_page_token: last.unwrap_or_default(),
            page_size: page.size,
            total_size: u32::try_from(listed.total).unwrap_or(u32::MAX),
        })
    }

    async fn cancel_task(&self, caller: &Caller, request: CancelTaskRequest) -> Result<Task, A2aError> {
        self.check(caller)?;
        request.validate()?;
        let key = TaskKey { tenant: caller.tenant.clone(), id: request.id };
        let live = self.inner.visible(caller, &key).await?;
        // Another process may have ended it.
        let (task, _) = self.inner.read(&live).await?;
        let is_canceled = |task: &Task| task.status.state == TaskState::Canceled;
        if is_canceled(&task) {
            return Ok(Arc::unwrap_or_clone(task));
        }
        if task.status.state.is_terminal() {
            return Err(A2aError::task_not_cancelable(&key.id));
        }
        let (updates, written) = (Updates::outside(Arc::clone(&live)), Updates::outside(Arc::clone(&live)));
        let canceled = async {
            let work =
                cancel_work(caller, request.metadata, &live).ok_or_else(|| A2aError::internal("the task has no message"))?;
            self.inner.executor.cancel(work, updates).await?;
            // Whatever was reported is stored before it is told.
            written.flush().await
        };
        let deadline = Instant::now() + self.inner.core.limits.blocking_max;
        let result = timeout_at(deadline, Box::pin(canceled)).await;
        let result = result.unwrap_or_else(|_| Err(A2aError::unavailable("canceling takes too long; try again")));
        // It may have ended in another way meanwhile.
        let (task, _) = self.inner.read(&live).await?;
        match result {
            _ if is_canceled(&task) => Ok(Arc::unwrap_or_clone(task)),
            _ if task.status.state.is_terminal() => Err(A2aError::task_not_cancelable(&key.id)),
            // It will be canceled later.
            Ok(()) => Ok(Arc::unwrap_or_clone(task)),
            Err(error) => Err(error),
        }
    }

    async fn subscribe_to_task(&self, caller: &Caller, request: SubscribeToTaskRequest) -> Result<EventStream, A2aError> {
        self.check(caller)?;
        request.validate()?;
        self.watch(caller, &request.id, None).await.map(events)
    }

    async fn create_push_config(
        &self,
        caller: &Caller,
        mut request: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        self.check_push(caller)?;
        request.validate()?;
        let id = request.task_id.clone().ok_or_else(|| A2aError::invalid_field("taskId", "is required"))?;
        let push = self.inner.new_push(&mut request, "url")?;
        self.inner.put_push(caller, &TaskKey { tenant: caller.tenant.clone(), id }, &push, None).await?;
        Ok(request)
    }

    async fn get_push_config(
        &self,
        caller: &Caller,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, A2aError> {
        self.check_push(caller)?;
        request.validate()?;
        let found = self.pushes(caller, &request.task_id, Some(&request.id)).await?.pop();
        found.ok_or_else(|| A2aError::task_not_found(&request.task_id).with("configId", request.id))
    }

    async fn list_push_configs(
        &self,
        caller: &Caller,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, A2aError> {
        self.check_push(caller)?;
        request.validate()?;
        let all = self.pushes(caller, &request.task_id, None).await?;
        push::page(all, request.page_size, request.page_token.as_deref())
    }

    async fn delete_push_config(
        &self,
        caller: &Caller,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), A2aError> {
        self.check_push(caller)?;
        request.validate()?;
        let core = &self.inner.core;
        let task = TaskKey { tenant: caller.tenant.clone(), id: request.task_id };
        let key = PushKey { task, id: request.id };
        let is_there = core.store.delete_push(&core.agent, &key, &caller.sender).await.map_err(|error| fault(&error))?;
        if is_there { Ok(()) } else { Err(A2aError::task_not_found(&key.task.id)) }
    }

    async fn extended_card(&self, caller: &Caller, request: GetExtendedAgentCardRequest) -> Result<AgentCard, A2aError> {
        self.check(caller)?;
        request.validate()?;
        if !self.inner.card.is_extended() {
            return Err(A2aError::unsupported_operation("the agent has no extended card"));
        }
        let missing = || A2aError::new(ErrorKind::ExtendedAgentCardNotConfigured, "the extended card is not configured");
        self.inner.extended_card.as_ref().ok_or_else(missing)?.of(caller)
    }

    fn card(&self) -> AgentCard {
        self.inner.card.clone()
    }
}

impl<E: Executor> Engine<E> {
    fn check(&self, caller: &Caller) -> Result<(), A2aError> {
        check_extensions(&self.inner.card, &caller.extensions)
    }

    fn check_push(&self, caller: &Caller) -> Result<(), A2aError> {
        self.check(caller)?;
        push::check_supported(&self.inner.card)
    }

    async fn pushes(
        &self,
        caller: &Caller,
        task_id: &str,
        id: Option<&str>,
    ) -> Result<Vec<TaskPushNotificationConfig>, A2aError> {
        let core = &self.inner.core;
        let key = TaskKey { tenant: caller.tenant.clone(), id: task_id.to_owned() };
        let found = core.store.pushes(&core.agent, &key, &caller.sender, id).await.map_err(|error| fault(&error))?;
        let found = found.ok_or_else(|| A2aError::task_not_found(task_id))?;
        found.iter().map(|config| push::read(config)).collect()
    }

    /// The task once it has ended or waits for somebody; after the longest wait, as it is then.
    async fn rested(&self, live: &Arc<Live>, deadline: Instant) -> Result<Arc<Task>, A2aError> {
        let mut progress = live.progress();
        let rested = tokio::select! {
            biased;
            rested = timeout_at(deadline, progress.wait_for(|progress| progress.stored.is_at_rest)) => rested,
            () = self.inner.core.stopping.cancelled() => return Err(stops()),
        };
        // A task at rest is always at hand as a whole.
        match rested.ok().and_then(Result::ok).and_then(|progress| progress.stored.task.clone()) {
            Some(task) => Ok(task),
            None => self.inner.read(live).await.map(|(task, _)| task),
        }
    }
}

/// What the executor is told of a task that is to be canceled.
fn cancel_work(caller: &Caller, metadata: a2a::Metadata, live: &Live) -> Option<Work> {
    let task = live.look(|case| Arc::clone(case.task()));
    let newest = task.history.iter().rev().find(|message| message.role == a2a::Role::User);
    let message = newest.or(task.history.last())?.clone();
    Some(Work { caller: caller.clone(), task, message, accepted_output_modes: vec![], metadata, attempt: 1 })
}

fn events(numbered: NumberedStream) -> EventStream {
    numbered.map(|event| event.map(|numbered| numbered.event)).boxed()
}
