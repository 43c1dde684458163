//! Push notifications.

use a2a::{
    A2aError, A2aService as _, AuthenticationInfo, DeleteTaskPushNotificationConfigRequest, ErrorKind,
    GetTaskPushNotificationConfigRequest, ListTaskPushNotificationConfigsRequest, SendMessageConfiguration, SendMessageRequest,
    StreamResponse, Task, TaskPushNotificationConfig, TaskState,
};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::FutureExt as _;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use store::a2a::PushBacklog;
use tasks::{Engine, PushSigner, Targets};
use testkit::eventually;
use tokio::net::TcpListener;

use crate::bed::{AGENT, Bed, WITHIN, at_once, bed, caller, options, request, send, to, until};
use crate::hook::{Hook, Post};
use crate::script::Script;

fn config(url: String) -> TaskPushNotificationConfig {
    TaskPushNotificationConfig { url, ..TaskPushNotificationConfig::default() }
}

fn with(mut request: SendMessageRequest, config: TaskPushNotificationConfig) -> SendMessageRequest {
    let configuration = request.configuration.get_or_insert_with(SendMessageConfiguration::default);
    configuration.task_push_notification_config = Some(config);
    request
}

fn state(post: &Post) -> Option<TaskState> {
    match post.event() {
        StreamResponse::StatusUpdate(event) => Some(event.status.state),
        StreamResponse::ArtifactUpdate(_) => None,
        other => panic!("not an update: {other:?}"),
    }
}

async fn settled(bed: &Bed, expected: PushBacklog) {
    let store = bed.store().await;
    let look = async || (store.push_backlog(AGENT).await.unwrap() == expected).then_some(());
    eventually("posting everything", WITHIN, look).await.unwrap();
}

const NOTHING: PushBacklog = PushBacklog { due: 0, given_up: 0 };

#[tokio::test]
async fn every_event_is_posted_in_order_with_what_the_receiver_asked_for() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine().await;
    let authentication = Some(AuthenticationInfo { scheme: "Bearer".to_owned(), credentials: Some("s3cret".to_owned()) });
    let config = TaskPushNotificationConfig { token: Some("t0ken".to_owned()), authentication, ..config(hook.url("a")) };
    let task = send(&engine, with(request("pieces 5"), config)).await.unwrap();
    let posts = hook.received(7).await;
    settled(&bed, NOTHING).await;
    assert_eq!(hook.posts().len(), 7, "each event once");
    let mut replayed = a2a::Task { artifacts: vec![], ..task.clone() };
    replayed.status.state = TaskState::Submitted;
    for (n, post) in posts.iter().enumerate() {
        assert_eq!(post.header("content-type"), "application/a2a+json");
        assert_eq!(post.header("authorization"), "Bearer s3cret");
        assert_eq!(post.header("x-a2a-notification-token"), "t0ken");
        let id = post.header("x-a2a-notification-id");
        assert!(id.starts_with(&task.id) && id.ends_with(&format!("/{}", n + 1)), "{id}");
        replayed = replayed.apply(post.event()).unwrap();
    }
    assert_eq!(replayed.artifacts, task.artifacts);
    assert_eq!((state(&posts[0]), state(&posts[6])), (Some(TaskState::Working), Some(TaskState::Completed)));
}

#[tokio::test]
async fn a_place_that_fails_gets_the_event_again_and_no_later_one_before() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine().await;
    hook.answer(StatusCode::SERVICE_UNAVAILABLE, 2);
    hook.answer(StatusCode::FOUND, 1);
    hook.answer(StatusCode::OK, 1);
    hook.answer(StatusCode::INTERNAL_SERVER_ERROR, 1);
    send(&engine, with(request("echo"), config(hook.url("a")))).await.unwrap();
    let posts = hook.received(7).await;
    settled(&bed, NOTHING).await;
    let ids: Vec<_> = posts.iter().map(|post| post.header("x-a2a-notification-id").chars().last().unwrap()).collect();
    assert_eq!(ids.iter().collect::<String>(), "1111223", "a redirect is a failure, and is not followed");
    assert_eq!(posts.iter().filter(|post| post.answer.is_success()).count(), 3);
}

#[tokio::test]
async fn a_place_that_fails_too_often_is_given_up_and_others_are_not() {
    let (bed, bad, good) = (bed().await, Hook::start().await, Hook::start().await);
    let engine = bed.engine_limited(|limits| limits.post_attempts_max = 3).await;
    bad.answer(StatusCode::INTERNAL_SERVER_ERROR, 3);
    let given_up = TaskPushNotificationConfig { id: Some("p".to_owned()), ..config(bad.url("a")) };
    let task = send(&engine, at_once(with(request("ask"), given_up.clone()))).await.unwrap();
    let also = TaskPushNotificationConfig { task_id: Some(task.id.clone()), ..config(good.url("b")) };
    engine.create_push_config(&caller(), also).await.unwrap();
    let task = until(&engine, &task.id, |task| task.status.state == TaskState::InputRequired).await;
    settled(&bed, PushBacklog { due: 0, given_up: 1 }).await;
    let before = good.posts().len();
    let task = send(&engine, to(&task, "ask")).await.unwrap();
    good.received(before + 2).await;
    settled(&bed, PushBacklog { due: 0, given_up: 1 }).await;
    assert_eq!(bad.posts().len(), 3, "given up is given up");
    // Set anew, it gets another chance, from now on.
    let again = TaskPushNotificationConfig { task_id: Some(task.id.clone()), ..given_up };
    engine.create_push_config(&caller(), again).await.unwrap();
    send(&engine, to(&task, "echo")).await.unwrap();
    let states: Vec<_> = bad.received(6).await[3..].iter().map(state).collect();
    assert_eq!(states, [Some(TaskState::Working), None, Some(TaskState::Completed)]);
    settled(&bed, NOTHING).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_given_up_at_once() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine().await;
    hook.answer(StatusCode::GONE, 1);
    send(&engine, with(request("echo"), config(hook.url("a")))).await.unwrap();
    settled(&bed, PushBacklog { due: 0, given_up: 1 }).await;
    assert_eq!(hook.posts().len(), 1);
}

#[tokio::test]
async fn posting_goes_on_after_a_restart_where_it_was() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine_limited(|limits| limits.post_pause = std::time::Duration::from_millis(300)).await;
    hook.answer(StatusCode::OK, 1);
    hook.answer(StatusCode::BAD_GATEWAY, 1);
    send(&engine, with(request("echo"), config(hook.url("a")))).await.unwrap();
    hook.received(2).await;
    engine.stop().await;
    let _next = bed.engine().await;
    settled(&bed, NOTHING).await;
    let well: Vec<_> = hook.posts().iter().filter(|post| post.answer.is_success()).map(state).collect();
    assert_eq!(well, [Some(TaskState::Working), None, Some(TaskState::Completed)]);
}

#[tokio::test]
async fn posts_are_signed() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let mut options = options();
    options.push.signer = Some(PushSigner::from_pem("k1", &pem).unwrap());
    assert!(!format!("{:?}", options.push).contains("BEGIN"));
    let engine = bed.engine_with(options).await;
    send(&engine, with(request("echo"), config(hook.url("a")))).await.unwrap();
    for post in hook.received(3).await {
        let signature = post.header("x-a2a-notification-signature");
        let (protected, signature) = signature.split_once("..").unwrap();
        let header: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).unwrap()).unwrap();
        assert_eq!((&header["alg"], &header["kid"]), (&"ES256".into(), &"k1".into()));
        assert_eq!(header["jti"], post.header("x-a2a-notification-id"));
        assert!(header["iat"].is_i64());
        let signed = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(&post.body));
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        VerifyingKey::from(&key).verify(signed.as_bytes(), &signature).unwrap();
    }
    assert!(PushSigner::from_pem("k1", "no key").is_err());
}

async fn create(engine: &Engine<Script>, config: TaskPushNotificationConfig) -> Result<TaskPushNotificationConfig, A2aError> {
    engine.create_push_config(&caller(), config).await
}

#[tokio::test]
async fn configurations_are_kept_until_they_are_deleted() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine_limited(|limits| limits.pushes_per_task_max = 3).await;
    let task = send(&engine, with(request("ask"), config(hook.url("a")))).await.unwrap();
    let of =
        |id: &str| TaskPushNotificationConfig { id: Some(id.to_owned()), task_id: Some(task.id.clone()), ..config(hook.url(id)) };
    let made = create(&engine, of("b")).await.unwrap();
    assert_eq!(made, of("b"));
    let unnamed = create(&engine, TaskPushNotificationConfig { id: None, ..of("c") }).await.unwrap();
    assert!(unnamed.id.is_some());
    let full = create(&engine, of("d")).await.unwrap_err();
    assert!(matches!(full.kind, ErrorKind::ResourceExhausted { .. }));
    create(&engine, of("b")).await.expect("the same id replaces");

    let get = GetTaskPushNotificationConfigRequest { tenant: None, task_id: task.id.clone(), id: "b".to_owned() };
    assert_eq!(engine.get_push_config(&caller(), get.clone()).await.unwrap(), made);
    let list = ListTaskPushNotificationConfigsRequest { task_id: task.id.clone(), page_size: Some(2), ..Default::default() };
    let first = engine.list_push_configs(&caller(), list.clone()).await.unwrap();
    assert_eq!(first.configs.len(), 2);
    let rest = ListTaskPushNotificationConfigsRequest { page_token: first.next_page_token, ..list };
    assert_eq!(engine.list_push_configs(&caller(), rest).await.unwrap().configs.len(), 1);

    for _ in 0..2 {
        let delete = DeleteTaskPushNotificationConfigRequest { tenant: None, task_id: task.id.clone(), id: "b".to_owned() };
        engine.delete_push_config(&caller(), delete).await.expect("again is the same");
    }
    assert!(engine.get_push_config(&caller(), get).await.is_err());
    create(&engine, of("d")).await.expect("there is room again");
    // What is left is told of what happens from now on.
    let before = hook.posts().len();
    send(&engine, to(&task, "echo")).await.unwrap();
    hook.received(before + 3 * 3).await;
}

async fn configs(engine: &Engine<Script>, task: &Task) -> Vec<TaskPushNotificationConfig> {
    let list = ListTaskPushNotificationConfigsRequest { task_id: task.id.clone(), ..Default::default() };
    engine.list_push_configs(&caller(), list).await.unwrap().configs
}

#[tokio::test]
async fn a_copy_of_a_message_adds_no_configuration() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine_limited(|limits| limits.pushes_per_task_max = 1).await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let answer = with(to(&asked, "ask"), config(hook.url("a")));
    let task = send(&engine, answer.clone()).await.unwrap();
    hook.received(2).await;
    for _ in 0..3 {
        assert_eq!(send(&engine, answer.clone()).await.unwrap(), task);
    }
    assert_eq!(configs(&engine, &task).await.len(), 1);
    settled(&bed, NOTHING).await;
    let states: Vec<_> = hook.posts().iter().map(state).collect();
    assert_eq!(states, [Some(TaskState::Working), Some(TaskState::InputRequired)], "what came of the message, and once");
    // One more is too much, which is said before the message is taken.
    let more = with(to(&asked, "echo"), config(hook.url("b")));
    assert!(matches!(send(&engine, more).await.unwrap_err().kind, ErrorKind::ResourceExhausted { .. }));
    assert_eq!(bed.script.calls().len(), 2);
}

#[tokio::test]
async fn a_message_that_is_refused_leaves_no_configuration() {
    let (bed, hook) = (bed().await, Hook::start().await);
    let engine = bed.engine_limited(|limits| limits.messages_waiting_max = 0).await;
    let asked = send(&engine, request("ask")).await.unwrap();
    let refused = send(&engine, with(to(&asked, "echo"), config(hook.url("a")))).await.unwrap_err();
    assert!(matches!(refused.kind, ErrorKind::ResourceExhausted { .. }));
    assert_eq!(configs(&engine, &asked).await, []);
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused() {
    let bed = bed().await;
    let mut options = options();
    options.push.targets = Targets::Public;
    let engine = bed.engine_with(options).await;
    let task = send(&engine, request("ask")).await.unwrap();
    for url in ["http://example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/"] {
        let config = TaskPushNotificationConfig { task_id: Some(task.id.clone()), ..config(url.to_owned()) };
        let error = create(&engine, config.clone()).await.unwrap_err();
        let ErrorKind::InvalidParams { violations } = error.kind else { panic!("{error:?}") };
        assert_eq!(violations[0].field, "url");
        let error =
            send(&engine, with(request("echo"), TaskPushNotificationConfig { task_id: None, ..config })).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::InvalidParams { .. }));
    }
}

#[tokio::test]
async fn a_name_that_turns_out_not_to_be_public_is_never_connected_to() {
    let bed = bed().await;
    let mut options = options();
    options.push.targets = Targets::Public;
    options.limits.post_attempts_max = 2;
    let engine = bed.engine_with(options).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    send(&engine, with(request("echo"), config(url))).await.unwrap();
    settled(&bed, PushBacklog { due: 0, given_up: 1 }).await;
    assert!(listener.accept().now_or_never().is_none(), "nobody has come");
}

#[tokio::test]
async fn an_agent_that_posts_nothing_says_so() {
    let bed = bed().await;
    let mut options = options();
    options.card.capabilities.push_notifications = Some(false);
    let engine = bed.engine_with(options).await;
    let refused = send(&engine, with(request("echo"), config("https://example.com/".to_owned()))).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PushNotificationNotSupported);
    let list = ListTaskPushNotificationConfigsRequest { task_id: "t".to_owned(), ..Default::default() };
    assert_eq!(engine.list_push_configs(&caller(), list).await.unwrap_err().kind, ErrorKind::PushNotificationNotSupported);
}
