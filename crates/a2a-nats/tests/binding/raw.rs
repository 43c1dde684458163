//! The wire without our client: what an implementer in another language sends and sees.

use a2a_nats::Address;
use anyhow::{Context as _, Result};
use async_nats::{Client, HeaderMap, Message, Subscriber};
use base64::Engine as _;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::stage::{DEADLINE, address};

pub(crate) fn digest(body: &[u8]) -> String {
    format!("sha-256={}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(body)))
}

/// The headers that every request has.
pub(crate) fn headers(method: &str, body: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("A2A-Version", "1.0");
    headers.insert("A2A-Method", method);
    headers.insert("A2A-Digest", digest(body));
    headers
}

/// A request, and where its answers come.
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) inbox: String,
    pub(crate) answers: Subscriber,
}

pub(crate) async fn ask(client: &Client, headers: HeaderMap, body: impl Into<Bytes>) -> Result<Asked> {
    ask_at(client, &address(), "shop", headers, body).await
}

pub(crate) async fn ask_at(
    client: &Client,
    address: &Address,
    sender: &str,
    headers: HeaderMap,
    body: impl Into<Bytes>,
) -> Result<Asked> {
    let inbox = client.new_inbox();
    let answers = client.subscribe(inbox.clone()).await?;
    let subject = address.asked_by(sender)?;
    client.publish_with_reply_and_headers(subject, inbox.clone(), headers, body.into()).await?;
    Ok(Asked { client: client.clone(), inbox, answers })
}

impl Asked {
    pub(crate) async fn next(&mut self) -> Result<Message> {
        timeout(DEADLINE, self.answers.next()).await.context("no answer came")?.context("the connection was closed")
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn next_frame(&mut self) -> Result<Message> {
        loop {
            let message = self.next().await?;
            if header(&message, "A2A-Status") != Some("heartbeat") {
                return Ok(message);
            }
        }
    }

    /// Says something where a message of the agent can be answered.
    pub(crate) async fn say(&self, to: &Message, control: Option<&str>) -> Result<()> {
        let subject = to.reply.clone().context("it cannot be answered")?;
        let mut headers = HeaderMap::new();
        if let Some(control) = control {
            headers.insert("A2A-Control", control);
        }
        Ok(self.client.publish_with_reply_and_headers(subject, self.inbox.clone(), headers, Bytes::new()).await?)
    }
}

pub(crate) fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// `A2A-Status`, and the reason of an error.
pub(crate) fn outcome(message: &Message) -> (String, String) {
    let status = header(message, "A2A-Status").unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
    let reason = body.pointer("/data/0/reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    (status, reason)
}
