//! What is said (spec §4.1.4 to §4.1.7): messages and artifacts, made of parts.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Metadata;
use super::field::{Bytes, or_default, present, text, unset, write_bytes};
use super::named::named;
use super::oneof;

/// `Message`: one turn between client and agent (§4.1.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Made by the sender; the idempotency key.
    #[serde(alias = "message_id")]
    pub message_id: String,
    /// Groups tasks. If absent on a message that goes on with a task, it is the task's.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "context_id")]
    pub context_id: Option<String>,
    /// The task that it goes on with; task ids are made by the agent.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset", alias = "task_id")]
    pub task_id: Option<String>,
    /// Who speaks.
    pub role: Role,
    /// At least one.
    pub parts: Vec<Part>,
    /// For extensions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
    /// URIs of the extensions that are used in it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub extensions: Vec<String>,
    /// Other tasks that it speaks of.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset", alias = "reference_task_ids")]
    pub reference_task_ids: Vec<String>,
}

impl Message {
    /// A message with nothing but what is REQUIRED.
    pub fn new(message_id: impl Into<String>, role: Role, parts: Vec<Part>) -> Self {
        Self {
            message_id: message_id.into(),
            context_id: None,
            task_id: None,
            role,
            parts,
            metadata: Metadata::new(),
            extensions: vec![],
            reference_task_ids: vec![],
        }
    }
}

named! {
    /// `Role` (§4.1.5).
    Role = "ROLE_UNSPECIFIED" {
        /// The client's side.
        User = 1 "ROLE_USER",
        /// The agent's side.
        Agent = 2 "ROLE_AGENT",
    }
}

/// `Part`: exactly one content (§4.1.6).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What it holds.
    #[serde(flatten)]
    pub content: PartContent,
    /// For extensions.
    #[serde(skip_serializing_if = "unset")]
    #[schemars(default)]
    pub metadata: Metadata,
    /// A name for the content, if it is a file.
    #[serde(skip_serializing_if = "unset")]
    pub filename: Option<String>,
    /// Media type of the content.
    #[serde(skip_serializing_if = "unset")]
    pub media_type: Option<String>,
}

/// The content of a part.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PartContent {
    /// Text for people.
    Text(String),
    /// Bytes of a file.
    Raw(
        #[serde(serialize_with = "write_bytes")]
        #[schemars(with = "String", extend("contentEncoding" = "base64"))]
        Vec<u8>,
    ),
    /// Where the bytes of a file are.
    Url(String),
    /// JSON for programs. Peers built on protobuf read every number as a double: integers above 2^53 go as text.
    Data(Value),
}

impl Part {
    /// A part with nothing but its content.
    pub fn new(content: PartContent) -> Self {
        Self { content, metadata: Metadata::new(), filename: None, media_type: None }
    }

    /// Text for people.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(PartContent::Text(text.into()))
    }

    /// JSON for programs.
    pub fn data(data: Value) -> Self {
        Self { media_type: Some("application/json".to_owned()), ..Self::new(PartContent::Data(data)) }
    }
}

/// Serde's flattened enum would take the first content and ignore a second one; this sees them all.
impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Members {
            text: Option<String>,
            raw: Option<Bytes>,
            url: Option<String>,
            // `null` is a value here, not an absent field.
            #[serde(default, deserialize_with = "present")]
            data: Option<Value>,
            #[serde(default, deserialize_with = "or_default")]
            metadata: Metadata,
            #[serde(default, deserialize_with = "text")]
            filename: Option<String>,
            #[serde(default, deserialize_with = "text", alias = "media_type")]
            media_type: Option<String>,
        }
        let Members { text, raw, url, data, metadata, filename, media_type } = Members::deserialize(deserializer)?;
        let content = oneof::only([
            ("text", text.map(PartContent::Text)),
            ("raw", raw.map(|bytes| PartContent::Raw(bytes.0))),
            ("url", url.map(PartContent::Url)),
            ("data", data.map(PartContent::Data)),
        ])?;
        Ok(Self { content, metadata, filename, media_type })
    }
}

/// `Artifact`: what came of a task (§4.1.7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Unique within the task.
    #[serde(alias = "artifact_id")]
    pub artifact_id: String,
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub name: Option<String>,
    /// For people.
    #[serde(default, deserialize_with = "text", skip_serializing_if = "unset")]
    pub description: Option<String>,
    /// At least one.
    pub parts: Vec<Part>,
    /// For extensions.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub metadata: Metadata,
    /// URIs of the extensions that are used in it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "unset")]
    pub extensions: Vec<String>,
}

impl Artifact {
    /// An artifact with nothing but what is REQUIRED.
    pub fn new(artifact_id: impl Into<String>, parts: Vec<Part>) -> Self {
        Self {
            artifact_id: artifact_id.into(),
            name: None,
            description: None,
            parts,
            metadata: Metadata::new(),
            extensions: vec![],
        }
    }
}
