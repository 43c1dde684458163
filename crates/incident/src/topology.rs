//! Which service depends on which: when one fails, those that call it fail as well, and all of that is one trouble with one origin.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Labels;

/// Labels that name the service of an alert, the first that is there.
const SERVICE: [&str; 2] = ["service", "deployment"];
/// The label of what keeps services of one name apart.
const CLUSTER: &str = "cluster";
/// Services of one file: all of them are walked for each incident.
const SERVICES_MAX: usize = 2_000;
/// What began longer apart is two troubles, not one.
const WINDOW_S_MAX: u32 = 86_400;

/// A tenant's services, as a file says: `topology.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// A service and what it depends on are one trouble if they fail within so many seconds.
    #[serde(default = "ten_minutes")]
    pub window_s: u32,
    /// By name, as the label `service` (or `deployment`) of alerts has it.
    pub services: BTreeMap<String, Service>,
}

fn ten_minutes() -> u32 {
    600
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Services without which it fails; each is listed itself.
    #[serde(default)]
    pub depends_on: BTreeSet<String>,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A name that is not listed is one that is mistyped.
    #[error("service {service} depends on {on}, which is not listed itself")]
    Unknown {
        /// Which.
        service: String,
        /// On what.
        on: String,
    },
    /// A service that waits for itself.
    #[error("service {service} depends on itself")]
    Itself {
        /// Which.
        service: String,
    },
    /// A number out of its bounds.
    #[error("{field} {rule}")]
    Field {
        /// Which.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
}

/// A service that fails, where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Failing {
    /// In which cluster; empty where alerts name none.
    pub cluster: String,
    /// Which.
    pub service: String,
}

impl Topology {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// The first thing that breaks a rule.
    pub fn check(&self) -> Result<(), TopologyError> {
        if self.services.len() > SERVICES_MAX {
            return Err(TopologyError::Field { field: "services", rule: "must be at most 2000" });
        }
        if !(1..=WINDOW_S_MAX).contains(&self.window_s) {
            return Err(TopologyError::Field { field: "window_s", rule: "must be 1 to 86400" });
        }
        for (name, service) in &self.services {
            if service.depends_on.contains(name) {
                return Err(TopologyError::Itself { service: name.clone() });
            }
            if let Some(on) = service.depends_on.iter().find(|on| !self.services.contains_key(*on)) {
                return Err(TopologyError::Unknown { service: name.clone(), on: on.clone() });
            }
        }
        Ok(())
    }

    /// The service that labels name, if it is one of ours.
    pub fn service(&self, labels: &Labels) -> Option<Failing> {
        let service = SERVICE.iter().find_map(|label| labels.get(*label))?;
        let cluster = labels.get(CLUSTER).cloned().unwrap_or_default();
        self.services.contains_key(service).then(|| Failing { cluster, service: service.clone() })
    }

    /// All that a service depends on, however far; in a circle that is the service itself, too.
    fn below<'a>(&'a self, service: &str) -> BTreeSet<&'a str> {
        let (mut found, mut next) = (BTreeSet::new(), vec![service]);
        while let Some(service) = next.pop() {
            for on in self.services.get(service).into_iter().flat_map(|service| &service.depends_on) {
                if found.insert(on.as_str()) {
                    next.push(on);
                }
            }
        }
        found
    }

    /// Why `failed` fails, if that is because another one does: the deepest of those that it depends on and that began to fail within the
    /// window. Of several that are equally deep the first to fail is the likely one; of those in a circle, too.
    pub fn origin<'a>(&self, failed: &Failing, failing: &'a BTreeMap<Failing, DateTime<Utc>>) -> Option<&'a Failing> {
        let since = *failing.get(failed)?;
        let window = TimeDelta::seconds(i64::from(self.window_s));
        let below = self.below(&failed.service);
        let is_near = |other: &Failing, at: DateTime<Utc>| {
            other.cluster == failed.cluster && below.contains(other.service.as_str()) && (at - since).abs() <= window
        };
        let near: Vec<(&Failing, DateTime<Utc>)> =
            failing.iter().map(|(other, at)| (other, *at)).filter(|(other, at)| is_near(other, *at)).collect();
        let is_deepest = |(one, _): &&(&Failing, DateTime<Utc>)| {
            let deeper = self.below(&one.service);
            let is_below = |other: &Failing| deeper.contains(other.service.as_str());
            let is_round = |other: &Failing| self.below(&other.service).contains(one.service.as_str());
            !near.iter().any(|(other, _)| other != one && is_below(other) && !is_round(other))
        };
        let origin = near.iter().filter(is_deepest).min_by_key(|(one, at)| (*at, *one)).map(|(one, _)| *one)?;
        (origin != failed).then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(pairs: &[(&str, &[&str])]) -> Topology {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let services = pairs.iter().map(|(name, on)| ((*name).to_owned(), Service { depends_on: owned(on) }));
        Topology { window_s: 600, services: services.collect() }
    }

    fn shop() -> Topology {
        topology(&[
            ("web", &["checkout", "search"]),
            ("checkout", &["payments", "cart"]),
            ("payments", &["postgres"]),
            ("cart", &["redis", "postgres"]),
            ("search", &["index"]),
            ("index", &["search"]),
            ("postgres", &[]),
            ("redis", &[]),
        ])
    }

    fn failing(cluster: &str, service: &str) -> Failing {
        Failing { cluster: cluster.to_owned(), service: service.to_owned() }
    }

    #[test]
    fn the_deepest_failing_dependency_is_the_origin() {
        type Row = (&'static str, &'static [(&'static str, i64)], Option<&'static str>);
        let rows: [Row; 12] = [
            ("checkout", &[("checkout", 0)], None),
            ("checkout", &[("checkout", 0), ("payments", 60)], Some("payments")),
            ("payments", &[("checkout", 0), ("payments", 60)], None),
            // The one between them need not fail itself.
            ("web", &[("web", 0), ("postgres", 10)], Some("postgres")),
            ("web", &[("web", 0), ("checkout", 5), ("payments", 6), ("postgres", 10)], Some("postgres")),
            ("payments", &[("web", 0), ("payments", 6), ("postgres", 10)], Some("postgres")),
            // Neither depends on the other.
            ("payments", &[("payments", 0), ("cart", 0)], None),
            // Two that are equally deep: the first to fail.
            ("cart", &[("cart", 30), ("redis", 20), ("postgres", 10)], Some("postgres")),
            ("cart", &[("cart", 30), ("redis", 10), ("postgres", 20)], Some("redis")),
            // Too long apart.
            ("checkout", &[("checkout", 601), ("payments", 0)], None),
            // In a circle the first to fail.
            ("search", &[("search", 10), ("index", 5)], Some("index")),
            ("index", &[("search", 10), ("index", 5)], None),
        ];
        for (failed, all, expected) in rows {
            let at = |s: &i64| DateTime::from_timestamp(*s, 0).unwrap();
            let all: BTreeMap<Failing, DateTime<Utc>> = all.iter().map(|(name, s)| (failing("", name), at(s))).collect();
            let found = shop().origin(&failing("", failed), &all).map(|found| found.service.clone());
            assert_eq!(found.as_deref(), expected, "{failed} of {all:?}");
        }
    }

    #[test]
    fn clusters_are_apart() {
        let at = DateTime::UNIX_EPOCH;
        let all = BTreeMap::from([(failing("a", "checkout"), at), (failing("b", "payments"), at)]);
        assert_eq!(shop().origin(&failing("a", "checkout"), &all), None);
    }

    #[test]
    fn a_service_is_known_by_its_labels() {
        let of =
            |pairs: &[(&str, &str)]| shop().service(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert_eq!(of(&[("service", "cart"), ("cluster", "eu")]), Some(failing("eu", "cart")));
        assert_eq!(of(&[("deployment", "cart")]), Some(failing("", "cart")));
        assert_eq!(of(&[("service", "mail")]), None, "nothing is known of it");
        assert_eq!(of(&[("alertname", "cart")]), None);
    }

    #[test]
    fn what_is_mistyped_is_named() {
        assert_eq!(shop().check(), Ok(()));
        let unknown = TopologyError::Unknown { service: "a".to_owned(), on: "b".to_owned() };
        assert_eq!(topology(&[("a", &["b"])]).check(), Err(unknown));
        assert_eq!(topology(&[("a", &["a"])]).check(), Err(TopologyError::Itself { service: "a".to_owned() }));
        let window = Topology { window_s: 0, ..shop() };
        assert!(matches!(window.check(), Err(TopologyError::Field { field: "window_s", .. })));
    }
}
