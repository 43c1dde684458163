//! Tests only: real servers, provider fakes, and waiting without sleeping.
//!
//! Every server here is the real program. Those that are quick to start (NATS, Prometheus, Alertmanager) are private to
//! the test that asks. The slow ones (PostgreSQL, Kubernetes) are shared by a run of `testbed CMD`, each test with a
//! database or namespace of its own; without a testbed each test starts its own, which is slower and just as right.
//! Nothing in here may be used by anything but tests.

mod approved;
mod eventually;
pub mod fakes;
mod folder;
mod kubernetes;
mod monitoring;
mod nats;
mod otlp;
mod postgres;
mod wire;

pub use approved::approved;
pub use eventually::eventually;
pub use folder::Folder;
pub use kubernetes::{Cluster, KUBECONFIG_VARIABLE, kubernetes, private_kubernetes};
pub use local::install::Suite;
pub use monitoring::{Alertmanager, Prometheus, alertmanager, prometheus};
pub use nats::{Nats, nats, nats_cluster};
pub use otlp::{OtlpSink, Span, otlp_sink};
pub use postgres::{Database, POSTGRES_VARIABLE, PrivatePostgres, postgres_database, private_postgres};
pub use wire::{Wire, WireFault};

/// Where the programs are, and a place for the installers' progress: the test's output.
pub fn programs() -> (local::install::Environment, impl Fn(&str) + Send + Sync) {
    (local::install::Environment::from_process(), |line: &str| eprintln!("{line}"))
}
