//! Every operation and every error is the same over all three bindings as without any.

use std::collections::BTreeSet;
use std::time::Duration;

use a2a::{A2aError, A2aService as _, Caller, ErrorKind, FieldViolation, GetTaskRequest, ListTasksRequest, SendMessageRequest};
use a2a_http::{Binding, Client};

use crate::bed::{SOON, bed, exercise};
use crate::samples::{self, EXTENSION};
use crate::service::Outcome;

fn ann() -> Caller {
    let extensions = [EXTENSION, "https://example.org/ext/unknown/v1"].map(str::to_owned);
    Caller { tenant: "acme".to_owned(), sender: "ann".to_owned(), extensions: BTreeSet::from(extensions) }
}

/// One of each kind, with every fact that it can hold.
pub(crate) fn errors() -> Vec<A2aError> {
    let violation = |field: &str| FieldViolation { field: field.to_owned(), description: "is odd".to_owned() };
    let kinds = [
        ErrorKind::TaskNotFound,
        ErrorKind::TaskNotCancelable,
        ErrorKind::PushNotificationNotSupported,
        ErrorKind::UnsupportedOperation,
        ErrorKind::ContentTypeNotSupported,
        ErrorKind::InvalidAgentResponse,
        ErrorKind::ExtendedAgentCardNotConfigured,
        ErrorKind::ExtensionSupportRequired,
        ErrorKind::VersionNotSupported,
        ErrorKind::ParseError,
        ErrorKind::InvalidRequest,
        ErrorKind::MethodNotFound,
        ErrorKind::InvalidParams { violations: vec![violation("message.parts[0].url"), violation("")] },
        ErrorKind::Internal,
        ErrorKind::Unauthenticated,
        ErrorKind::PermissionDenied,
        ErrorKind::ResourceExhausted { retry_after: Some(Duration::from_millis(1_500)) },
        ErrorKind::ResourceExhausted { retry_after: None },
        ErrorKind::Unavailable,
    ];
    kinds.map(|kind| A2aError::new(kind, "said \"so\": ü, 100 %\n").with("taskId", "t-1").with("x", "ä\n")).to_vec()
}

#[tokio::test]
async fn every_operation_arrives_and_is_answered_alike() {
    let bed = bed().await;
    let expected = exercise(&*bed.service, &ann()).await;
    let seen = bed.service.seen();
    assert_eq!(seen.len(), 11);
    for binding in Binding::ALL {
        for path in ["/", "/a2a/scripted", "/a2a/scripted/"] {
            let client = Client::new(binding, bed.endpoint(path)).unwrap();
            // Tenant and sender are what the token says, not what the client's side says.
            let caller = Caller { extensions: ann().extensions, ..Caller::default() };
            assert_eq!(exercise(&client, &caller).await, expected, "{binding:?} {path}");
            assert_eq!(bed.service.seen(), seen, "{binding:?} {path}");
        }
    }
}

#[tokio::test]
async fn every_error_comes_back_as_it_was() {
    let bed = bed().await;
    for error in errors() {
        for outcome in [Outcome::Fails(error.clone()), Outcome::FailsLate(error.clone())] {
            bed.service.set(outcome.clone());
            let expected = exercise(&*bed.service, &ann()).await;
            for binding in Binding::ALL {
                assert_eq!(exercise(&bed.client(binding), &ann()).await, expected, "{binding:?} {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_next_request_is_fine() {
    let bed = bed().await;
    let fine = exercise(&*bed.service, &ann()).await;
    let is_internal = |end: &Option<A2aError>| end.as_ref().is_some_and(|error| error.kind == ErrorKind::Internal);
    for binding in Binding::ALL {
        let client = bed.client(binding);
        bed.service.set(Outcome::Panics);
        for (values, end) in exercise(&client, &ann()).await {
            assert!(values.is_empty() && is_internal(&end), "{binding:?}: {end:?}");
        }
        bed.service.set(Outcome::PanicsLate);
        for (given, fine) in exercise(&client, &ann()).await.iter().zip(&fine) {
            let is_stream = fine.0.len() > 1;
            assert!(
                if is_stream { given.0.len() == 1 && is_internal(&given.1) } else { given == fine },
                "{binding:?}: {given:?}"
            );
        }
        bed.service.set(Outcome::Fine);
        assert_eq!(exercise(&client, &ann()).await, fine, "{binding:?}");
    }
}

#[tokio::test]
async fn rules_are_checked_before_the_agent_is_asked() {
    let bed = bed().await;
    for binding in Binding::ALL {
        let client = bed.client(binding);
        let fields = async |request: SendMessageRequest| {
            let error = client.send_message(&ann(), request).await.unwrap_err();
            let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{binding:?}: {error:?}") };
            violations.into_iter().map(|violation| violation.field).collect::<Vec<_>>()
        };
        let mut message = samples::message();
        message.parts.clear();
        message.message_id.clear();
        assert_eq!(fields(SendMessageRequest::new(message)).await, ["message.messageId", "message.parts"], "{binding:?}");
        for foreign in ["blue", "nowhere"] {
            let request = SendMessageRequest { tenant: Some(foreign.to_owned()), ..samples::send() };
            assert_eq!(fields(request).await, ["tenant"], "{binding:?}");
        }
        let request = ListTasksRequest { page_size: Some(101), ..ListTasksRequest::default() };
        let error = client.list_tasks(&ann(), request).await.unwrap_err();
        assert_eq!(error.message, "pageSize must be 1 to 100", "{binding:?}");
        assert_eq!(bed.service.seen(), [], "{binding:?}");
    }
}

#[tokio::test]
async fn the_tenant_that_an_interface_asks_for_is_said() {
    let bed = bed().await;
    for binding in Binding::ALL {
        let client = |tenant: &str| {
            let mut endpoint = bed.endpoint("/");
            endpoint.tenant = Some(tenant.to_owned());
            Client::new(binding, endpoint).unwrap()
        };
        assert!(exercise(&client("acme"), &ann()).await.iter().all(|(_, end)| end.is_none()), "{binding:?}");
        assert!(bed.service.seen().iter().all(|seen| seen.request["tenant"] == "acme"), "{binding:?}");
        for (_, end) in exercise(&client("blue"), &ann()).await {
            assert!(matches!(end.unwrap().kind, ErrorKind::InvalidParams { .. }), "{binding:?}");
        }
    }
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_unavailable() {
    let mut bed = bed().await;
    drop(bed.stop.take());
    tokio::time::timeout(SOON, &mut bed.serving).await.unwrap().unwrap();
    for binding in Binding::ALL {
        for (_, end) in exercise(&bed.client(binding), &ann()).await {
            assert_eq!(end.unwrap().kind, ErrorKind::Unavailable, "{binding:?}");
        }
    }
}

#[tokio::test]
async fn ids_that_no_path_can_hold_are_refused_by_the_client() {
    let bed = bed().await;
    for id in [".", "..", ""] {
        let request = GetTaskRequest { id: id.to_owned(), ..GetTaskRequest::default() };
        let error = bed.client(Binding::HttpJson).get_task(&ann(), request).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::InvalidParams { .. }), "{id:?}");
    }
    assert_eq!(bed.service.seen(), []);
}
