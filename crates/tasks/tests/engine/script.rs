//! An executor that does what the message says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use a2a::{A2aError, Artifact, Caller, ErrorKind, Message, Part, PartContent, Role, SendMessageRequest, Task, TaskState};
use tasks::{Admission, Executor, Update, Updates, Work};
use tokio::sync::watch;

/// What the test sees and holds of its executors.
#[derive(Clone)]
pub(crate) struct Script {
    /// Each call that began: the message's text and the attempt.
    pub(crate) calls: Arc<Mutex<Vec<(String, u32)>>>,
    /// Calls that have not returned, nor were broken off.
    under_way: Arc<AtomicUsize>,
    /// Work that waits at the gate goes on when it is open.
    gate: watch::Sender<bool>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { calls: Arc::default(), under_way: Arc::default(), gate: watch::Sender::new(false) }
    }

    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(crate) fn calls(&self) -> Vec<(String, u32)> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until no call is under way.
    pub(crate) async fn idle(&self) {
        let look = async || (self.under_way.load(Ordering::SeqCst) == 0).then_some(());
        testkit::eventually("returning from all calls", crate::bed::WITHIN, look).await.unwrap();
    }

    async fn pass_gate(&self) {
        self.gate.subscribe().wait_for(|is_open| *is_open).await.unwrap();
    }
}

/// A call, until it is over in whatever way.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) fn text_of(message: &Message) -> String {
    match &message.parts[0].content {
        PartContent::Text(text) => text.clone(),
        other => panic!("not a text: {other:?}"),
    }
}

impl Executor for Script {
    async fn execute(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        let _under_way = UnderWay::new(&self.under_way);
        let text = text_of(&work.message);
        self.calls.lock().unwrap().push((text.clone(), work.attempt));
        let (what, rest) = text.split_once(' ').unwrap_or((&text, ""));
        if what == "silent" {
            return silent(rest, &updates).await;
        }
        updates.report(TaskState::Working).await?;
        match what {
            "echo" => updates.report(Artifact::new("answer", work.message.parts)).await?,
            "pieces" => pieces(&updates, rest.parse().unwrap()).await?,
            "gate" => self.pass_gate().await,
            "ask" => {
                let question = updates.message(vec![Part::text("which one?")]);
                return updates.report(Update::say(TaskState::InputRequired, question)).await;
            }
            // Waits for approval, within the call.
            "approve" => {
                updates.report(TaskState::AuthRequired).await?;
                updates.stopped().await;
                return Ok(());
            }
            "hand-over" => return Ok(()),
            "until-stopped" => {
                updates.stopped().await;
                return Ok(());
            }
            "deaf" => std::future::pending().await,
            "fail" => return Err(A2aError::internal("the tool is broken")),
            "panic" => panic!("as asked"),
            other => panic!("no such script: {other}"),
        }
        updates.report(TaskState::Completed).await
    }

    async fn cancel(&self, work: Work, updates: Updates) -> Result<(), A2aError> {
        match text_of(&work.message).as_str() {
            "until-stopped later" => Ok(()),
            "gate never" => Err(A2aError::unsupported_operation("not now")),
            _ => updates.report(TaskState::Canceled).await,
        }
    }

    fn admit(&self, _: &Caller, request: &SendMessageRequest, _: Option<&Task>) -> Result<Admission, A2aError> {
        match text_of(&request.message).as_str() {
            "hello" => Ok(Admission::Reply(Message::new("reply", Role::Agent, vec![Part::text("hello yourself")]))),
            "image" => Err(A2aError::new(ErrorKind::ContentTypeNotSupported, "no images")),
            _ => Ok(Admission::Task),
        }
    }
}

/// Work that reports no state.
async fn silent(what: &str, updates: &Updates) -> Result<(), A2aError> {
    match what {
        "until-stopped" => updates.stopped().await,
        "fail" => return Err(A2aError::internal("the tool is broken")),
        "panic" => panic!("as asked"),
        other => panic!("no such script: {other}"),
    }
    Ok(())
}

async fn pieces(updates: &Updates, count: usize) -> Result<(), A2aError> {
    updates.report(Artifact::new("text", vec![Part::text("0")])).await?;
    for n in 1..count {
        let artifact = Artifact::new("text", vec![Part::text(n.to_string())]);
        updates.report(Update::Piece { artifact, is_last: n + 1 == count }).await?;
        // Others get a turn: what was reported so far may be written.
        tokio::task::yield_now().await;
    }
    Ok(())
}
