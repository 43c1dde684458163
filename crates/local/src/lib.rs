//! Private servers on this machine: finds or installs their binaries, starts them on loopback, watches them, stops them.
//!
//! Used by `make up`, `make demo` and the tests, so that all three run the very same real servers. Nothing here listens
//! on anything but 127.0.0.1, and nothing stops a process that it did not start itself. It must never become part of a
//! deployment: there, servers are somebody else's.

pub mod alertmanager;
mod error;
pub mod install;
pub mod kubernetes;
pub mod nats;
mod pki;
mod ports;
pub mod postgres;
mod probe;
pub mod prometheus;
mod server;
pub mod shop;
mod spawn;

pub use error::{Error, Result};
pub use ports::free as free_ports;
pub use server::Server;
