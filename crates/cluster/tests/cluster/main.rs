//! The cluster crate against a real API server with its real Deployment controller, and a real Prometheus.

mod changing;
mod metrics;
mod observing;
mod rights;
mod stage;
