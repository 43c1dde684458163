//! Taking a message: written once, whatever happens; then the task is waited for.

use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, Caller, ErrorKind, Message, SendMessageRequest, Task};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store::a2a::{Birth, MessageKey, NewPush, TaskKey};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::case::{Answer, Beginning, Case, Offer};
use crate::core::{fault, stops};
use crate::engine::Inner;
use crate::live::{Live, Offering, Progress};
use crate::media;
use crate::message::{self, Before, Errand};
use crate::push;
use crate::{Admission, Executor};

/// When it is worth trying again after a limit was reached.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What became of a message.
pub(crate) enum Sent {
    /// It was answered.
    Reply(Message),
    /// A task took it, and stood so then.
    Task { live: Arc<Live>, task: Arc<Task>, seq: i64 },
}

pub(crate) fn too_many() -> A2aError {
    A2aError::resource_exhausted("too many of your tasks are worked on", Some(AGAIN_AFTER))
}

/// A message on its way into the table.
struct Sending<'a, E> {
    engine: &'a Arc<Inner<E>>,
    caller: &'a Caller,
    digest: [u8; 32],
    /// Bytes of the message as JSON.
    bytes: usize,
    /// When it must be stored.
    deadline: Instant,
}

/// Takes a message. Durable when this returns.
pub(crate) async fn send<E: Executor>(
    engine: &Arc<Inner<E>>,
    caller: &Caller,
    request: SendMessageRequest,
) -> Result<Sent, A2aError> {
    if engine.core.stopping.is_cancelled() {
        return Err(stops());
    }
    message::check(caller, &request.message)?;
    media::check(&engine.card, &request.message)?;
    let deadline = Instant::now() + engine.core.limits.accept_max;
    let (digest, bytes) = message::digest(&request.message)?;
    message::check_bytes(bytes, 0, &engine.core.limits)?;
    let sending = Sending { engine, caller, digest, bytes, deadline };
    match request.message.task_id.clone() {
        None => sending.begin(request).await,
        // Boxed, because it is the rarer one: callers hold room for the largest.
        Some(id) => Box::pin(sending.go_on(id, request)).await,
    }
}

impl<E: Executor> Sending<'_, E> {
    /// A message that names no task.
    async fn begin(self, mut request: SendMessageRequest) -> Result<Sent, A2aError> {
        let core = &self.engine.core;
        if let Admission::Reply(reply) = self.engine.executor.admit(self.caller, &request, None)? {
            return Box::pin(self.reply(&request.message, reply)).await;
        }
        let message_key = self.key(&request.message);
        let Some(permit) = core.registry.running(&self.caller.tenant, core.limits.running_per_tenant_max) else {
            // It may be a copy of one that was taken while there was room.
            return Box::pin(self.known(&message_key)).await?.ok_or_else(too_many);
        };
        let id = core.surroundings.id();
        let context_id = request.message.context_id.take().unwrap_or_else(|| core.surroundings.id());
        let push = self.push(&mut request, &id)?;
        let errand = Errand::new(self.caller, &mut request);
        let task = message::begin(request.message, &id, &context_id, core.surroundings.now());
        let owner = Arc::clone(&message_key.sender);
        let birth = Birth { owner: Arc::clone(&owner), context_id: context_id.into() };
        let beginning = Beginning { task, bytes: self.bytes, birth, push, key: message_key, errand };
        let case = Case::begin(Arc::clone(&core.us), beginning);
        let key = Arc::new(TaskKey { tenant: self.caller.tenant.clone(), id });
        let (live, answer) = Live::begin(Arc::clone(core), key, case, owner, permit);
        let live = core.registry.add(live);
        live.kick_off();
        match self.answer(answer).await? {
            Answer::Taken(taken) => Ok(Sent::Task { live, task: taken.task, seq: taken.seq }),
            Answer::Known(record) => Box::pin(self.again(message::again(record, &self.digest)?)).await,
            Answer::Refused(error) => Err(error),
        }
    }

    /// A message to a task that is there.
    async fn go_on(self, id: String, mut request: SendMessageRequest) -> Result<Sent, A2aError> {
        let message_key = self.key(&request.message);
        let key = TaskKey { tenant: self.caller.tenant.clone(), id };
        let live = self.engine.visible(self.caller, &key).await?;
        message::check_context(&request.message, &live.context_id)?;
        let task = self.certain(&live).await?;
        if task.status.state.is_terminal() {
            let ended = A2aError::unsupported_operation("the task has ended").with("taskId", &key.id);
            return self.known(&message_key).await?.ok_or(ended);
        }
        if let Admission::Reply(reply) = self.engine.executor.admit(self.caller, &request, Some(&task))? {
            return self.reply(&request.message, reply).await;
        }
        drop(task);
        let push = self.push(&mut request, &key.id)?;
        if let Some(push) = &push {
            // A message is refused before it is taken, and a copy of one that was taken is not.
            self.check_room(&key, push, &message_key).await?;
        }
        let errand = Errand::new(self.caller, &mut request);
        let mut message = request.message;
        message::place(&mut message, &key.id, &live.context_id);
        let offer = Offer { key: message_key.clone(), message, bytes: self.bytes, errand };
        let (sent, after) = match self.offer(&live, offer).await? {
            Answer::Taken(taken) => (Sent::Task { live, task: taken.task, seq: taken.seq }, Some(taken.seq)),
            Answer::Known(record) => (self.again(message::again(record, &self.digest)?).await?, None),
            Answer::Refused(refused) => (self.known(&message_key).await?.ok_or(refused)?, None),
        };
        if let (Some(push), Sent::Task { .. }) = (push, &sent) {
            // Of a copy too: the process may have died after the message was taken. But a copy is not refused.
            match self.engine.put_push(self.caller, &key, &push, after).await {
                Err(error) if after.is_none() && matches!(error.kind, ErrorKind::ResourceExhausted { .. }) => {}
                put => put?,
            }
        }
        Ok(sent)
    }

    /// The task as it will be, but its end only once that is stored: it may be refused yet.
    async fn certain(&self, live: &Live) -> Result<Arc<Task>, A2aError> {
        let mut progress = live.progress();
        loop {
            progress.mark_unchanged();
            let (task, has_ended) = live.look(|case| (Arc::clone(case.task()), case.stored().has_ended));
            if has_ended || !task.status.state.is_terminal() {
                return Ok(task);
            }
            self.after_next_write(&mut progress).await?;
        }
    }

    async fn after_next_write(&self, progress: &mut watch::Receiver<Progress>) -> Result<(), A2aError> {
        // The sender is in the task that is held here, so it cannot be gone.
        let busy = |_| A2aError::unavailable("the task is busy; try again");
        timeout_at(self.deadline, progress.changed()).await.map(drop).map_err(busy)
    }

    /// Refuses a configuration for which the task has no room, unless the message was taken before.
    async fn check_room(&self, key: &TaskKey, push: &NewPush, message_key: &MessageKey) -> Result<(), A2aError> {
        let core = &self.engine.core;
        let configs = core.store.pushes(&core.agent, key, &self.caller.sender, None).await.map_err(|error| fault(&error))?;
        let mut configs = configs.unwrap_or_default().iter().map(|config| push::read(config)).collect::<Result<Vec<_>, _>>()?;
        configs.retain(|config| config.id.as_ref() != Some(&push.id));
        let has_room = u32::try_from(configs.len()).is_ok_and(|count| count < core.limits.pushes_per_task_max);
        if has_room || self.known(message_key).await?.is_some() { Ok(()) } else { Err(push::too_many()) }
    }

    /// Offers the message until the task can say something to it.
    async fn offer(&self, live: &Arc<Live>, mut offer: Offer) -> Result<Answer, A2aError> {
        let mut progress = live.progress();
        loop {
            progress.mark_unchanged();
            match live.offer(offer) {
                Offering::Asked(answer) => return self.answer(answer).await,
                Offering::Refused(error) => return Ok(Answer::Refused(error)),
                Offering::Busy(back) => offer = back,
            }
            self.after_next_write(&mut progress).await?;
        }
    }

    async fn answer(&self, answer: oneshot::Receiver<Answer>) -> Result<Answer, A2aError> {
        tokio::select! {
            biased;
            answer = timeout_at(self.deadline, answer) => match answer {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) => Err(A2aError::unavailable("the message could not be stored; try again")),
                Err(_) => Err(A2aError::unavailable("the task store does not answer; try again")),
            },
            () = self.engine.core.hard_stop.cancelled() => Err(stops()),
        }
    }

    /// Answers without a task. The first answer stands for ever.
    async fn reply(&self, message: &Message, mut reply: Message) -> Result<Sent, A2aError> {
        let core = &self.engine.core;
        if reply.context_id.is_none() {
            reply.context_id = Some(message.context_id.clone().unwrap_or_else(|| core.surroundings.id()));
        }
        let text = serde_json::to_string(&reply).map_err(|_| crate::change::wrong("the answer cannot be written as JSON"))?;
        let key = self.key(message);
        let is_first = core.store.write_reply(&core.agent, &self.caller.tenant, &key, &text).await;
        if is_first.map_err(|error| fault(&error))? {
            return Ok(Sent::Reply(reply));
        }
        self.known(&key).await?.ok_or_else(|| A2aError::unavailable("the message could not be stored; try again"))
    }

    fn key(&self, message: &Message) -> MessageKey {
        let message_id = self.engine.executor.identity(message);
        MessageKey { sender: self.caller.sender.as_str().into(), message_id, digest: self.digest }
    }

    /// What became of the message, if it was taken before.
    async fn known(&self, key: &MessageKey) -> Result<Option<Sent>, A2aError> {
        let core = &self.engine.core;
        let record = core.store.taken_message(&core.agent, &self.caller.tenant, &key.sender, &key.message_id).await;
        match record.map_err(|error| fault(&error))? {
            Some(record) => self.again(message::again(record, &self.digest)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same as was answered before; the task as it stands now.
    async fn again(&self, before: Before) -> Result<Sent, A2aError> {
        match before {
            Before::Reply(reply) => Ok(Sent::Reply(reply)),
            Before::Task(id) => {
                let key = TaskKey { tenant: self.caller.tenant.clone(), id };
                let live = self.engine.visible(self.caller, &key).await?;
                let (task, seq) = self.engine.read(&live).await?;
                Ok(Sent::Task { live, task, seq })
            }
        }
    }

    /// The configuration for push notifications that comes with the message.
    fn push(&self, request: &mut SendMessageRequest, task_id: &str) -> Result<Option<NewPush>, A2aError> {
        let configuration = request.configuration.as_mut();
        let Some(mut config) = configuration.and_then(|c| c.task_push_notification_config.take()) else { return Ok(None) };
        if config.task_id.as_deref().is_some_and(|id| id != task_id) {
            let field = "configuration.taskPushNotificationConfig.taskId";
            return Err(A2aError::invalid_field(field, "must be absent or the message's"));
        }
        config.task_id = Some(task_id.to_owned());
        // One that has no name is named after its message, so that a copy of the message does not add another one.
        config.id.get_or_insert_with(|| URL_SAFE_NO_PAD.encode(self.digest));
        self.engine.new_push(&mut config, "configuration.taskPushNotificationConfig.url").map(Some)
    }
}
