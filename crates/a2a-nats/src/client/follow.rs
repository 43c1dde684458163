//! A stream as its reader sees it: one, whatever happens to connections and replicas meanwhile.
//!
//! A task of its own reads from the agent, so that the agent hears of us also while nobody reads here. It ends when the stream does, or
//! when its reader drops it. At most a window of events waits here; the agent keeps back the rest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use a2a::{A2aError, Caller, ErrorKind, EventStream, GetTaskRequest, Operation, StreamResponse, SubscribeToTaskRequest, Task};
use bytes::Bytes;
use futures::stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use super::call::call;
use super::failure::{Failure, Persistence, Repeat};
use super::link::{Link, Question};
use super::reader::{Item, Reader};
use super::seen::Seen;
use crate::method::Method;

/// What a stream was asked for with, in case that it is lost before it says of which task it is.
pub(super) struct Origin {
    pub(super) caller: Caller,
    pub(super) operation: Operation,
    pub(super) body: Bytes,
}

/// Reads from the agent on behalf of the stream's reader.
struct Pump {
    link: Arc<Link>,
    origin: Origin,
    seen: Seen,
    out: mpsc::Sender<Result<StreamResponse, A2aError>>,
    /// How many events were taken out.
    taken: watch::Receiver<u64>,
    /// Events that were put in, and how many of them are known to be taken.
    put: VecDeque<u64>,
    counted: u64,
    /// When the stream that is read now was had again, and what is left of the patience for that.
    reopened: Option<(Instant, Persistence)>,
}

/// A stream that is lost sooner than this after it was had again is the same trouble still.
const LASTING: Duration = Duration::from_secs(2);

/// How a replica's stream ended.
enum Left {
    /// For good.
    Over,
    /// It must be asked for again.
    Lost(Failure),
}

/// Asks for a stream and waits for its first frame.
pub(super) async fn open(link: &Arc<Link>, origin: Origin, seen: Seen) -> Result<EventStream, A2aError> {
    let window = link.options.window_frames.max(1);
    // What waits when a stream is lost comes on top of the next one's window.
    let (out, events) = mpsc::channel(2 * window);
    let (taking, taken) = watch::channel(0);
    let pump = Pump { link: link.clone(), origin, seen, out, taken, put: VecDeque::new(), counted: 0, reopened: None };
    let mut persistence = Persistence::new(&link.options, link.options.deadline);
    let (reader, first) = loop {
        let method = Method::Operation(pump.origin.operation);
        match pump.begin(method, pump.origin.body.clone(), &persistence).await {
            Ok(begun) => break begun,
            Err(failure) => persistence.wait(failure, Repeat::Always).await?,
        }
    };
    if let Item::Error(error) = first {
        reader.cancel().await;
        return Err(error);
    }
    // It ends by itself when the stream is over or dropped, so nobody need hold it.
    tokio::spawn(pump.run(reader, first).in_current_span());
    let next = |(mut events, taking): (mpsc::Receiver<_>, watch::Sender<u64>)| async move {
        let event = events.recv().await?;
        taking.send_modify(|taken| *taken += 1);
        Some((event, (events, taking)))
    };
    Ok(Box::pin(stream::unfold((events, taking), next)))
}

impl Pump {
    async fn run(mut self, mut reader: Reader, first: Item) {
        let mut first = Some(first);
        loop {
            match self.follow(&mut reader, first.take()).await {
                Left::Over => return,
                Left::Lost(failure) => {
                    let out = self.out.clone();
                    let again = tokio::select! {
                        again = self.reopen(failure) => again,
                        () = out.closed() => None,
                    };
                    let Some((next, item)) = again else { return };
                    (reader, first) = (next, item);
                }
            }
        }
    }

    /// Asks for a stream and waits for its first frame.
    async fn begin(&self, method: Method, body: Bytes, persistence: &Persistence) -> Result<(Reader, Item), Failure> {
        let window = self.link.options.window_frames.saturating_sub(self.put.len()).max(1);
        let question = Question { caller: &self.origin.caller, method, body, within: persistence.rest(), window: Some(window) };
        let begun = async {
            let mut reader = Reader::new(&self.link, self.link.ask(question).await?);
            let first = reader.next().await?;
            Ok((reader, first))
        };
        timeout_at(persistence.end, begun).await.unwrap_or(Err(Failure::Silent))
    }

    /// Hands on what one replica says.
    async fn follow(&mut self, reader: &mut Reader, first: Option<Item>) -> Left {
        // Frames of earlier replicas still wait to be taken; they are acknowledged to nobody.
        self.put.iter_mut().for_each(|seq| *seq = 0);
        let mut next = first;
        loop {
            if let Some(item) = next.take()
                && self.hand_on(item, reader).await
            {
                return Left::Over;
            }
            tokio::select! {
                () = self.out.closed() => {
                    reader.cancel().await;
                    return Left::Over;
                }
                Ok(()) = self.taken.changed() => self.acknowledge(reader).await,
                item = reader.next() => match item {
                    Ok(item) => next = Some(item),
                    Err(Failure::Told(error) | Failure::Unfit(error)) => {
                        self.tell(Err(error), 0).await;
                        return Left::Over;
                    }
                    Err(failure) => {
                        tracing::info!(?failure, "a stream was interrupted, subscribing again");
                        return Left::Lost(failure);
                    }
                }
            }
        }
    }

    /// Whether that was the last.
    async fn hand_on(&mut self, item: Item, reader: &mut Reader) -> bool {
        match item {
            Item::Event(event) => {
                self.seen.note(&event);
                self.tell(Ok(event), reader.last()).await;
                false
            }
            Item::Error(error) => {
                reader.acknowledge(reader.last()).await;
                self.tell(Err(error), 0).await;
                true
            }
            Item::End => {
                reader.acknowledge(reader.last()).await;
                true
            }
        }
    }

    async fn tell(&mut self, event: Result<StreamResponse, A2aError>, seq: u64) {
        self.put.push_back(seq);
        // Nobody reads any more: the loop will see it.
        let _ = self.out.send(event).await;
    }

    /// Gives the agent credit for all that was taken since the last time.
    async fn acknowledge(&mut self, reader: &mut Reader) {
        let taken = *self.taken.borrow_and_update();
        let mut last = 0;
        while self.counted < taken {
            self.counted += 1;
            last = self.put.pop_front().unwrap_or_default().max(last);
        }
        if last > 0 {
            reader.acknowledge(last).await;
        }
    }

    /// Another replica's stream, and what its first frame says, if that is new. `None` if there is nothing more to come.
    async fn reopen(&mut self, lost: Failure) -> Option<(Reader, Option<Item>)> {
        if self.seen.is_over() {
            return None;
        }
        let (mut persistence, mut failure) = match self.reopened.take() {
            Some((at, persistence)) if at.elapsed() < LASTING => (persistence, Some(lost)),
            _ => (self.patience(), None),
        };
        loop {
            if let Some(failure) = failure.take()
                && let Err(error) = persistence.wait(failure, Repeat::Always).await
            {
                self.tell(Err(error), 0).await;
                return None;
            }
            let (method, body) = self.question();
            match self.begin(method, body, &persistence).await {
                Ok((mut reader, first)) => {
                    self.reopened = Some((Instant::now(), persistence));
                    let is_known = matches!(&first, Item::Event(StreamResponse::Task(task)) if !self.seen.is_news(task));
                    if is_known {
                        reader.acknowledge(reader.last()).await;
                    }
                    return Some((reader, Some(first).filter(|_| !is_known)));
                }
                Err(Failure::Told(error)) if error.kind == ErrorKind::UnsupportedOperation && self.seen.task_id().is_some() => {
                    self.conclude(error).await;
                    return None;
                }
                Err(other) => failure = Some(other),
            }
        }
    }

    /// While the agent restarts nobody is there, which is what this waits for.
    fn patience(&self) -> Persistence {
        let within = self.link.options.resume_within;
        let mut persistence = Persistence::new(&self.link.options, within);
        persistence.absent_max = within;
        persistence
    }

    /// What to ask for: the task, once it is known; until then the same as before, with the same message id.
    fn question(&self) -> (Method, Bytes) {
        let subscribe = |id: &str| {
            let request = SubscribeToTaskRequest { tenant: None, id: id.to_owned() };
            serde_json::to_vec(&request).ok().map(|body| (Operation::SubscribeToTask, body.into()))
        };
        let known = self.seen.task_id().and_then(subscribe);
        let (operation, body) = known.unwrap_or_else(|| (self.origin.operation, self.origin.body.clone()));
        (Method::Operation(operation), body)
    }

    /// A task cannot be subscribed to: it ended meanwhile, so how it ended is what is missing.
    async fn conclude(&mut self, refusal: A2aError) {
        let concluded = match self.get_task().await {
            Ok(task) if !task.status.state.is_terminal() => Err(refusal),
            Ok(task) if self.seen.is_news(&task) => Ok(StreamResponse::Task(task)),
            Ok(_) => return,
            Err(error) => Err(error),
        };
        self.tell(concluded, 0).await;
    }

    async fn get_task(&self) -> Result<Task, A2aError> {
        let id = self.seen.task_id().unwrap_or_default().to_owned();
        let request = GetTaskRequest { id, ..GetTaskRequest::default() };
        let body = serde_json::to_vec(&request).map_err(|error| A2aError::internal(error.to_string()))?;
        let method = Method::Operation(Operation::GetTask);
        let body = call(&self.link, &self.origin.caller, method, body.into(), Repeat::Always).await?;
        a2a::read(&body).map_err(A2aError::in_response)
    }
}
