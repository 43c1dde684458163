//! Days of Paramedic, played in memory: the real agents and the real handling machine, on a bus, a store and providers that behave as badly
//! as the real ones may, under a clock and a chance that are a seed's. After every step the promises P1 to P12 are asked.
//!
//! | to read | what |
//! |---|---|
//! | [`scenario`], [`expected`] | what happens on a day, and what must be so at its end |
//! | [`faults`], [`choices`] | what goes wrong besides, by chance, and how chance is made repeatable |
//! | `service`, `store`, `log` | the shell: replicas that die and stand still, around the machine in `incident::handling` |
//! | `outside`, `perform`, `people` | clusters, chat, tracker, metrics, people, and how they are asked |
//! | `world` | one step after the other, and the promises after each |
//! | [`run`], [`shrink`] | playing a seed; making a failure short enough to read |
//! | [`mutation`] | mistakes on purpose, to see that they are noticed |
//!
//! It never decides anything about incidents, and nothing of it is part of the product. What it leaves out:
//!
//! - A process that stands still between its last look at its lease and the first byte of its call. No holder of a lease can notice.
//! - A card or issue whose edit is overtaken on its way. A call of a process that lost its lease may still be under way when the new
//!   holder's has ended and the next edit is made; chats and trackers have no edit that is refused when it is old. Such places are not asked
//!   what they show at the end (P9).
//! - What Postgres, NATS and the providers really do. There are tests on real parts for that, which can play the same scenarios.

pub mod choices;
mod env;
pub mod expected;
pub mod faults;
mod log;
pub mod mutation;
mod outside;
mod people;
mod perform;
pub mod run;
pub mod scenario;
mod scene;
mod service;
pub mod shrink;
mod store;
pub mod trace;
mod witness;
mod world;
