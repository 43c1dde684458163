//! gRPC as others speak it: the official messages, turned into JSON and back by the official crate, say the same as ours.

use a2a::{AgentCard, ListTasksResponse, SendMessageResponse, StreamResponse, Task, TaskPushNotificationConfig};
use a2a_pb::{proto as pb, protojson};
use futures::StreamExt as _;
use pb::a2a_service_client::A2aServiceClient;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value};
use tonic::Request;
use tonic::transport::Channel;

use crate::bed::{ANN, Bed, bed};
use crate::samples;

/// Our JSON, but for data that is `null`: the official crate reads it as a part without content.
fn said(ours: &impl Serialize) -> Value {
    let text = serde_json::to_string(ours).unwrap();
    serde_json::from_str(&text.replace("\"data\":null", "\"data\":false")).unwrap()
}

/// A request as the official crate reads it from our JSON.
fn theirs<J: Message + DeserializeOwned, P: Message + Default>(ours: &impl Serialize) -> Request<P> {
    let json: J = serde_json::from_value(said(ours)).unwrap();
    let mut request = Request::new(P::decode(json.encode_to_vec().as_slice()).unwrap());
    request.metadata_mut().insert("a2a-version", "1.0".parse().unwrap());
    request.metadata_mut().insert("authorization", format!("Bearer {ANN}").parse().unwrap());
    request
}

/// An answer as the official crate writes it as JSON, read by us.
fn ours<J: Message + Default + Serialize, T: DeserializeOwned>(theirs: &impl Message) -> T {
    let json = J::decode(theirs.encode_to_vec().as_slice()).unwrap();
    serde_json::from_value(whole(serde_json::to_value(json).unwrap())).unwrap()
}

/// It writes every number with a fraction.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
            Value::Number(Number::from(format!("{:.0}", number.as_f64().unwrap()).parse::<i64>().unwrap()))
        }
        Value::Array(values) => values.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

async fn connect(bed: &Bed) -> A2aServiceClient<Channel> {
    A2aServiceClient::connect(format!("http://{}", bed.address)).await.unwrap()
}

#[tokio::test]
async fn requests_are_read_as_they_were_meant() {
    let bed = bed().await;
    let mut agent = connect(&bed).await;
    agent.send_message(theirs::<protojson::SendMessageRequest, _>(&samples::send())).await.unwrap();
    agent.list_tasks(theirs::<protojson::ListTasksRequest, _>(&samples::list())).await.unwrap();
    agent.cancel_task(theirs::<protojson::CancelTaskRequest, _>(&samples::cancel())).await.unwrap();
    let config = theirs::<protojson::TaskPushNotificationConfig, _>(&samples::config());
    agent.create_task_push_notification_config(config).await.unwrap();
    let list = theirs::<protojson::ListTaskPushNotificationConfigsRequest, _>(&samples::list_configs());
    agent.list_task_push_notification_configs(list).await.unwrap();
    let expected = [
        said(&samples::send()),
        said(&samples::list()),
        said(&samples::cancel()),
        said(&samples::config()),
        said(&samples::list_configs()),
    ];
    let seen: Vec<_> = bed.service.seen().into_iter().map(|seen| seen.request).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn answers_are_written_as_they_are_meant() {
    let bed = bed().await;
    let mut agent = connect(&bed).await;
    let task = agent.get_task(theirs::<protojson::GetTaskRequest, _>(&samples::get())).await.unwrap().into_inner();
    assert_eq!(ours::<protojson::Task, Task>(&task), samples::task());
    let sent = agent.send_message(theirs::<protojson::SendMessageRequest, _>(&samples::send())).await.unwrap().into_inner();
    let message = SendMessageResponse::Message(samples::message());
    assert_eq!(ours::<protojson::SendMessageResponse, SendMessageResponse>(&sent), message);
    let config = theirs::<protojson::GetTaskPushNotificationConfigRequest, _>(&samples::get_config());
    let config = agent.get_task_push_notification_config(config).await.unwrap().into_inner();
    assert_eq!(ours::<protojson::TaskPushNotificationConfig, TaskPushNotificationConfig>(&config), samples::config());
    let card = theirs::<protojson::GetExtendedAgentCardRequest, _>(&serde_json::json!({}));
    let card = agent.get_extended_agent_card(card).await.unwrap().into_inner();
    assert_eq!(ours::<protojson::AgentCard, AgentCard>(&card), samples::card(true));
    let list = agent.list_tasks(theirs::<protojson::ListTasksRequest, _>(&samples::list())).await.unwrap().into_inner();
    // The official crate leaves out what is REQUIRED but empty.
    let page = pb::ListTasksResponse { next_page_token: "x".to_owned(), ..list };
    let expected = ListTasksResponse { next_page_token: "x".to_owned(), ..samples::tasks() };
    assert_eq!(ours::<protojson::ListTasksResponse, ListTasksResponse>(&page), expected);
}

#[tokio::test]
async fn events_are_written_as_they_are_meant() {
    let bed = bed().await;
    let mut agent = connect(&bed).await;
    let subscribe = theirs::<protojson::SubscribeToTaskRequest, _>(&samples::subscribe());
    let events = agent.subscribe_to_task(subscribe).await.unwrap().into_inner();
    let events: Vec<StreamResponse> =
        events.map(|event| ours::<protojson::StreamResponse, StreamResponse>(&event.unwrap())).collect().await;
    assert_eq!(events, samples::events());
}

#[tokio::test]
async fn what_protobuf_allows_and_a2a_does_not_is_named() {
    let bed = bed().await;
    let mut agent = connect(&bed).await;
    let whole = || theirs::<protojson::SendMessageRequest, pb::SendMessageRequest>(&samples::send());
    let change = |change: fn(&mut pb::Message)| {
        let mut request = whole();
        change(request.get_mut().message.as_mut().unwrap());
        request
    };
    let mut without = whole();
    without.get_mut().message = None;
    let mut negative = whole();
    negative.get_mut().configuration.as_mut().unwrap().history_length = Some(-1);
    for (request, field) in [
        (without, "message"),
        (negative, "configuration.historyLength"),
        (change(|message| message.role = 0), "message.role"),
        (change(|message| message.role = 7), "message.role"),
        (change(|message| message.parts[2].content = None), "message.parts[2]"),
        (change(|message| message.message_id.clear()), "message.messageId"),
    ] {
        let refused = agent.send_message(request).await.unwrap_err();
        let violations = tonic_types::StatusExt::get_details_bad_request(&refused).unwrap().field_violations;
        assert_eq!((refused.code(), violations[0].field.as_str()), (tonic::Code::InvalidArgument, field));
    }
    assert_eq!(bed.service.seen(), []);
}
