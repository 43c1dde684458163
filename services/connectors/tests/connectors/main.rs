//! The connectors as an MCP client meets them: over HTTP, against providers that enforce their
//! contract and misbehave on demand.

// `cfg(test)` is always true here; it tells clippy that all of this is test code, helpers included.
#[cfg(test)]
mod contract;
#[cfg(test)]
mod jira;
#[cfg(test)]
mod slack;
#[cfg(test)]
mod surface;
#[cfg(test)]
mod world;
