//! The work: one message that makes a task which is completed at once, as each binding says it.

use std::net::SocketAddr;
use std::sync::Arc;

use a2a::{Message, Part, Role, SendMessageRequest};
use a2a_pb::proto as pb;
use prost::Message as _;
use serde_json::{Value, json};

use crate::body::{NUMBER, Template};
use crate::load::Target;

/// The conformance agent completes what begins so.
const ASKED: &str = "tck-complete-task";
/// And says this. Nothing else holds it: an answer that does is a completed task.
pub(super) const ANSWERED: &str = "Hello from TCK";
/// What every request must say.
const VERSION: &str = "A2A-Version: 1.0";

/// Kits' own ids begin with `tck-` and are never taken for copies; these are looked up.
fn message_id(number: &str) -> String {
    format!("bench-{number}")
}

fn request() -> Value {
    json!({ "message": { "messageId": message_id(NUMBER), "role": "ROLE_USER", "parts": [{ "text": ASKED }] } })
}

/// Over JSON-RPC.
pub(super) fn json_rpc(address: SocketAddr) -> Target {
    let body = json!({ "jsonrpc": "2.0", "id": NUMBER, "method": "SendMessage", "params": request() });
    over_http(address, "/", &body)
}

/// Over HTTP+JSON.
pub(super) fn http_json(address: SocketAddr) -> Target {
    over_http(address, "/message:send", &request())
}

fn over_http(address: SocketAddr, path: &str, body: &Value) -> Target {
    let template = Arc::new(Template::post_with(path, VERSION, &body.to_string()));
    Target { address, template, says: Some(ANSWERED) }
}

/// Over gRPC: the message with the five bytes that go before it (not compressed, and how long).
pub(super) fn grpc() -> Template {
    let part = pb::Part { content: Some(pb::part::Content::Text(ASKED.to_owned())), ..pb::Part::default() };
    let (message_id, role) = (message_id(NUMBER), pb::Role::User.into());
    let message = pb::Message { message_id, role, parts: vec![part], ..pb::Message::default() };
    let body = pb::SendMessageRequest { message: Some(message), ..pb::SendMessageRequest::default() }.encode_to_vec();
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    Template::new([&[0], &length[..], &body].concat())
}

/// For clients that write it themselves.
pub(super) fn typed(number: u64) -> SendMessageRequest {
    SendMessageRequest::new(Message::new(message_id(&format!("{number:016x}")), Role::User, vec![Part::text(ASKED)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bindings_say_the_same() {
        let number = 0xabc1;
        let filled = |template: &Template| {
            let mut bytes = template.first();
            template.number(&mut bytes, number);
            bytes
        };
        let expected = typed(number);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let body = |target: Target| {
            let text = String::from_utf8(filled(&target.template)).unwrap();
            serde_json::from_str::<Value>(text.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        let read = |json: &Value| a2a::read::<SendMessageRequest>(json.to_string().as_bytes()).unwrap();
        assert_eq!(read(&body(http_json(address))), expected);
        assert_eq!(read(&body(json_rpc(address))["params"]), expected);
        let framed = filled(&grpc());
        let (head, message) = framed.split_at(5);
        assert_eq!(head, [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes()[..]].concat());
        let message = pb::SendMessageRequest::decode(message).unwrap().message.unwrap();
        assert_eq!((message.message_id.as_str(), message.role()), (expected.message.message_id.as_str(), pb::Role::User));
    }
}
