//! Rules for what is said and done: messages, artifacts, tasks, events (spec §4.1 and §4.2).

use std::collections::BTreeSet;

use super::{Validate, Violations, rule};
use crate::limits::{
    ARTIFACT_PARTS_MAX, ARTIFACTS_MAX, CONTENT_BYTES_MAX, DESCRIPTION_CHARS_MAX, EXTENSIONS_MAX, HISTORY_MAX, NAME_CHARS_MAX,
    PARTS_MAX, REFERENCES_MAX,
};
use crate::types::{
    Artifact, Message, Part, PartContent, SendMessageResponse, StreamResponse, Task, TaskArtifactUpdateEvent, TaskStatus,
    TaskStatusUpdateEvent,
};

impl Validate for Message {
    fn check(&self, found: &mut Violations) {
        found.id("messageId", &self.message_id);
        found.id_if_any("contextId", self.context_id.as_ref());
        found.id_if_any("taskId", self.task_id.as_ref());
        found.some("parts", &self.parts, PARTS_MAX, Validate::check);
        found.metadata("metadata", &self.metadata);
        found.each("extensions", &self.extensions, EXTENSIONS_MAX, |uri, found| rule::url(uri, found));
        found.each("referenceTaskIds", &self.reference_task_ids, REFERENCES_MAX, |id, found| rule::id(id, found));
    }
}

impl Validate for Part {
    fn check(&self, found: &mut Violations) {
        match &self.content {
            PartContent::Text(text) => found.within("text", |found| small(text.len(), found)),
            PartContent::Raw(bytes) => found.within("raw", |found| small(bytes.len(), found)),
            PartContent::Url(url) => found.url("url", url),
            PartContent::Data(data) => found.within("data", |found| rule::bounded(rule::size_of(data), CONTENT_BYTES_MAX, found)),
        }
        found.metadata("metadata", &self.metadata);
        found.text_if_any("filename", self.filename.as_ref(), NAME_CHARS_MAX);
        found.text_if_any("mediaType", self.media_type.as_ref(), NAME_CHARS_MAX);
    }
}

fn small(bytes: usize, found: &mut Violations) {
    if bytes > CONTENT_BYTES_MAX {
        found.report(format!("must have at most {CONTENT_BYTES_MAX} bytes"));
    }
}

impl Validate for Artifact {
    fn check(&self, found: &mut Violations) {
        found.id("artifactId", &self.artifact_id);
        found.text_if_any("name", self.name.as_ref(), NAME_CHARS_MAX);
        found.text_if_any("description", self.description.as_ref(), DESCRIPTION_CHARS_MAX);
        found.some("parts", &self.parts, ARTIFACT_PARTS_MAX, Validate::check);
        found.metadata("metadata", &self.metadata);
        found.each("extensions", &self.extensions, EXTENSIONS_MAX, |uri, found| rule::url(uri, found));
    }
}

impl Validate for Task {
    fn check(&self, found: &mut Violations) {
        found.id("id", &self.id);
        found.id_if_any("contextId", self.context_id.as_ref());
        found.field("status", &self.status);
        found.each("artifacts", &self.artifacts, ARTIFACTS_MAX, Validate::check);
        let ids: BTreeSet<_> = self.artifacts.iter().map(|artifact| &artifact.artifact_id).collect();
        if ids.len() < self.artifacts.len() {
            found.within("artifacts", |found| found.report("must have different ids"));
        }
        found.each("history", &self.history, HISTORY_MAX, Validate::check);
        found.metadata("metadata", &self.metadata);
    }
}

impl Validate for TaskStatus {
    fn check(&self, found: &mut Violations) {
        found.field("message", &self.message);
        found.time("timestamp", self.timestamp);
    }
}

impl Validate for TaskStatusUpdateEvent {
    fn check(&self, found: &mut Violations) {
        found.id("taskId", &self.task_id);
        found.id("contextId", &self.context_id);
        found.field("status", &self.status);
        found.metadata("metadata", &self.metadata);
    }
}

impl Validate for TaskArtifactUpdateEvent {
    fn check(&self, found: &mut Violations) {
        found.id("taskId", &self.task_id);
        found.id("contextId", &self.context_id);
        found.field("artifact", &self.artifact);
        found.metadata("metadata", &self.metadata);
    }
}

impl Validate for StreamResponse {
    fn check(&self, found: &mut Violations) {
        match self {
            Self::Task(task) => found.field("task", task),
            Self::Message(message) => found.field("message", message),
            Self::StatusUpdate(event) => found.field("statusUpdate", event),
            Self::ArtifactUpdate(event) => found.field("artifactUpdate", event),
        }
    }
}

impl Validate for SendMessageResponse {
    fn check(&self, found: &mut Violations) {
        match self {
            Self::Task(task) => found.field("task", task),
            Self::Message(message) => found.field("message", message),
        }
    }
}
