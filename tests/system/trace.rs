//! One trace runs from the webhook to the rollback.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use incident::task::Phase;
use testkit::Span;

use crate::pipeline::{Ending, Options, Pipeline};

fn is(span: &Span, name: &str, attribute: (&str, &str)) -> bool {
    span.name == name && span.attributes.get(attribute.0).is_some_and(|value| value == attribute.1)
}

/// For a failed test: which spans there are, with what tells them apart.
fn names(spans: &[Span]) -> BTreeSet<String> {
    let name = |span: &Span| format!("{} {:?} {:?}", span.name, span.attributes.get("role"), span.attributes.get("effect"));
    spans.iter().map(name).collect()
}

#[tokio::test]
async fn one_trace_runs_from_the_webhook_to_the_rollback() -> Result<()> {
    let sink = testkit::otlp_sink().await?;
    let pipeline = Pipeline::with(Options { otlp: Some(sink.endpoint()), ..Options::default() }).await?;
    pipeline.break_shop().await?;
    pipeline.approve_in_slack().await?;
    pipeline.in_phase(Phase::Resolved).await?;
    pipeline.settled(Ending::REPAIRED).await?;

    let wanted = [
        ("webhook", ("tenant", "acme")),
        ("handle", ("role", "monitoring")),
        ("handle", ("role", "diagnostics")),
        ("effect", ("effect", "collect")),
        ("handle", ("role", "remediation")),
        ("handle", ("role", "gateway")),
        ("effect", ("effect", "chat-card")),
        ("effect", ("effect", "draft")),
        ("effect", ("effect", "apply")),
        ("effect", ("effect", "probe")),
    ];
    let missing = |spans: &[Span]| -> Vec<&str> {
        let misses = |(name, attribute): &&(&str, (&str, &str))| !spans.iter().any(|span| is(span, name, *attribute));
        wanted.iter().filter(misses).map(|(_, (_, value))| *value).collect()
    };
    // A stop has sent what was still to be sent, so all is here.
    let all = sink.spans();
    let is_apply = |span: &&Span| is(span, "effect", ("effect", "apply"));
    let apply = all.iter().find(is_apply).with_context(|| format!("no span of the rollback among {:?}", names(&all)))?;
    let spans: Vec<Span> = all.iter().filter(|span| span.trace_id == apply.trace_id).cloned().collect();
    ensure!(missing(&spans).is_empty(), "the trace of the rollback lacks {:?}, it has {:?}", missing(&spans), names(&spans));
    let orphans: Vec<&Span> = spans
        .iter()
        .filter(|span| !span.parent_span_id.is_empty() && !spans.iter().any(|parent| parent.span_id == span.parent_span_id))
        .collect();
    ensure!(orphans.is_empty(), "spans without their parents: {orphans:?}");
    Ok(())
}
