//! Conversations that go on after their first message: who may take part, and handing on what is said.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::{Message, StatusCode};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::post::{Letter, Post};
use crate::address::{Address, ControlSubject, is_inbox};
use crate::chunk::Label;
use crate::header::{Control, Status};

/// Acknowledgements that may wait; each says what the ones before it said, so a lost one does no harm.
const WAITING_MAX: usize = 64;

/// What the sender says in a conversation.
#[derive(Debug)]
pub(super) enum Said {
    /// It has this frame, and all before it.
    Ack(u64),
    /// The same, and it wants the others sent to this inbox.
    Resume {
        /// The frame that it has.
        after: u64,
        /// Where it listens.
        inbox: String,
    },
    /// It does not listen any more.
    Cancel,
    /// A piece of its request.
    Piece(Label, Bytes),
}

/// All that are open.
#[derive(Default)]
pub(super) struct Exchanges {
    opened: AtomicU64,
    open: Arc<Mutex<Open>>,
}

type Open = HashMap<u64, Line>;

struct Line {
    tenant: String,
    sender: String,
    said: mpsc::Sender<Said>,
}

/// One conversation. It is closed when dropped.
pub(super) struct Exchange {
    id: u64,
    subject: String,
    said: mpsc::Receiver<Said>,
    open: Arc<Mutex<Open>>,
}

impl Exchanges {
    /// Opens one with a sender. So many pieces of its request will come.
    pub(super) fn open(&self, address: &Address, sender: &str, replica: &str, pieces: usize) -> Exchange {
        let id = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let (said, listening) = mpsc::channel(pieces + WAITING_MAX);
        let line = Line { tenant: address.tenant().to_owned(), sender: sender.to_owned(), said };
        lock(&self.open).insert(id, line);
        let subject = format!("{address}.rpc.{sender}.{replica}.{id}");
        Exchange { id, subject, said: listening, open: self.open.clone() }
    }

    /// Hands on what was said on a control subject. The subject proves who says it, and only they take part.
    pub(super) async fn route(&self, post: &Post, message: &Message) {
        let headers = message.headers.as_ref();
        // Nobody listens in the inbox. They may be reconnecting; if they are gone, their silence will tell.
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return;
        }
        let (Some(subject), Some(control)) = (ControlSubject::read(&message.subject), Control::read(headers)) else { return };
        let inbox = message.reply.as_ref().map(ToString::to_string).filter(|inbox| is_inbox(inbox));
        let said = match (Label::read(headers), control, inbox) {
            (Ok(Some(label)), ..) => Said::Piece(label, message.payload.clone()),
            (Ok(None), Control::Ack, _) => Said::Ack(subject.number),
            (Ok(None), Control::Cancel, _) => Said::Cancel,
            (Ok(None), Control::Resume, Some(inbox)) => Said::Resume { after: subject.number, inbox },
            (Ok(None), Control::Resume, None) | (Err(_), ..) => return,
        };
        let unheard = self.hand_on(&subject, said);
        if let Some(Said::Resume { inbox, .. }) = unheard {
            // It is over, or was never here.
            post.send(Letter::new(&inbox, Status::Resume, Bytes::new())).await;
        }
    }

    /// Gives back what is for no conversation that is open.
    fn hand_on(&self, subject: &ControlSubject<'_>, said: Said) -> Option<Said> {
        let open = lock(&self.open);
        let line = open.get(&subject.exchange);
        let Some(line) = line.filter(|line| line.tenant == subject.tenant && line.sender == subject.sender) else {
            return Some(said);
        };
        // Full: whoever talks so much will say it again.
        let _ = line.said.try_send(said);
        None
    }
}

impl Exchange {
    /// Where the sender acknowledges the frame of this number.
    pub(super) fn control(&self, seq: u64) -> String {
        format!("{}.{seq}", self.subject)
    }

    /// What the sender says next. Waits for ever: the line is open as long as this is.
    pub(super) async fn next(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.id);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
