//! The whole pipeline on real parts: what is promised, each as a test.

#[cfg(test)]
mod agents;
mod alerting;
mod answers;
#[cfg(test)]
mod audit;
mod change;
#[cfg(test)]
mod degraded;
#[cfg(test)]
mod forged;
mod kills;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod orders;
mod outage;
mod pipeline;
#[cfg(test)]
mod private;
#[cfg(test)]
mod rbac;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tidy;
mod trace;
#[cfg(test)]
mod watch;
