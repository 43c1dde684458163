//! One connectors process with a Slack and a Jira behind it.

use std::net::SocketAddr;
use std::time::Duration;

use mcp::{CallError, Client, ToolFault};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::fakes::jira::{JiraFake, JiraOptions};
use testkit::fakes::slack::{SlackFake, SlackOptions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const TOKEN: &str = "connectors-test-token";
pub(crate) const CHANNEL: &str = "C0INCIDENTS";

/// How long a given-up request may still be under way.
const SETTLE_MS: u64 = 1_000;

/// Longer than any provider of these tests needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct World {
    pub(crate) slack: SlackFake,
    pub(crate) jira: JiraFake,
    pub(crate) address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
    config: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(SlackOptions::default(), JiraOptions::default(), json!({})).await
    }

    /// `policy` replaces parts of the outgoing policy of both providers.
    pub(crate) async fn with(slack: SlackOptions, jira: JiraOptions, policy: Value) -> Self {
        let slack = SlackFake::start(slack).await.expect("start Slack");
        let jira = JiraFake::start(jira).await.expect("start Jira");
        let account = jira.options();
        let config = json!({
            "surface": { "token": TOKEN },
            "slack": {
                "token": slack.options().token, "base_url": slack.base_url(), "settle_ms": SETTLE_MS, "policy": policy,
            },
            "jira": {
                "site_url": jira.base_url(), "email": account.email, "token": account.api_token,
                "index_lag_ms": 600, "settle_ms": SETTLE_MS, "policy": policy,
            },
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let server = serve(&config, listener);
        Self { slack, jira, address, server, config }
    }

    pub(crate) fn url(&self, connector: &str) -> String {
        format!("http://{}/mcp/{connector}", self.address)
    }

    pub(crate) fn client(&self, connector: &str) -> Client {
        let url = self.url(connector).parse().expect("url");
        Client::connect(url, SecretString::from(TOKEN)).expect("client")
    }

    /// Calls a tool and returns its result as JSON.
    pub(crate) async fn call(&self, connector: &str, tool: &str, args: Value) -> Result<Value, CallError> {
        self.client(connector).call(tool, &args, PATIENCE).await
    }

    /// Calls a tool that must fail with a typed fault.
    pub(crate) async fn fault(&self, connector: &str, tool: &str, args: Value) -> ToolFault {
        let error = self.call(connector, tool, args).await.expect_err("must fail");
        error.fault().unwrap_or_else(|| panic!("no typed fault: {error}")).clone()
    }

    /// Stops the connectors, cutting every connection.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Starts them again at the same address.
    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("bind again");
        self.server = serve(&self.config, listener);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn serve(config: &Value, listener: TcpListener) -> tokio::task::JoinHandle<()> {
    let config = serde_json::from_value(config.clone()).expect("config");
    let join = Some(crate::surface::remember_trace as mcp::server::JoinTrace);
    let router = connectors::router(config, &CancellationToken::new(), join).expect("router");
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    })
}
