//! The bus on a real nats-server, with every acknowledged message on disk and every user's rights in force.

#[path = "bus/stage.rs"]
mod stage;

#[path = "bus/dead.rs"]
mod dead;
#[path = "bus/deliveries.rs"]
mod deliveries;
#[path = "bus/intake.rs"]
mod intake;
#[path = "bus/permissions.rs"]
mod permissions;
#[path = "bus/publishing.rs"]
mod publishing;
#[path = "bus/streams.rs"]
mod streams;
