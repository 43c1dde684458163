//! Alertmanager of three versions, and the trace sink: what goes in comes out.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::{Value, json};
use testkit::{Suite, eventually};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{SOON, process};

async fn notifications() -> Result<(String, UnboundedReceiver<Value>)> {
    async fn keep(State(kept): State<UnboundedSender<Value>>, Json(body): Json<Value>) {
        // A test that has ended listens no more.
        drop(kept.send(body));
    }
    let (sender, receiver) = unbounded_channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}/hook", listener.local_addr()?);
    let routes = Router::new().route("/hook", post(keep)).with_state(sender);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok((url, receiver))
}

fn config(webhook: &str) -> String {
    let config = json!({
        "route": {"receiver": "hook", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": true}]}],
    });
    format!("{config:#}\n")
}

fn client() -> Result<reqwest::Client> {
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

async fn check(suite: Suite, has_reason: bool) -> Result<()> {
    let (webhook, mut received) = notifications().await?;
    let mut alertmanager = testkit::alertmanager(Some(suite), &config(&webhook)).await?;
    let alert = json!([{"labels": {"alertname": "HighErrorRatio", "service": "checkout"}}]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    client()?.post(url).json(&alert).send().await?.error_for_status()?;
    let notification = tokio::time::timeout(SOON, received.recv()).await?.context("a notification")?;
    let at = |pointer: &str| notification.pointer(pointer).and_then(Value::as_str);
    ensure!(at("/version") == Some("4") && at("/status") == Some("firing"), "{notification}");
    ensure!(at("/alerts/0/labels/service") == Some("checkout"), "{notification}");
    ensure!(notification.get("notification_reason").is_some() == has_reason, "another version? {notification}");

    let refused = alertmanager.running.reload("route: nonsense").await;
    ensure!(matches!(refused, Err(local::Error::Configuration { .. })), "{refused:?}");
    let pid = process(alertmanager.server().pid())?;
    alertmanager.server().stop().await?;
    ensure!(nix::sys::signal::kill(pid, None).is_err(), "stopped is gone");
    Ok(())
}

#[tokio::test]
async fn alertmanager_0_25_notifies() -> Result<()> {
    check(Suite::Bookworm, false).await
}

#[tokio::test]
async fn alertmanager_0_28_notifies() -> Result<()> {
    check(Suite::Trixie, false).await
}

#[tokio::test]
async fn alertmanager_0_33_notifies() -> Result<()> {
    check(Suite::Forky, true).await
}

#[tokio::test]
async fn spans_are_decoded() -> Result<()> {
    let sink = testkit::otlp_sink().await?;
    let url = format!("{}/v1/traces", sink.endpoint());
    let refused = client()?.post(&url).body("not protobuf").send().await?;
    ensure!(refused.status() == 400);

    let wire = |name: &str, span: u8, parent: &[u8]| Span {
        name: name.into(),
        trace_id: vec![7; 16],
        span_id: vec![span; 8],
        parent_span_id: parent.to_vec(),
        ..Span::default()
    };
    let spans = vec![wire("webhook", 1, &[]), wire("rollback", 2, &[1; 8])];
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let sent = client()?.post(&url).header("content-type", "application/x-protobuf").body(body).send();
    sent.await?.error_for_status()?;

    let trace = sink.await_trace(SOON, |spans| spans.len() == 2).await?;
    ensure!(trace[1].parent_span_id == trace[0].span_id && trace[1].trace_id == "07".repeat(16));
    eventually("a span that was never sent", std::time::Duration::ZERO, async || {
        sink.spans().into_iter().find(|span| span.name == "none")
    })
    .await
    .expect_err("nothing is made up");
    Ok(())
}
