//! The HTTP edge: Alertmanager's webhook, Slack's buttons, the API of people.
//!
//! It knows who calls, takes what keeps the rules, and hands it on: alerts to the bus, people's answers to the ballots. It decides
//! nothing about incidents, and changes nothing outside.

mod agents;
mod alertmanager;
mod approvals;
mod body;
mod config;
mod count;
mod edge;
mod incidents;
mod interactions;
mod json;
mod listen;
mod orders;
mod page;
mod problem;
pub mod reading;
mod replies;
mod routes;
mod silences;
mod slack;
mod tenants;
mod webhook;

pub use agents::{Agents, AgentsError, Tell, Ways, WaysError};
pub use config::{A2aClient, A2aEdge, BadDigest, Grpc, Person, Signing, SilencesOf, SlackEdge, TenantEdge, TokenDigest};
pub use edge::Parts;
pub use listen::serve;
pub use replies::Replies;
pub use routes::{Routers, routers};
pub use silences::Following;
pub use tenants::{Tenants, TenantsError};
