//! Customers: a steady stream of requests to each Deployment, answered by the pods that are ready.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::behaviour::Behaviour;

/// How often customers send requests, and how many at a time: 100/s, so that a scrape each second sees a smooth rate.
const EVERY: Duration = Duration::from_millis(200);
const REQUESTS: f64 = 20.0;

/// One of the shop's pods as the customers see it.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) workload: Workload,
    pub(super) behaviour: Behaviour,
    pub(super) ready: bool,
}

/// The labels of a counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Workload {
    pub(super) namespace: String,
    pub(super) deployment: String,
    pub(super) service: String,
}

/// Fractions are kept, so that a ratio of 1 % shows within seconds and no rounding adds up.
#[derive(Debug, Default)]
struct Counts {
    succeeded: f64,
    failed: f64,
}

/// All pods and all counters.
#[derive(Default)]
pub(super) struct Traffic {
    pods: BTreeMap<(String, String), Pod>,
    counts: BTreeMap<Workload, Counts>,
}

/// Sends requests for ever.
pub(super) async fn run(traffic: Arc<Mutex<Traffic>>) {
    let mut tick = interval(EVERY);
    // A busy machine must not look like fewer customers.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        tick.tick().await;
        lock(&traffic).advance();
    }
}

pub(super) fn lock(traffic: &Mutex<Traffic>) -> MutexGuard<'_, Traffic> {
    // Nothing here panics half way, so what a panicking holder leaves behind is sound.
    traffic.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Traffic {
    pub(super) fn put(&mut self, namespace: &str, name: &str, pod: Pod) {
        self.pods.insert((namespace.to_owned(), name.to_owned()), pod);
    }

    pub(super) fn remove(&mut self, namespace: &str, name: &str) {
        self.pods.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Forgets a namespace's pods: they are about to be listed again.
    pub(super) fn clear(&mut self, namespace: &str) {
        self.pods.retain(|(of, _), _| of != namespace);
    }

    /// One round of requests to every workload that has pods.
    fn advance(&mut self) {
        let mut pods_of: BTreeMap<&Workload, Vec<&Pod>> = BTreeMap::new();
        for pod in self.pods.values() {
            pods_of.entry(&pod.workload).or_default().push(pod);
        }
        for (workload, pods) in pods_of {
            let ready: Vec<f64> = pods
                .into_iter()
                .filter(|pod| pod.ready)
                .map(|pod| match pod.behaviour {
                    Behaviour::Serves { error_ratio } => error_ratio,
                    Behaviour::Crashes => 1.0,
                })
                .collect();
            // Customers come when the shop has opened. From then on, with nobody ready, every request fails.
            if let Some(counts) = self.counts.get_mut(workload) {
                counts.add(&ready);
            } else if !ready.is_empty() {
                self.counts.entry(workload.clone()).or_default().add(&ready);
            }
        }
    }

    /// The counters in Prometheus' text format 0.0.4.
    pub(super) fn exposition(&self) -> String {
        let mut text =
            String::from("# HELP http_requests_total Requests answered, by status code.\n# TYPE http_requests_total counter\n");
        for (workload, counts) in &self.counts {
            let Workload { namespace, deployment, service } = workload;
            for (code, count) in [("200", counts.succeeded), ("500", counts.failed)] {
                let _ = writeln!(
                    text,
                    "http_requests_total{{service=\"{service}\",namespace=\"{namespace}\",\
                     deployment=\"{deployment}\",code=\"{code}\"}} {:.0}",
                    count.floor()
                );
            }
        }
        text
    }
}

impl Counts {
    /// One round, spread evenly over pods with these error ratios.
    fn add(&mut self, ratios: &[f64]) {
        let pods = u32::try_from(ratios.len()).unwrap_or(u32::MAX);
        let failing = if pods == 0 { 1.0 } else { ratios.iter().sum::<f64>() / f64::from(pods) };
        self.failed += REQUESTS * failing;
        self.succeeded += REQUESTS * (1.0 - failing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, ready: bool) -> Pod {
        let workload = Workload { namespace: "shop".into(), deployment: "checkout".into(), service: "checkout".into() };
        Pod { workload, behaviour: Behaviour::of(image), ready }
    }

    /// Failed and succeeded requests of one round with these pods, the shop being open already.
    fn round(pods: &[Pod]) -> (f64, f64) {
        let mut traffic = Traffic::default();
        traffic.counts.insert(pod("", true).workload, Counts::default());
        for (index, pod) in pods.iter().enumerate() {
            traffic.put("shop", &index.to_string(), pod.clone());
        }
        traffic.advance();
        let counts = traffic.counts.values().next().unwrap();
        (counts.failed, counts.succeeded)
    }

    #[test]
    fn errors_follow_the_ready_pods() {
        for (pods, expected) in [
            (vec![pod("shop:v1", true), pod("shop:v1", true)], (0.0, 20.0)),
            (vec![pod("shop:v1", true), pod("shop:v2-err50", true)], (5.0, 15.0)),
            (vec![pod("shop:v1", true), pod("shop:v2-err50", false)], (0.0, 20.0)),
            (vec![pod("shop:v3-bad-crash", false)], (20.0, 0.0)),
            (vec![], (0.0, 0.0)),
        ] {
            assert_eq!(round(&pods), expected, "{pods:?}");
        }
    }

    #[test]
    fn nobody_asks_before_the_shop_has_opened() {
        let mut traffic = Traffic::default();
        traffic.put("shop", "first", pod("shop:v1", false));
        traffic.advance();
        assert!(!traffic.exposition().contains("code="));
        traffic.put("shop", "first", pod("shop:v1", true));
        traffic.advance();
        assert!(traffic.exposition().contains("code=\"200\"} 20\n"));
        assert!(traffic.exposition().contains("code=\"500\"} 0\n"));
    }
}
