//! What each error is called on the wire, written down once more from the spec (1.0.1, section 5.4).

use a2a_pb::proto as pb;
use axum::body::Body;
use pb::a2a_service_client::A2aServiceClient;
use serde_json::{Value, json};
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::alike::errors;
use crate::bed::{ANN, bed, request};
use crate::service::Outcome;

/// JSON-RPC's code, HTTP's status, gRPC's status, reason; in the order of the kinds.
const CODES: [(i32, u16, Code, &str); 19] = [
    (-32001, 404, Code::NotFound, "TASK_NOT_FOUND"),
    (-32002, 400, Code::FailedPrecondition, "TASK_NOT_CANCELABLE"),
    (-32003, 400, Code::FailedPrecondition, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    (-32004, 400, Code::FailedPrecondition, "UNSUPPORTED_OPERATION"),
    (-32005, 400, Code::InvalidArgument, "CONTENT_TYPE_NOT_SUPPORTED"),
    (-32006, 500, Code::Internal, "INVALID_AGENT_RESPONSE"),
    (-32007, 400, Code::FailedPrecondition, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    (-32008, 400, Code::FailedPrecondition, "EXTENSION_SUPPORT_REQUIRED"),
    (-32009, 400, Code::FailedPrecondition, "VERSION_NOT_SUPPORTED"),
    (-32700, 400, Code::InvalidArgument, "PARSE_ERROR"),
    (-32600, 400, Code::InvalidArgument, "INVALID_REQUEST"),
    (-32601, 404, Code::Unimplemented, "METHOD_NOT_FOUND"),
    (-32602, 400, Code::InvalidArgument, "INVALID_PARAMS"),
    (-32603, 500, Code::Internal, "INTERNAL"),
    (-32000, 401, Code::Unauthenticated, "UNAUTHENTICATED"),
    (-32000, 403, Code::PermissionDenied, "PERMISSION_DENIED"),
    (-32000, 429, Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (-32000, 429, Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (-32000, 503, Code::Unavailable, "UNAVAILABLE"),
];

fn reason(details: &Value) -> &str {
    assert_eq!(details[0]["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    details[0]["reason"].as_str().unwrap()
}

#[tokio::test]
async fn every_error_has_the_code_that_the_spec_gives_it() {
    let bed = bed().await;
    let mut grpc = A2aServiceClient::connect(format!("http://{}", bed.address)).await.unwrap();
    let get = json!({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "t"}}).to_string();
    assert_eq!(errors().len(), CODES.len());
    for (error, (json_rpc, http, status, name)) in errors().into_iter().zip(CODES) {
        bed.service.set(Outcome::Fails(error.clone()));
        let answered = bed.send(request("POST", "/", &[], get.clone())).await;
        let is_unknown = status == Code::Unauthenticated;
        assert_eq!(answered.status, if is_unknown { 401 } else { 200 }, "{name}");
        assert_eq!(answered.header("content-type"), "application/json", "{name}");
        assert_eq!(answered.json()["error"]["code"], json_rpc, "{name}");
        assert_eq!(reason(&answered.json()["error"]["data"]), name);

        let answered = bed.send(request("GET", "/tasks/t", &[], Body::empty())).await;
        assert_eq!(answered.status, http, "{name}");
        assert_eq!(answered.header("content-type"), "application/a2a+json", "{name}");
        assert_eq!(answered.header("www-authenticate"), if is_unknown { "Bearer" } else { "" }, "{name}");
        let body = answered.json();
        assert_eq!((&body["error"]["code"], reason(&body["error"]["details"])), (&json!(http), name));

        let mut request = Request::new(pb::GetTaskRequest { id: "t".to_owned(), ..Default::default() });
        request.metadata_mut().insert("a2a-version", "1.0".parse().unwrap());
        request.metadata_mut().insert("authorization", format!("Bearer {ANN}").parse().unwrap());
        let refused = grpc.get_task(request).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (status, error.message.as_str()), "{name}");
        let info = refused.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["taskId"].as_str()), (name, "t-1"));
        assert_eq!(info.domain == "a2a-protocol.org", (-32009..=-32001).contains(&json_rpc), "{name}");
        let violations = refused.get_details_bad_request().map_or(0, |request| request.field_violations.len());
        assert_eq!(violations, if name == "INVALID_PARAMS" { 2 } else { 0 });
    }
}

#[tokio::test]
async fn what_grpc_does_not_know_is_unimplemented() {
    let bed = bed().await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answered = bed.send(request("POST", "/lf.a2a.v1.A2AService/SendMail", &headers, Body::empty())).await;
    assert_eq!((answered.status.as_u16(), answered.header("grpc-status")), (200, "12"));
    let stranger = [("content-type", "application/grpc"), ("authorization", "")];
    let answered = bed.send(request("POST", "/lf.a2a.v1.A2AService/GetTask", &stranger, Body::empty())).await;
    assert_eq!((answered.status.as_u16(), answered.header("grpc-status")), (200, "16"));
}
