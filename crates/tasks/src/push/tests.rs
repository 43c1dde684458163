use std::process::Command;

use a2a::StreamResponse;
use store::a2a::{PushKey, TaskKey};

use super::*;

fn config(id: &str) -> TaskPushNotificationConfig {
    TaskPushNotificationConfig { id: Some(id.to_owned()), url: "https://example.com".to_owned(), ..Default::default() }
}

#[test]
fn pauses_double_up_to_the_longest() {
    let limits = Limits { post_pause: Duration::from_secs(1), post_pause_max: Duration::from_mins(1), ..Limits::default() };
    for (attempts, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)] {
        assert_eq!(pause(attempts, &limits), Duration::from_secs(seconds), "{attempts}");
    }
}

#[test]
fn giving_up_takes_hours_not_days() {
    let limits = Limits::default();
    let all: Duration = (1..limits.post_attempts_max).map(|attempts| pause(attempts, &limits)).sum();
    assert!((6..10).contains(&(all.as_secs() / 3600)), "{all:?}");
}

#[test]
fn a_turn_ends_before_its_lease() {
    let limits = Limits::default();
    // It may begin a post at the very end of its time, and read events before that.
    assert!(lease(&limits) > limits.post_max * 2);
}

#[test]
fn configurations_come_by_pages() {
    let all = || ["a", "b", "c"].map(config).to_vec();
    let ids = |response: &ListTaskPushNotificationConfigsResponse| {
        response.configs.iter().filter_map(|config| config.id.clone()).collect::<String>()
    };
    let whole = page(all(), None, None).expect("a page");
    assert_eq!((ids(&whole).as_str(), whole.next_page_token), ("abc", None));
    let first = page(all(), Some(2), None).expect("a page");
    assert_eq!(ids(&first), "ab");
    let last = page(all(), Some(2), first.next_page_token.as_deref()).expect("a page");
    assert_eq!((ids(&last).as_str(), last.next_page_token), ("c", None));
    assert!(matches!(page(all(), None, Some("%")).expect_err("nonsense").kind, ErrorKind::InvalidParams { .. }));
}

/// Posts to a name of this machine, as a client may have configured it.
#[tokio::test]
async fn a_name_of_this_machine_is_not_posted_to() {
    let limits = Limits { post_max: Duration::from_secs(5), ..Limits::default() };
    let poster = Poster::new(PushOptions::default(), &limits).expect("a client");
    let event = StreamResponse::Task(a2a::Task::new("t", a2a::TaskStatus::new(a2a::TaskState::Working)));
    let key = PushKey { task: TaskKey { tenant: "acme".to_owned(), id: "t".to_owned() }, id: "p".to_owned() };
    // Nobody listens there; it matters why the post fails.
    let config = TaskPushNotificationConfig { url: "https://localhost:1/".to_owned(), ..config("p") };
    let failure = poster.post(&config, &key, 1, &event, chrono::DateTime::default()).await.expect_err("not public");
    assert!(failure.text.ends_with(&address::NotPublic.to_string()), "{failure:?}");
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_to_post_in_our_place() {
    let itself = std::env::current_exe().expect("this very program");
    let mut again = Command::new(itself);
    again.args(["--exact", "push::tests::a_name_of_this_machine_is_not_posted_to"]);
    again.env_remove("NO_PROXY").env_remove("no_proxy");
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(variable, "http://127.0.0.1:1");
    }
    let output = again.output().expect("running it");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}
