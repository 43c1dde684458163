//! What people want to hear nothing of: made, shown, previewed, ended, and taken over from a real Alertmanager.

use gateway::{Following, SilencesOf};
use incident::alert::Labels;
use incident::fact::What;
use incident::silence::Silences;
use serde_json::{Value, json};
use testkit::Alertmanager;

use crate::api::{opened, record};
use crate::bed::{ANN, BOB, Bed, DEE, SOON, assert_problem, bed};

fn wanted() -> Value {
    json!({"matchers": ["service=\"checkout\"", "severity!=\"critical\""], "reason": "the disk is replaced", "minutes": 90})
}

fn ids(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

/// The newest silences that monitoring is told.
async fn told(bed: &Bed, number: u64) -> Silences {
    let newest = async || {
        let stream = bed.stream("ALERTS").await;
        let message = stream.get_last_raw_message_by_subject("alerts.acme.silences").await.ok()?;
        let silences: Silences = serde_json::from_slice(&message.payload).unwrap();
        (silences.number == number).then_some(silences)
    };
    testkit::eventually("the silences on the bus", SOON, newest).await.unwrap()
}

#[tokio::test]
async fn a_silence_is_made_shown_ended_and_told_each_time() {
    let bed = bed().await;
    let made = bed.post("/v1/silences", ANN, &wanted()).await;
    assert_eq!(made.status.as_u16(), 201, "{made:?}");
    let id = made.json["id"].as_str().unwrap();
    assert_eq!((&made.json["owner"], &made.json["state"]), (&json!("ann"), &json!("active")));
    assert_eq!(made.json["matchers"], wanted()["matchers"]);
    assert_eq!(told(&bed, 1).await.all.len(), 1);
    let path = format!("/v1/silences/{id}");
    assert_eq!(bed.get(&path, BOB).await.json["reason"], "the disk is replaced");
    assert_eq!(ids(&bed.get("/v1/silences?state=open", BOB).await.json), [id]);
    // Another tenant sees none of it (P10).
    assert_eq!(ids(&bed.get("/v1/silences", DEE).await.json), Vec::<&str>::new());
    for path in [path.clone(), "/v1/silences/sil_none".to_owned(), "/v1/silences/a.b".to_owned()] {
        assert_problem(&bed.get(&path, DEE).await, 404, "not-found", &[], &path);
    }
    let ended = bed.post(&format!("{path}/expire"), BOB, &json!({})).await;
    assert_eq!((ended.status.as_u16(), &ended.json["state"]), (200, &json!("expired")), "{ended:?}");
    assert_eq!(ids(&bed.get("/v1/silences?state=open", BOB).await.json), Vec::<&str>::new());
    assert_eq!(ids(&bed.get("/v1/silences", BOB).await.json), [id]);
    assert_problem(&bed.post(&format!("{path}/expire"), BOB, &json!({})).await, 410, "gone", &[], "ended twice");
    assert!(told(&bed, 2).await.all.iter().all(|silence| silence.ends_at <= runtime::clock::now()));
    assert_problem(&bed.post("/v1/silences", "wrong", &wanted()).await, 401, "unauthorized", &[], "nobody");
}

#[tokio::test]
async fn what_would_mute_too_much_or_for_too_long_is_refused_by_name() {
    let bed = bed().await;
    let with = |field: &str, value: Value| {
        let mut wanted = wanted();
        wanted[field] = value;
        wanted
    };
    for (case, body, fields) in [
        ("no place", with("matchers", json!(["severity=\"warning\""])), vec!["/matchers"]),
        ("everything", with("matchers", json!([])), vec!["/matchers"]),
        ("no matcher", with("matchers", json!(["service=\"a\"", "service"])), vec!["/matchers/1"]),
        ("no reason", with("reason", json!(" ")), vec!["/reason"]),
        ("two months", with("minutes", json!(60 * 24 * 60)), vec!["/ends_at"]),
        ("no end", with("minutes", json!(null)), vec!["/ends_at"]),
        ("two ends", with("ends_at", json!("2030-01-01T00:00:00Z")), vec!["/ends_at"]),
        ("over", json!({"matchers": ["a=\"b\""], "reason": "r", "ends_at": "2020-01-01T00:00:00Z"}), vec!["/ends_at"]),
        ("mistyped", with("reasn", json!("x")), vec!["/reasn"]),
    ] {
        assert_problem(&bed.post("/v1/silences", ANN, &body).await, 422, "invalid", &fields, case);
    }
    assert_eq!(ids(&bed.get("/v1/silences", ANN).await.json), Vec::<&str>::new(), "nothing was made");
}

#[tokio::test]
async fn a_preview_names_what_would_have_been_muted() {
    let bed = bed().await;
    let fires = |service: &str, fingerprint: &str| What::AlertChanged {
        alert: "Slow".to_owned(),
        fingerprint: fingerprint.to_owned(),
        firing: true,
        labels: Labels::from([("service".to_owned(), service.to_owned())]),
    };
    let facts = vec![
        ("inc_1", opened("checkout is slow")),
        ("inc_1", fires("checkout", "a")),
        ("inc_1", fires("checkout", "a")),
        ("inc_1", fires("cart", "b")),
        ("inc_2", opened("mail is slow")),
        ("inc_2", fires("mail", "c")),
        ("inc_3", opened("checkout is slow again")),
        ("inc_3", fires("checkout", "d")),
        ("inc_3", What::Closed { outcome: "over".to_owned() }),
    ];
    record(&bed, facts).await;
    let preview = bed.post("/v1/silences/preview", ANN, &json!({"matchers": ["service=\"checkout\""]})).await.json;
    assert_eq!((&preview["alerts"], &preview["looked_at"]), (&json!(2), &json!(4)), "{preview}");
    let hit = |n: usize| {
        let hit = &preview["incidents"][n];
        (hit["incident"].clone(), hit["is_open"].clone(), hit["muted"].clone(), hit["alerts"].clone())
    };
    assert_eq!(hit(0), (json!("inc_3"), json!(false), json!(1), json!(1)));
    assert_eq!(hit(1), (json!("inc_1"), json!(true), json!(1), json!(2)));
    let nothing = bed.post("/v1/silences/preview", DEE, &json!({"matchers": ["service=\"checkout\""]})).await.json;
    assert_eq!(nothing["looked_at"], json!(0), "another tenant");
    let wide = bed.post("/v1/silences/preview", ANN, &json!({"matchers": ["severity=\"info\""]})).await;
    assert_problem(&wide, 422, "invalid", &["/matchers"], "too wide");
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Makes a silence in an Alertmanager.
async fn make(alertmanager: &Alertmanager, matchers: Value, comment: &str) -> String {
    let (starts_at, ends_at) = (runtime::clock::now(), runtime::clock::now() + std::time::Duration::from_hours(1));
    let body = json!({"matchers": matchers, "startsAt": starts_at, "endsAt": ends_at, "createdBy": "ben", "comment": comment});
    let url = format!("{}/api/v2/silences", alertmanager.url());
    let made: Value = http().post(&url).json(&body).send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    made["silenceID"].as_str().unwrap().to_owned()
}

/// Ends one there.
async fn end(alertmanager: &Alertmanager, id: &str) {
    let url = format!("{}/api/v2/silence/{id}", alertmanager.url());
    http().delete(url).send().await.unwrap().error_for_status().unwrap();
}

fn narrow() -> Value {
    json!([
        {"name": "service", "value": "checkout", "isRegex": false, "isEqual": true},
        {"name": "severity", "value": "info|warning", "isRegex": true, "isEqual": true}
    ])
}

fn wide() -> Value {
    json!([{"name": "severity", "value": "info", "isRegex": false, "isEqual": true}])
}

#[tokio::test]
async fn the_silences_of_an_alertmanager_are_taken_over_and_followed() {
    let bed = bed().await;
    let alertmanager = testkit::alertmanager(None, "route: { receiver: none }\nreceivers: [{ name: none }]\n").await.unwrap();
    let narrow = make(&alertmanager, narrow(), "the disk is replaced").await;
    let wide = make(&alertmanager, wide(), "quiet please").await;
    let url = format!("{}/api/v2/silences", alertmanager.url());
    let theirs = async || http().get(&url).send().await.unwrap().json::<Value>().await.unwrap();
    let imported = bed.post("/v1/silences/import", ANN, &theirs().await).await.json;
    assert_eq!((imported["imported"].as_array().unwrap().len(), &imported["skipped"][0]["alertmanager"]), (1, &json!(wide)));
    let again = bed.post("/v1/silences/import", BOB, &theirs().await).await.json;
    assert_eq!(again["imported"], imported["imported"], "one of theirs is one of ours");
    let list = bed.get("/v1/silences?state=open", ANN).await.json;
    let ours = &list["items"][0];
    assert_eq!(ids(&list).len(), 1);
    assert_eq!(ours["matchers"], json!(["service=\"checkout\"", "severity=~\"info|warning\""]));
    assert_eq!((&ours["owner"], &ours["reason"]), (&json!("ann"), &json!("the disk is replaced")));
    assert_eq!(ours["source"], json!({"source": "alertmanager", "id": narrow, "created_by": "ben"}));
    end(&alertmanager, &narrow).await;
    let ended = bed.post("/v1/silences/import", ANN, &theirs().await).await.json;
    assert_eq!((&ended["ended"], &ended["imported"]), (&imported["imported"], &json!([])));
    assert_eq!(ids(&bed.get("/v1/silences?state=open", ANN).await.json), Vec::<&str>::new());
}

/// How often an Alertmanager was looked at.
fn looks(result: &str) -> u64 {
    let line = format!("paramedic_gateway_silences_followed_total{{result=\"{result}\",tenant=\"acme\"}} ");
    let text = runtime::metrics::text();
    text.lines().find_map(|found| found.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

async fn looked(result: &str, more: u64) {
    let before = looks(result);
    let look = async || (looks(result) >= before + more).then_some(());
    testkit::eventually(&format!("{more} more looks that are {result}"), SOON, look).await.unwrap();
}

#[tokio::test]
async fn an_alertmanager_is_followed_by_itself() {
    let bed = bed().await;
    let alertmanager = testkit::alertmanager(None, "route: { receiver: none }\nreceivers: [{ name: none }]\n").await.unwrap();
    make(&alertmanager, wide(), "quiet please").await;
    let first = make(&alertmanager, narrow(), "the disk is replaced").await;
    let of =
        SilencesOf { alertmanager: alertmanager.url().parse().unwrap(), token: None, owner: "bob".parse().unwrap(), every_s: 1 };
    let following = Following::new(("acme".parse().unwrap(), of), bed.ballots.clone(), bed.store.clone()).unwrap();
    bed.life.spawn("silences of an Alertmanager", following.run(bed.life.clone()));
    let open = async || bed.get("/v1/silences?state=open", ANN).await.json;
    let has = async |count: usize| {
        // A busy machine may answer that the database does not.
        let are_so_many = |list: &Value| list["items"].as_array().is_some_and(|items| items.len() == count);
        let look = async || Some(open().await).filter(are_so_many);
        testkit::eventually(&format!("{count} silences"), SOON, look).await.unwrap()
    };
    let list = has(1).await;
    let ours = &list["items"][0];
    assert_eq!((&ours["owner"], &ours["source"]["id"]), (&json!("bob"), &json!(first)));
    looked("done", 2).await;
    assert_eq!(told(&bed, 1).await.all.len(), 1, "what is as it was is not told again");
    make(&alertmanager, narrow(), "and the other disk").await;
    has(2).await;
    end(&alertmanager, &first).await;
    has(1).await;
    drop(alertmanager);
    looked("failed", 2).await;
    // One that does not answer has ended nothing.
    has(1).await;
}
