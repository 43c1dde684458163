use super::*;

fn at(s: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + s, 0).unwrap()
}

fn matchers(texts: &[&str]) -> Vec<Matcher> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn silence(id: &str, texts: &[&str], (starts_s, ends_s): (i64, i64)) -> Silence {
    Silence {
        id: id.parse().unwrap(),
        owner: "ana".parse().unwrap(),
        reason: "known".to_owned(),
        matchers: matchers(texts),
        starts_at: at(starts_s),
        ends_at: at(ends_s),
        source: Source::Paramedic,
    }
}

fn labels(service: &str) -> Labels {
    [("alertname", "Slow"), ("service", service)].into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn what_would_mute_everything_is_refused() {
    for (texts, narrow) in [
        (vec!["service=\"checkout\""], true),
        (vec!["namespace=\"shop\"", "severity!=\"critical\""], true),
        (vec![], false),
        (vec!["severity=\"warning\""], false),
        (vec!["alertname=\"Slow\"", "severity=\"warning\""], false),
        (vec!["service=~\".+\""], false),
        (vec!["service!=\"checkout\""], false),
        (vec!["service=\"\""], false),
        (vec!["service=\"checkout\""; 21], false),
    ] {
        assert_eq!(check_scope(&matchers(&texts)).is_ok(), narrow, "{texts:?}");
    }
}

#[test]
fn a_silence_has_a_reason_and_an_end() {
    let day = 86_400;
    let good = silence("sil_1", &["service=\"checkout\""], (0, 3_600));
    let with = |reason: &str| Silence { reason: reason.to_owned(), ..good.clone() };
    let times = |times| silence("sil_1", &["service=\"checkout\""], times);
    for (silence, field) in [
        (good.clone(), None),
        (times((-100, 1)), None),
        (times((0, 30 * day)), None),
        (with("  "), Some("reason")),
        (with(&"x".repeat(1_001)), Some("reason")),
        (times((10, 10)), Some("ends_at")),
        (times((-100, -1)), Some("ends_at")),
        (times((0, 30 * day + 1)), Some("ends_at")),
        (times((31 * day, 32 * day)), Some("starts_at")),
    ] {
        assert_eq!(silence.check(at(0)).err().map(|error| error.field), field, "{silence:?}");
    }
}

#[test]
fn maintenance_is_open_when_it_says_and_each_week() {
    let (hour, week) = (3_600, 7 * 86_400);
    let window = |every| Maintenance {
        name: "upgrade".to_owned(),
        matchers: matchers(&["service=\"checkout\""]),
        starts_at: at(0),
        minutes: 60,
        every,
    };
    for (every, now_s, until_s) in [
        (Every::Once, -1, None),
        (Every::Once, 0, Some(hour)),
        (Every::Once, hour - 1, Some(hour)),
        (Every::Once, hour, None),
        (Every::Once, week, None),
        (Every::Week, -1, None),
        (Every::Week, hour, None),
        (Every::Week, week - 1, None),
        (Every::Week, week, Some(week + hour)),
        (Every::Week, 52 * week + hour - 1, Some(52 * week + hour)),
    ] {
        assert_eq!(window(every).open_until(at(now_s)), until_s.map(at), "{every:?} {now_s}");
    }
    assert_eq!(window(Every::Week).check(), Ok(()));
    let of = |minutes, every| Maintenance { minutes, ..window(every) }.check().err().map(|error| error.field);
    assert_eq!(
        [of(0, Every::Once), of(7 * 24 * 60, Every::Week), of(30 * 24 * 60 + 1, Every::Once), of(30 * 24 * 60, Every::Once)],
        [Some("minutes"), Some("minutes"), Some("minutes"), None]
    );
}

#[test]
fn an_incident_is_muted_while_all_of_its_alerts_are() {
    let silences = [
        silence("sil_1", &["service=\"checkout\""], (0, 100)),
        silence("sil_2", &["service=\"checkout\""], (50, 300)),
        silence("sil_3", &["service=\"cart\""], (0, 200)),
    ];
    let mutes = Mutes { silences: &silences, maintenance: &[] };
    for (services, now_s, until_s) in [
        (vec!["checkout"], 0, Some(100)),
        (vec!["checkout"], 60, Some(300)),
        (vec!["checkout", "cart"], 60, Some(200)),
        (vec!["checkout", "mail"], 60, None),
        (vec!["checkout", "cart"], 200, None),
        (vec!["checkout"], 300, None),
        (vec![], 60, None),
    ] {
        let of: Vec<Labels> = services.iter().map(|service| labels(service)).collect();
        assert_eq!(mutes.all(of.iter(), at(now_s)).map(|muted| muted.until), until_s.map(at), "{services:?} at {now_s}");
    }
}

#[test]
fn what_ended_long_ago_makes_room() {
    let mut silences = Silences::default();
    for n in 0..SILENCES_MAX {
        assert!(silences.put(silence(&format!("sil_{n}"), &["service=\"a\""], (0, 100)), at(0)));
    }
    assert!(!silences.put(silence("sil_more", &["service=\"a\""], (0, 100)), at(0)));
    assert!(silences.put(silence("sil_0", &["service=\"b\""], (0, 200)), at(0)), "one that is there is replaced");
    assert!(silences.put(silence("sil_more", &["service=\"a\""], (0, 9_000_000)), at(700_000)));
    assert_eq!(silences.all.len(), 1);
}
