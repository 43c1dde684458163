//! Which operation a path of HTTP+JSON stands for (spec §11.3). Segments such as `{id}:cancel` are beyond axum's router, so paths are
//! matched here as what they are: lists of segments.

use a2a::{A2aError, ErrorKind};
use axum::http::Method;
use percent_encoding::percent_decode_str;

/// An operation, with what the path says of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    SendMessage,
    SendStreamingMessage,
    GetTask { id: String },
    ListTasks,
    CancelTask { id: String },
    SubscribeToTask { id: String },
    CreatePushConfig { task: String },
    GetPushConfig { task: String, id: String },
    ListPushConfigs { task: String },
    DeletePushConfig { task: String, id: String },
    ExtendedCard,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// From paths below `/{tenant}`.
    pub(super) tenant: Option<String>,
    pub(super) route: Route,
}

const CONFIGS: &str = "pushNotificationConfigs";

/// Reads method and path.
pub(super) fn resolve(method: &Method, path: &str) -> Result<Target, A2aError> {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    if let Some(route) = route(method, &segments) {
        return Ok(Target { tenant: None, route });
    }
    let below_tenant = segments.split_first().and_then(|(tenant, rest)| Some((decode(tenant)?, route(method, rest)?)));
    let target = below_tenant.map(|(tenant, route)| Target { tenant: Some(tenant), route });
    target.ok_or_else(|| A2aError::new(ErrorKind::MethodNotFound, "there is no operation of A2A with this method and path"))
}

fn route(method: &Method, segments: &[&str]) -> Option<Route> {
    Some(match (method.as_str(), segments) {
        ("POST", ["message:send"]) => Route::SendMessage,
        ("POST", ["message:stream"]) => Route::SendStreamingMessage,
        ("GET", ["extendedAgentCard"]) => Route::ExtendedCard,
        ("GET", ["tasks"]) => Route::ListTasks,
        ("GET" | "POST", ["tasks", task]) => task_route(method, task)?,
        ("POST", ["tasks", task, CONFIGS]) => Route::CreatePushConfig { task: decode(task)? },
        ("GET", ["tasks", task, CONFIGS]) => Route::ListPushConfigs { task: decode(task)? },
        ("GET", ["tasks", task, CONFIGS, id]) => Route::GetPushConfig { task: decode(task)?, id: decode(id)? },
        ("DELETE", ["tasks", task, CONFIGS, id]) => Route::DeletePushConfig { task: decode(task)?, id: decode(id)? },
        _ => return None,
    })
}

/// The spec's text wants POST to subscribe, the proto's annotations want GET; both are in use.
fn task_route(method: &Method, segment: &str) -> Option<Route> {
    // A colon that belongs to the id is written as %3A.
    let verb = segment.rsplit_once(':');
    Some(match (method.as_str(), verb) {
        ("POST", Some((id, "cancel"))) => Route::CancelTask { id: decode(id)? },
        (_, Some((id, "subscribe"))) => Route::SubscribeToTask { id: decode(id)? },
        ("GET", _) => Route::GetTask { id: decode(segment)? },
        _ => return None,
    })
}

/// A segment's value; none for the empty one, which stands for nothing.
fn decode(segment: &str) -> Option<String> {
    let value = percent_decode_str(segment).decode_utf8().ok()?;
    (!value.is_empty()).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: Option<(Option<&str>, Route)>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let expected = expected.map(|(tenant, route)| Target { tenant: tenant.map(str::to_owned), route });
        assert_eq!(resolve(&method, path).ok(), expected, "{method} {path}");
    }

    #[test]
    fn every_operation_has_its_path_also_below_a_tenant() {
        let id = || "t-1".to_owned();
        let of = || "c 2".to_owned();
        for (method, path, route) in [
            ("POST", "/message:send", Route::SendMessage),
            ("POST", "/message:stream", Route::SendStreamingMessage),
            ("GET", "/tasks", Route::ListTasks),
            ("GET", "/tasks/t-1", Route::GetTask { id: id() }),
            ("POST", "/tasks/t-1:cancel", Route::CancelTask { id: id() }),
            ("POST", "/tasks/t-1:subscribe", Route::SubscribeToTask { id: id() }),
            ("GET", "/tasks/t-1:subscribe", Route::SubscribeToTask { id: id() }),
            ("POST", "/tasks/t-1/pushNotificationConfigs", Route::CreatePushConfig { task: id() }),
            ("GET", "/tasks/t-1/pushNotificationConfigs", Route::ListPushConfigs { task: id() }),
            ("GET", "/tasks/t-1/pushNotificationConfigs/c%202", Route::GetPushConfig { task: id(), id: of() }),
            ("DELETE", "/tasks/t-1/pushNotificationConfigs/c%202", Route::DeletePushConfig { task: id(), id: of() }),
            ("GET", "/extendedAgentCard", Route::ExtendedCard),
        ] {
            check(method, path, Some((None, route.clone())));
            check(method, &format!("/acme%2Fus{path}"), Some((Some("acme/us"), route)));
        }
    }

    #[test]
    fn nothing_else_is_an_operation() {
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/message:send"),
            ("PUT", "/message:send"),
            ("POST", "/message:sent"),
            ("POST", "/tasks"),
            ("POST", "/tasks/t-1"),
            ("GET", "/tasks/"),
            ("POST", "/tasks/:cancel"),
            ("GET", "/tasks/%ff"),
            ("DELETE", "/tasks/t-1"),
            ("GET", "/tasks/t-1/history"),
            ("PATCH", "/tasks/t-1/pushNotificationConfigs/c"),
            ("GET", "//tasks"),
            ("GET", "/a/b/tasks"),
        ] {
            check(method, path, None);
        }
    }

    #[test]
    fn colons_and_slashes_of_ids_are_told_from_those_of_paths() {
        check("GET", "/tasks/a%3Asubscribe", Some((None, Route::GetTask { id: "a:subscribe".to_owned() })));
        check("GET", "/tasks/urn:a:b", Some((None, Route::GetTask { id: "urn:a:b".to_owned() })));
        check("POST", "/tasks/a:b:cancel", Some((None, Route::CancelTask { id: "a:b".to_owned() })));
        check("GET", "/tasks/a%2Fb", Some((None, Route::GetTask { id: "a/b".to_owned() })));
        check("GET", "/tasks/tasks", Some((None, Route::GetTask { id: "tasks".to_owned() })));
    }
}
