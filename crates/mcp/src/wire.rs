//! Names both sides of an MCP call agree on (specification revision 2026-07-28).

/// The protocol revision our client speaks: stateless, so that a call needs no handshake and a
/// restarted server is met like any other.
pub(crate) const PROTOCOL_VERSION: &str = "2026-07-28";

/// `_meta` key of the protocol revision, required on every request.
pub(crate) const META_PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// `_meta` key of the client's capabilities, required on every request.
pub(crate) const META_CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// `_meta` key of who calls.
pub(crate) const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

/// `_meta` key of the W3C trace context (SEP-414).
pub(crate) const META_TRACEPARENT: &str = "traceparent";

/// Our `_meta` key: milliseconds the caller will wait. A connector that cannot finish by then
/// answers with a fault instead of working for nobody.
pub(crate) const META_BUDGET_MS: &str = "paramedic.dev/budgetMs";
