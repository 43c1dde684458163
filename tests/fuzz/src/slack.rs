//! What anybody may post to the door for Slack: the timestamp's header on the first line, the signature's on the second, then the body.
//!
//! Nothing that the fuzzer can make up is signed. What a genuine body says is the same each time, names a person and a plan, and sends
//! answers to Slack and nowhere else.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use gateway::reading::{self, Click, Interaction};
use incident::approval::{Answer, Channel};
use url::form_urlencoded;

use crate::fixture::{REPLIES, TENANT, TENANTS, now};

const TIMESTAMP: HeaderName = HeaderName::from_static("x-slack-request-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-slack-signature");
/// Message ids are keys of the inbox.
const ID_BYTES_MAX: usize = 128;
/// The only input that is signed: what the corpus holds to show that one can be.
const SIGNED: &[u8] = include_bytes!("../corpus/slack/good-signed");

/// Reads headers and body.
///
/// # Panics
/// If a property is broken.
pub fn run(input: &[u8]) -> bool {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let (Some(timestamp), Some(signature), Some(body)) = (lines.next(), lines.next(), lines.next()) else { return false };
    let header = |name: HeaderName, value: &[u8]| Some((name, HeaderValue::from_bytes(value).ok()?));
    let headers: HeaderMap = [header(TIMESTAMP, timestamp), header(SIGNATURE, signature)].into_iter().flatten().collect();
    let signed = reading::is_signed(&TENANTS, TENANT, &headers, body, now());
    assert_eq!(signed, Some(input == SIGNED), "only Slack can sign");
    match read(body) {
        Ok(click) => {
            check(&click);
            again(body, &click);
            matches!(click.interaction, Interaction::Answer { .. })
        }
        Err(status) => {
            assert!([400, 403, 422].contains(&status), "not the caller's fault: {status}");
            false
        }
    }
}

fn read(body: &[u8]) -> Result<Click, u16> {
    let read = reading::click(&TENANTS, TENANT, body);
    let Some(read) = read else { panic!("the tenant has Slack") };
    read.map_err(|refused| refused.status)
}

fn check(Click { interaction, reply_to }: &Click) {
    if let Some(url) = reply_to {
        let origin = format!("{REPLIES}/");
        assert!(url.as_str().starts_with(&origin), "an answer would go to {url}");
    }
    if let Interaction::Answer { message_id, answer } = interaction {
        assert!(message_id.len() <= ID_BYTES_MAX && message_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        assert_eq!(answer.channel, Channel::Slack);
        assert!(answer.digest.as_ref().is_some_and(|digest| digest.0.len() == 64), "an answer to an unseen plan");
        assert!(answer.person.as_str() == "ann" || answer.person.as_str().starts_with("slack-"), "somebody else answered");
        assert!(answer.client.is_none());
        let is_button = matches!(&answer.answer, Answer::Approve | Answer::Reject { .. });
        assert!(is_button);
    }
}

/// The same payload, encoded as another client would, is the same click.
fn again(body: &[u8], click: &Click) {
    let payload = form_urlencoded::parse(body).find(|(name, _)| name == "payload");
    let Some((_, payload)) = payload else { panic!("a click without a payload") };
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload).finish();
    assert_eq!(read(body.as_bytes()).as_ref(), Ok(click), "encoded otherwise it is another click");
}
