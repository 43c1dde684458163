//! A user of the bus that says what it likes, with real credentials.

use anyhow::{Context as _, Result};
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use bus::User;
use incident::approval::SignedVote;
use incident::task::Role;
use tokio::sync::mpsc;

use super::configuration::{TENANT, password};
use super::{Pipeline, SOON};

/// The inbox key of a message.
pub(super) const MESSAGE_ID: &str = "Paramedic-Message-Id";
/// A subject that no role may publish to: its refusal marks the end of those before it.
const END: &str = "the.end";

/// Somebody with a role's password.
pub(crate) struct Rogue {
    client: Client,
    complaints: mpsc::UnboundedReceiver<String>,
}

impl Rogue {
    /// Logs in as `role`.
    pub(crate) async fn connect(pipeline: &Pipeline, role: Role) -> Result<Self> {
        let (sender, complaints) = mpsc::unbounded_channel();
        let options = ConnectOptions::with_user_and_password(role.to_string(), password(role.as_str()))
            .custom_inbox_prefix(User::Role(role).inbox_prefix())
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    // A test that has ended listens no more.
                    drop(sender.send(error.to_string()));
                }
                std::future::ready(())
            });
        let client = options.connect(pipeline.nats.urls()).await.context("connecting to NATS")?;
        Ok(Self { client, complaints })
    }

    /// Publishes a vote; gives the server's complaint, if it refuses.
    pub(crate) async fn votes(&mut self, signed: &SignedVote, id: &str) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(MESSAGE_ID, id);
        let subject = format!("approval.{TENANT}.{}.decided", signed.vote.approval);
        self.client.publish_with_headers(subject.clone(), headers, serde_json::to_vec(signed)?.into()).await?;
        self.client.publish(END, "".into()).await?;
        self.client.flush().await?;
        let mut refused = None;
        loop {
            let complaint = tokio::time::timeout(SOON, self.complaints.recv()).await?.context("the connection ended")?;
            if complaint.contains(END) {
                return Ok(refused);
            }
            if complaint.contains(&subject) {
                refused = Some(complaint);
            }
        }
    }
}

impl Pipeline {
    /// The votes that are on the bus.
    pub(crate) async fn votes(&self) -> Result<Vec<SignedVote>> {
        let stream = jetstream::new(self.admin().await?).get_stream("APPROVALS").await?;
        let (mut votes, mut from) = (Vec::new(), 1);
        let filter = format!("approval.{TENANT}.*.decided");
        while let Ok(message) = stream.direct_get_next_for_subject(&filter, Some(from)).await {
            from = message.sequence + 1;
            votes.push(serde_json::from_slice(&message.payload)?);
        }
        Ok(votes)
    }
}
