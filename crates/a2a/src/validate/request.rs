//! Rules for requests, their answers, and push notification configurations (spec §3.1, §3.2 and §4.3).

use super::{Validate, Violations, rule};
use crate::limits::{CARD_ENTRIES_MAX, CREDENTIALS_CHARS_MAX, NAME_CHARS_MAX, PAGE_SIZE_MAX};
use crate::types::{
    AuthenticationInfo, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest, GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest, GetTaskRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, ListTasksRequest, ListTasksResponse, SendMessageConfiguration, SendMessageRequest,
    SubscribeToTaskRequest, TaskPushNotificationConfig,
};

impl Validate for SendMessageRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.field("message", &self.message);
        found.field("configuration", &self.configuration);
        found.metadata("metadata", &self.metadata);
    }
}

impl Validate for SendMessageConfiguration {
    fn check(&self, found: &mut Violations) {
        found.modes("acceptedOutputModes", &self.accepted_output_modes);
        found.field("taskPushNotificationConfig", &self.task_push_notification_config);
        found.count("historyLength", self.history_length);
    }
}

impl Validate for GetTaskRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("id", &self.id);
        found.count("historyLength", self.history_length);
    }
}

impl Validate for ListTasksRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id_if_any("contextId", self.context_id.as_ref());
        if self.page_size.is_some_and(|size| !(1..=PAGE_SIZE_MAX).contains(&size)) {
            found.within("pageSize", |found| found.report(format!("must be 1 to {PAGE_SIZE_MAX}")));
        }
        found.text_if_any("pageToken", self.page_token.as_ref(), CREDENTIALS_CHARS_MAX);
        found.count("historyLength", self.history_length);
        found.time("statusTimestampAfter", self.status_timestamp_after);
    }
}

/// Here empty REQUIRED fields say something: no task, no further page.
impl Validate for ListTasksResponse {
    fn check(&self, found: &mut Violations) {
        found.each("tasks", &self.tasks, PAGE_SIZE_MAX as usize, Validate::check);
        found.text_if_any("nextPageToken", Some(&self.next_page_token), CREDENTIALS_CHARS_MAX);
        found.count("pageSize", Some(self.page_size));
        found.count("totalSize", Some(self.total_size));
    }
}

impl Validate for CancelTaskRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("id", &self.id);
        found.metadata("metadata", &self.metadata);
    }
}

impl Validate for SubscribeToTaskRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("id", &self.id);
    }
}

impl Validate for GetExtendedAgentCardRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
    }
}

impl Validate for TaskPushNotificationConfig {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id_if_any("id", self.id.as_ref());
        found.id_if_any("taskId", self.task_id.as_ref());
        found.web_url("url", &self.url);
        let token = self.token.as_deref().unwrap_or_default();
        found.within("token", |found| rule::header_value(token, CREDENTIALS_CHARS_MAX, found));
        found.field("authentication", &self.authentication);
    }
}

impl Validate for AuthenticationInfo {
    fn check(&self, found: &mut Violations) {
        found.within("scheme", |found| {
            rule::filled(&self.scheme, found);
            if self.scheme.contains(' ') {
                found.report("must be one word");
            }
            rule::header_value(&self.scheme, NAME_CHARS_MAX, found);
        });
        let credentials = self.credentials.as_deref().unwrap_or_default();
        found.within("credentials", |found| rule::header_value(credentials, CREDENTIALS_CHARS_MAX, found));
    }
}

impl Validate for GetTaskPushNotificationConfigRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("taskId", &self.task_id);
        found.id("id", &self.id);
    }
}

impl Validate for DeleteTaskPushNotificationConfigRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("taskId", &self.task_id);
        found.id("id", &self.id);
    }
}

impl Validate for ListTaskPushNotificationConfigsRequest {
    fn check(&self, found: &mut Violations) {
        found.id_if_any("tenant", self.tenant.as_ref());
        found.id("taskId", &self.task_id);
        found.count("pageSize", self.page_size);
        found.text_if_any("pageToken", self.page_token.as_ref(), CREDENTIALS_CHARS_MAX);
    }
}

impl Validate for ListTaskPushNotificationConfigsResponse {
    fn check(&self, found: &mut Violations) {
        found.each("configs", &self.configs, CARD_ENTRIES_MAX, Validate::check);
        found.text_if_any("nextPageToken", self.next_page_token.as_ref(), CREDENTIALS_CHARS_MAX);
    }
}
