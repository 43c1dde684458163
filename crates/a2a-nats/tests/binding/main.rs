//! The binding on a real nats-server, over a service that answers whatever a test wants.

#[cfg(test)]
mod proxy;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod script;
#[cfg(test)]
mod stage;

#[cfg(test)]
mod discovery;
#[cfg(test)]
mod fairness;
#[cfg(test)]
mod large;
#[cfg(test)]
mod load;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod page;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod streams;
