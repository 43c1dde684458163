//! The MCP surface itself: who gets in, what is listed, how fast it is.

use std::sync::Mutex;

use mcp::{CallError, Client};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::world::{CHANNEL, PATIENCE, TOKEN, World};

static TRACES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What a process with telemetry would do with a caller's `traceparent`.
pub(crate) fn remember_trace(_: &tracing::Span, traceparent: &str) {
    TRACES.lock().expect("lock").push(traceparent.to_owned());
}

/// A bare JSON-RPC request, as another client might send it.
async fn raw(world: &World, connector: &str, headers: &[(&str, &str)], body: &Value) -> reqwest::Response {
    let mut map = HeaderMap::new();
    let usual = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
    for (name, value) in usual.iter().chain(headers) {
        let name = HeaderName::try_from(*name).expect("name");
        map.insert(name, HeaderValue::from_str(value).expect("value"));
    }
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    http.post(world.url(connector)).headers(map).body(body.to_string()).send().await.expect("sent")
}

/// `tools/list` in the stateless revision.
async fn list_tools(world: &World, connector: &str) -> Vec<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "0" },
    } } });
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
    let answer: Value = raw(world, connector, &headers, &body).await.json().await.expect("JSON");
    answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test]
async fn only_the_bearer_of_the_token_gets_in() {
    let world = World::start().await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (authorization, challenge) in [
        (None, "Bearer realm=\"paramedic connectors\""),
        (Some("Basic eDp5"), "Bearer realm=\"paramedic connectors\""),
        (Some("Bearer wrong"), "error=\"invalid_token\""),
        (Some("Bearer connectors-test-toke"), "error=\"invalid_token\""),
        (Some("Bearer connectors-test-token2"), "error=\"invalid_token\""),
    ] {
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let answer = raw(&world, "slack", &headers, &body).await;
        assert_eq!(answer.status(), 401, "{authorization:?}");
        let said = answer.headers()["www-authenticate"].to_str().expect("text").to_owned();
        assert!(said.contains(challenge), "{said}");
    }
    let url = world.url("slack").parse().expect("url");
    let stranger = Client::connect(url, SecretString::from("not the token")).expect("client");
    let error = stranger.call::<Value>("post_message", &json!({}), PATIENCE).await.expect_err("401");
    assert!(matches!(error, CallError::Status { status: 401, .. }), "{error}");
    assert!(!error.is_retryable() && !error.may_have_happened());
}

#[tokio::test]
async fn foreign_hosts_and_origins_and_large_bodies_are_refused() {
    let world = World::start().await;
    let bearer = format!("Bearer {TOKEN}");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (name, value) in [("host", "evil.example"), ("origin", "https://evil.example")] {
        let headers = [("authorization", bearer.as_str()), (name, value)];
        assert_eq!(raw(&world, "jira", &headers, &body).await.status(), 403, "{name}");
    }
    let large = json!({ "jsonrpc": "2.0", "id": 1, "method": "x".repeat(1_100_000) });
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(raw(&world, "jira", &headers, &large).await.status(), 413);
}

#[tokio::test]
async fn every_tool_is_described_and_closed() {
    let world = World::start().await;
    let mut size = 0;
    for (connector, names) in [
        ("slack", ["post_ephemeral", "post_message", "update_message"]),
        ("jira", ["add_comment", "create_issue", "transition_issue"]),
    ] {
        let tools = list_tools(&world, connector).await;
        let listed: Vec<_> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        assert_eq!(listed, names);
        assert_eq!(tools, list_tools(&world, connector).await, "the order is fixed");
        for tool in &tools {
            size += tool.to_string().len();
            for name in ["title", "description"] {
                assert!(tool[name].as_str().is_some_and(|text| !text.is_empty()), "{tool}");
            }
            for hint in ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"] {
                assert!(tool["annotations"][hint].is_boolean(), "{hint}: {tool}");
            }
            for schema in ["inputSchema", "outputSchema"] {
                assert!(jsonschema::meta::is_valid(&tool[schema]), "{tool}");
                assert_eq!(tool[schema]["type"], "object");
            }
            assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool}");
        }
    }
    // About four characters a token: both lists together are a fraction of a model's attention.
    assert!(size / 4 < 3_000, "the tool lists have grown to {size} characters");
}

#[tokio::test]
async fn results_are_what_the_output_schemas_promise() {
    let world = World::start().await;
    let message = json!({ "channel": CHANNEL, "text": "x", "idempotency_key": "k" });
    let posted = world.call("slack", "post_message", message).await.expect("posted");
    let issue = json!({ "project": "OPS", "issue_type": "Task", "summary": "s", "idempotency_key": "k" });
    let created = world.call("jira", "create_issue", issue).await.expect("created");
    for (connector, tool, result) in [("slack", "post_message", posted), ("jira", "create_issue", created)] {
        let tools = list_tools(&world, connector).await;
        let listed = tools.iter().find(|listed| listed["name"] == tool).expect("listed");
        let schema = jsonschema::validator_for(&listed["outputSchema"]).expect("schema");
        assert!(schema.is_valid(&result), "{result}");
        assert!(!schema.is_valid(&json!({ "other": 1 })));
    }
}

#[tokio::test]
async fn unknown_tools_and_arguments_are_refused_for_good() {
    let world = World::start().await;
    let mut misspelt = json!({ "channel": CHANNEL, "text": "x", "idempotency_key": "k" });
    misspelt["tread_ts"] = json!("1.2");
    for (tool, args) in [("delete_channel", json!({})), ("post_message", misspelt), ("post_message", json!({}))] {
        let error = world.call("slack", tool, args).await.expect_err("refused");
        assert!(matches!(error, CallError::Refused { .. }), "{tool}: {error:?}");
    }
    assert!(world.slack.calls().is_empty());
}

/// The SDK's own client, in both wire versions it negotiates.
#[tokio::test]
async fn any_mcp_client_can_use_them() {
    let world = World::start().await;
    let config = StreamableHttpClientTransportConfig::with_uri(world.url("slack")).auth_header(TOKEN);
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    let transport = StreamableHttpClientTransport::with_client(http, config);
    let client = ().serve(transport).await.expect("negotiated");
    let tools = client.list_all_tools().await.expect("listed");
    assert_eq!(tools.len(), 3);
    let args = json!({ "channel": CHANNEL, "text": "from the SDK", "idempotency_key": "k" });
    let args = args.as_object().expect("object").clone();
    let params = CallToolRequestParams::new("post_message").with_arguments(args);
    let result = client.call_tool(params).await.expect("called");
    assert_eq!(result.structured_content.expect("structured")["already"], false);
    client.cancel().await.expect("closed");
    assert_eq!(world.slack.messages()[0].text, "from the SDK");
}

#[tokio::test]
async fn clients_of_the_older_wire_version_are_served_without_a_session() {
    let world = World::start().await;
    let bearer = format!("Bearer {TOKEN}");
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "old", "version": "1" },
    } });
    let answer = raw(&world, "jira", &[("authorization", &bearer)], &hello).await;
    assert!(answer.headers().get("mcp-session-id").is_none());
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(answer["result"]["serverInfo"]["name"], "paramedic-jira");

    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "create_issue",
        "arguments": { "project": "OPS", "issue_type": "Task", "summary": "s", "idempotency_key": "k" },
    } });
    let headers = [("authorization", bearer.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let answer: Value = raw(&world, "jira", &headers, &call).await.json().await.expect("JSON");
    assert_eq!(answer["result"]["structuredContent"]["key"], "OPS-1", "{answer}");
}

#[tokio::test]
async fn the_callers_trace_reaches_the_tool() {
    let world = World::start().await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    let args = json!({ "channel": CHANNEL, "text": "x", "idempotency_key": "k" });
    let client = world.client("slack").traced(traceparent);
    client.call::<Value>("post_message", &args, PATIENCE).await.expect("posted");
    assert!(TRACES.lock().expect("lock").iter().any(|seen| seen == traceparent));
}

#[tokio::test]
async fn calls_are_counted_by_outcome() {
    let world = World::start().await;
    let good = json!({ "channel": CHANNEL, "text": "x", "idempotency_key": "k" });
    world.call("slack", "post_message", good).await.expect("posted");
    let bad = json!({ "channel": "nowhere", "text": "x", "idempotency_key": "k" });
    world.fault("slack", "post_message", bad).await;
    let families = prometheus::gather();
    let text = prometheus::TextEncoder::new().encode_to_string(&families).expect("text");
    for line in [
        r#"paramedic_connector_calls_total{connector="slack",outcome="ok",tool="post_message"}"#,
        r#"paramedic_connector_calls_total{connector="slack",outcome="invalid",tool="post_message"}"#,
        r#"paramedic_connector_call_seconds_count{connector="slack",tool="post_message"}"#,
        r#"paramedic_provider_requests_total{outcome="ok",provider="slack"}"#,
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn a_short_token_is_no_token() {
    let config = json!({ "surface": { "token": "short" }, "slack": { "token": "x" } });
    let config = serde_json::from_value(config).expect("config");
    let refused = connectors::router(config, &tokio_util::sync::CancellationToken::new(), None);
    assert!(refused.is_err());
}
