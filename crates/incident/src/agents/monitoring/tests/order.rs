//! In whatever order, and however often, alerts are told: what comes of them is the same.

use proptest::prelude::*;

use super::*;

/// Episodes of three alerts, each told when it begins and when it ends; the last one of an alert may go on.
fn tellings() -> impl Strategy<Value = Vec<Alert>> {
    let episodes = prop::collection::vec(1..5_i64, 1..4);
    let one = (episodes, any::<bool>());
    prop::collection::vec(one, 1..4).prop_map(|alerts| {
        let mut told = vec![];
        for (name, (lengths, goes_on)) in ["A", "B", "c"].into_iter().zip(alerts) {
            let (mut start, last) = (0, lengths.len() - 1);
            for (n, length) in lengths.into_iter().enumerate() {
                told.push(told_alert(name, AlertStatus::Firing, start, start));
                if n < last || !goes_on {
                    told.push(told_alert(name, AlertStatus::Resolved, start, start + length));
                }
                start += length + 1;
            }
        }
        told
    })
}

proptest! {
    /// Whatever comes doubled, late or out of order: what fires in the end is what fires, and all of it is over if nothing does.
    #[test]
    fn the_order_of_what_is_told_does_not_matter(told in tellings(), order in prop::collection::vec(any::<prop::sample::Index>(), 30)) {
        let mut deliveries = vec![];
        let mut left = told.clone();
        for index in &order {
            if left.is_empty() {
                // Late copies.
                deliveries.push(told[index.index(told.len())].clone());
            } else {
                deliveries.push(left.remove(index.index(left.len())));
            }
        }
        prop_assume!(left.is_empty());
        let mut course = Course::new(Lifecycle { flap_changes: 0, ..Lifecycle::default() });
        for (second, alert) in (0..).zip(deliveries) {
            course.until(second);
            course.alerts(vec![alert]);
        }
        let newest = |name: &Alert| told.iter().filter(|alert| alert.fingerprint == name.fingerprint).map(|alert| alert.starts_at).max();
        let ended = |alert: &Alert| told.iter().any(|other| {
            other.fingerprint == alert.fingerprint && other.starts_at == alert.starts_at && other.status == AlertStatus::Resolved
        });
        let mut firing: Vec<&str> =
            told.iter().filter(|alert| newest(alert) == Some(alert.starts_at) && !ended(alert)).map(Alert::name).collect();
        firing.sort_unstable();
        let open = course.open();
        let mut found: Vec<&str> = open.firing().map(Alert::name).collect();
        found.sort_unstable();
        prop_assert_eq!(&found, &firing);
        let is_at_rest = matches!(course.entity.as_ref().map(|entity| &entity.state), Some(Incident::Resting { .. }));
        prop_assert_eq!(is_at_rest, firing.is_empty());
        let count = |word: &str| course.log.iter().filter(|logged| *logged == word).count();
        prop_assert_eq!(count("closed"), count("reopened") + usize::from(is_at_rest));
        prop_assert_eq!(count("opened"), 1);
    }
}
