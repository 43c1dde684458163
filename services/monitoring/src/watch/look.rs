//! One rule's look: its recent points, with what is usual for them.

use chrono::{DateTime, Utc};
use cluster::prometheus::{Prometheus, Series};
use incident::alert::Labels;
use incident::id::TenantId;
use incident::watch::memory::{Found, Looked};
use incident::watch::rule::Rule;
use incident::watch::{Grid, Seen};
use runtime::chain;
use tokio::time::Instant;

use super::count;
use super::history::History;

/// Series of one rule. Each is an alert of its own when it leaves, and people read no more; an aggregation makes fewer of them.
const SERIES_MAX: usize = 100;
/// Labels of a series: what the gateway takes from Alertmanager is much less, and alerts of both go the same way.
const LABELS_BYTES_MAX: usize = 16 * 1024;

/// A rule with what is known of its past.
pub(super) struct Watched {
    rule: Rule,
    history: History,
    /// Whether the last look failed: said once, not every minute.
    is_blind: bool,
}

impl Watched {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, history: History::default(), is_blind: false }
    }

    /// Never fails: that the rule cannot be looked at is what was seen then.
    pub(super) async fn look(
        &mut self,
        tenant: &TenantId,
        prometheus: &Prometheus,
        grid: Grid,
        at: DateTime<Utc>,
        deadline: Instant,
    ) -> Looked<'_> {
        let asked = tokio::time::timeout_at(deadline, ask(&self.rule, &mut self.history, prometheus, grid, at));
        let found = asked.await.unwrap_or_else(|_| Err("prometheus did not answer in time for this look".to_owned()));
        let result = match &found {
            Err(_) => "failed",
            Ok(found) if found.left_out.is_some() => "partial",
            Ok(_) => "done",
        };
        count::LOOKS.with_label_values(&[tenant.as_str(), &self.rule.name, result]).inc();
        self.tell(found.as_ref().map_or_else(|error| Some(error.as_str()), |found| found.left_out.as_deref()));
        Looked { rule: &self.rule, found }
    }

    fn tell(&mut self, gap: Option<&str>) {
        match gap {
            Some(reason) if !self.is_blind => {
                tracing::warn!(rule = self.rule.name, reason, "a watch rule cannot be looked at, or not whole");
            }
            None if self.is_blind => tracing::info!(rule = self.rule.name, "the watch rule can be looked at again"),
            _ => {}
        }
        self.is_blind = gap.is_some();
    }
}

async fn ask(
    rule: &Rule,
    history: &mut History,
    prometheus: &Prometheus,
    grid: Grid,
    at: DateTime<Utc>,
) -> Result<Found, String> {
    if rule.seasonal {
        history.learn(rule, prometheus, &grid.hours(rule, at).collect::<Vec<_>>()).await.map_err(|fault| chain(&fault))?;
    }
    let series = prometheus.range(&rule.expr, grid.from(rule, at), at, grid.interval()).await.map_err(|fault| chain(&fault))?;
    let (series, left_out) = bounded(series);
    let seen = |Series { labels, points }: Series| Seen { seasons: history.of(&labels), labels, points };
    Ok(Found { series: series.into_iter().map(seen).collect(), left_out })
}

/// The series that are watched, the same ones every time, and why others are not.
fn bounded(mut series: Vec<Series>) -> (Vec<Series>, Option<String>) {
    let all = series.len();
    series.retain(|series| bytes(&series.labels) <= LABELS_BYTES_MAX);
    let mut left_out = (series.len() < all)
        .then(|| format!("{} of {all} series have more than {LABELS_BYTES_MAX} bytes of labels", all - series.len()));
    if series.len() > SERIES_MAX {
        series.sort_by(|one, other| one.labels.cmp(&other.labels));
        series.truncate(SERIES_MAX);
        left_out = Some(format!("it gives {all} series and only {SERIES_MAX} are watched: aggregate them, or select fewer"));
    }
    (series, left_out)
}

fn bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str) -> Series {
        Series { labels: [("service".to_owned(), name.to_owned())].into(), points: vec![] }
    }

    #[test]
    fn the_same_series_are_watched_whatever_their_order() {
        let many = |order: &dyn Fn(usize) -> usize| bounded((0..250).map(|n| series(&format!("{:03}", order(n)))).collect());
        let (forwards, why) = many(&|n| n);
        let (backwards, _) = many(&|n| 249 - n);
        assert_eq!((forwards.len(), &forwards), (SERIES_MAX, &backwards));
        assert!(why.is_some_and(|why| why.contains("250 series")));
        assert_eq!(bounded(vec![series("a")]), (vec![series("a")], None));
        let (kept, why) = bounded(vec![series("a"), series(&"x".repeat(LABELS_BYTES_MAX))]);
        assert_eq!((kept.len(), why.is_some()), (1, true));
    }
}
