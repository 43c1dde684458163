use super::*;
use crate::alert::AlertStatus;
use crate::alert::tests::alert;

fn key(name: &str) -> CorrelationKey {
    CorrelationKey(name.to_owned())
}

fn at(day: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(day)
}

fn of_key(from: &str, to: &str) -> Route {
    Route { of: Of::Key(key(from)), to: key(to), at: at(0) }
}

fn notification(addressed: &str, origin: Option<&str>, names: &[&str]) -> Notification {
    Notification {
        tenant: "acme".parse().unwrap(),
        group_key: "g".to_owned(),
        key: key(addressed),
        origin: origin.map(key),
        alerts: names.iter().map(|name| alert(name, AlertStatus::Firing, 1)).collect(),
        truncated_alerts: 0,
        heartbeat: None,
        received_at: None,
    }
}

/// Where alert `A` belongs that correlates under each of these.
fn places(routes: &Routes, keys: &[&str]) -> Vec<String> {
    keys.iter().map(|of| routes.place(&alert("A", AlertStatus::Firing, 1), &key(of)).0).collect()
}

#[test]
fn the_newest_word_counts_and_never_leads_in_a_circle() {
    let mut routes = Routes::default();
    routes.put(of_key("a", "b"));
    routes.put(of_key("b", "c"));
    assert_eq!(places(&routes, &["a", "b", "c"]), ["c", "c", "c"]);
    routes.put(of_key("c", "a"));
    assert_eq!(places(&routes, &["a", "b", "c"]), ["a", "a", "a"], "c into a: that a was once merged is forgotten");
    routes.put(Route { of: Of::Alert(alert("A", AlertStatus::Firing, 1).fingerprint), to: key("d"), at: at(0) });
    assert_eq!(places(&routes, &["a", "b"]), ["d", "d"], "what is said of an alert wins");
    routes.put(of_key("d", "e"));
    assert_eq!(places(&routes, &["a"]), ["e"], "and follows where that goes");
}

#[test]
fn who_stands_alone_has_nothing_merged_into_it() {
    let mut routes = Routes::default();
    routes.put(of_key("a", "b"));
    routes.alone(&key("b"), at(0));
    assert_eq!(places(&routes, &["a", "b"]), ["a", "b"]);
    assert!(routes.is_alone(&key("b")) && !routes.is_alone(&key("a")));
    routes.put(of_key("b", "a"));
    assert!(!routes.is_alone(&key("b")));
}

#[test]
fn what_was_said_long_ago_or_too_often_is_forgotten() {
    let mut routes = Routes::default();
    routes.put(of_key("a", "b"));
    routes.put(Route { at: at(91), ..of_key("x", "y") });
    assert_eq!(places(&routes, &["a"]), ["a"]);
    for n in 0..ROUTES_MAX {
        routes.put(Route { at: at(91), ..of_key(&format!("k{n}"), "z") });
    }
    assert_eq!(places(&routes, &["x", "k0"]), ["x", "z"]);
}

#[test]
fn alerts_are_brought_where_they_belong_and_back_under_another_name_each_time() {
    let mut routes = Routes::default();
    routes.put(Route { of: Of::Alert(alert("A", AlertStatus::Firing, 1).fingerprint), to: key("b"), at: at(0) });
    let (here, moved) = routes.sort(notification("a", None, &["A", "B"]));
    assert_eq!(here.unwrap().alerts.len(), 1);
    let [moved] = &*moved else { panic!("{moved:?}") };
    assert_eq!((&moved.key, &moved.origin), (&key("b"), &Some(key("a"))));
    let (here, away) = routes.sort(moved.clone());
    assert_eq!((here.as_ref(), away.len()), (Some(moved), 0), "it stays where it belongs");

    // Somebody who rests on older routes sends it back: that is no copy of what came before.
    let (here, back) = Routes(vec![of_key("x", "y")]).sort(moved.clone());
    assert_eq!((here, back[0].key.clone()), (None, key("a")));
    let (_, again) = routes.sort(back[0].clone());
    assert_eq!(again[0].key, key("b"));
    assert_ne!(again[0].message_id(), moved.message_id());
}
