//! The Prometheus HTTP API (<https://prometheus.io/docs/prometheus/latest/querying/api/>): instant and range queries, whether an alert's
//! expression still holds, and how it changed. Read only.

mod change;
mod expression;
mod wire;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use incident::alert::Labels;
use incident::evidence::ExpressionChange;
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Response, redirect};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use expression::Expression;

pub use wire::{Sample, Series};

/// A connection that does not come up in this time will not come up while people wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Prometheus' own limit is two minutes; a diagnosis cannot wait that long. Prometheus is told, so that it stops as well.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer for one alert has some series of some hundred points, 30 bytes each; beyond this the query was not about one workload.
const BODY_BYTES_MAX: usize = 8 << 20;
/// How far back "before the alert" goes: long enough that a median is not moved by the `for:` of common alerts (up to 15 minutes).
const BEFORE: TimeDelta = TimeDelta::minutes(30);
/// Points of a range: 2.5 s apart for an alert that has just begun; Prometheus refuses more than 11,000.
const POINTS_MAX: i32 = 720;
/// Finer steps than common scrape intervals show nothing more.
const STEP_MIN: TimeDelta = TimeDelta::seconds(1);

/// Where Prometheus is, and how to get in.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusConfig {
    /// Base URL, such as `http://prometheus.monitoring:9090`; a path before `/api/v1` is kept.
    #[schemars(with = "String", url)]
    pub url: Url,
    /// Bearer token, where a proxy in front asks for one.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub bearer: Option<SecretString>,
}

/// One Prometheus.
#[derive(Debug, Clone)]
pub struct Prometheus {
    http: Client,
    url: Url,
    bearer: Option<SecretString>,
}

/// A query failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No answer, or one that says "not now": worth another try.
    #[error("no usable answer from prometheus at {url}; trying again later may help")]
    Unreachable {
        /// Where it was asked.
        url: Url,
        /// What came instead of an answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The credentials are not accepted.
    #[error("prometheus at {url} refuses the credentials (HTTP {status}); check the bearer token")]
    Refused {
        /// Where it was asked.
        url: Url,
        /// HTTP status.
        status: u16,
    },
    /// The query will never work.
    #[error("prometheus cannot answer the query {query:?}: {message}")]
    BadQuery {
        /// The query.
        query: String,
        /// Prometheus' words, or ours.
        message: String,
    },
    /// None of the series that the alert is about exists, so neither "holds" nor "does not hold" would be true.
    #[error("prometheus has no data behind {query:?}; check whether the targets are still scraped")]
    NoData {
        /// The query.
        query: String,
    },
    /// The expression returns nothing, and it cannot be said whether that is a recovery.
    #[error("it cannot be told whether {query:?} holds no more: which metric it is about cannot be read from it")]
    CannotTell {
        /// The query.
        query: String,
    },
}

impl Fault {
    /// Whether the same query may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NoData { .. } => true,
            Self::Refused { .. } | Self::BadQuery { .. } | Self::CannotTell { .. } => false,
        }
    }
}

impl Prometheus {
    /// Makes the client. Nothing is asked yet, so that a process can start while Prometheus is away.
    ///
    /// # Errors
    /// If the URL cannot be a base, or TLS cannot be set up.
    pub fn connect(config: &PrometheusConfig) -> Result<Self, Fault> {
        let unusable = |message: String| Fault::Unreachable { url: config.url.clone(), source: message.into() };
        let mut url = config.url.clone();
        if url.cannot_be_a_base() {
            return Err(unusable("the URL needs a scheme and a host, such as http://prometheus:9090".to_owned()));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(QUERY_TIMEOUT)
            // A redirect would carry the token elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|source| Fault::Unreachable { url: url.clone(), source: source.into() })?;
        Ok(Self { http, url, bearer: config.bearer.clone() })
    }

    /// Values at one moment; none means Prometheus' own now. A scalar comes as one sample without labels.
    ///
    /// # Errors
    /// As every query.
    pub async fn instant(&self, query: &str, at: Option<DateTime<Utc>>) -> Result<Vec<Sample>, Fault> {
        let mut form = vec![("query", query.to_owned())];
        form.extend(at.map(|at| ("time", seconds(at))));
        let body = self.ask("api/v1/query", query, form).await?;
        wire::samples(&body).map_err(|message| Fault::BadQuery { query: query.to_owned(), message })
    }

    /// Values from one moment to another, one a `step`.
    ///
    /// # Errors
    /// As every query.
    pub async fn range(
        &self,
        query: &str,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        step: TimeDelta,
    ) -> Result<Vec<Series>, Fault> {
        let step = format!("{}.{:03}", step.num_seconds(), step.subsec_millis().max(0));
        let form = vec![("query", query.to_owned()), ("start", seconds(from)), ("end", seconds(to)), ("step", step)];
        let body = self.ask("api/v1/query_range", query, form).await?;
        wire::series(&body).map_err(|message| Fault::BadQuery { query: query.to_owned(), message })
    }

    /// Whether an alert's expression returns a series, now, that agrees with the alert's labels. Labels that the series does not have
    /// (the rule's own, or added on the way) are ignored.
    ///
    /// False means that it returns none although the alert's own series are there. That includes a ratio of zero by zero, which is NaN
    /// and above no threshold: a service without traffic, whose counters are still scraped, has no errors either.
    ///
    /// # Errors
    /// [`Fault::NoData`] if it returns none and none of the alert's own series is there either: with the targets gone, silence is no
    /// recovery, and other services' series prove nothing. [`Fault::CannotTell`] if the expression does not say which series those are.
    pub async fn holds(&self, query: &str, labels: &Labels) -> Result<bool, Fault> {
        if self.returns(query, labels, None).await? {
            return Ok(true);
        }
        let Some(presence) = Expression::parse(query).presence(labels) else {
            return Err(Fault::CannotTell { query: query.to_owned() });
        };
        if is_there(&self.instant(&presence, None).await?, labels) {
            return Ok(false);
        }
        Err(Fault::NoData { query: query.to_owned() })
    }

    /// Whether the expression returned a series that agrees with the alert's labels at that moment. Asked for the alert's own
    /// `starts_at`, no means that expression and alert cannot be matched, because labels of the rule or relabelling contradict those of
    /// the series: [`Prometheus::holds`] would then say "no longer" while the alert still fires.
    ///
    /// # Errors
    /// As every query.
    pub async fn held_at(&self, query: &str, labels: &Labels, at: DateTime<Utc>) -> Result<bool, Fault> {
        self.returns(query, labels, Some(at)).await
    }

    /// Whether an expression can be parsed and gives a number for each series, whatever that number is: what a watch measures.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_measure(query: &str) -> Result<(), String> {
        expression::check_measure(query)
    }

    /// Reads a recorded answer of `/api/v1/query_range`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_range(answer: &[u8]) -> Result<Vec<Series>, String> {
        match wire::error(answer) {
            Some(error) => Err(format!("it is an error of prometheus: {error}")),
            None => wire::series(answer),
        }
    }

    /// Whether the expression says which series an alert is about, so that its silence can be told from missing data. Where it does not,
    /// [`Prometheus::holds`] can never say "no longer".
    pub fn tells_silence(query: &str, labels: &Labels) -> bool {
        Expression::parse(query).presence(labels).is_some()
    }

    /// How the measured side of an alert's expression changed around the moment at which the alert began to fire. Of several series
    /// that agree with the alert's labels, the one that moved most is told.
    ///
    /// # Errors
    /// [`Fault::NoData`] if there was no value at all.
    pub async fn expression_change(
        &self,
        query: &str,
        labels: &Labels,
        starts_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<ExpressionChange, Fault> {
        let parsed = Expression::parse(query);
        let to = now.max(starts_at);
        let from = starts_at - BEFORE;
        let step = ((to - from) / POINTS_MAX).max(STEP_MIN);
        let series = self.range(&parsed.measured, from, to, step).await?;
        let changes = series.iter().filter(|series| agrees(&series.labels, labels));
        let changes = changes.filter_map(|series| change::of(series, &parsed, starts_at, to - step));
        let most = changes.max_by(|a, b| change::shift(a).total_cmp(&change::shift(b)));
        most.ok_or_else(|| Fault::NoData { query: parsed.measured.clone() })
    }

    async fn returns(&self, query: &str, labels: &Labels, at: Option<DateTime<Utc>>) -> Result<bool, Fault> {
        let samples = self.instant(query, at).await?;
        Ok(samples.iter().any(|sample| agrees(&sample.labels, labels)))
    }

    async fn ask(&self, path: &str, query: &str, mut form: Vec<(&str, String)>) -> Result<Vec<u8>, Fault> {
        form.push(("timeout", format!("{}s", QUERY_TIMEOUT.as_secs())));
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Fault::Unreachable { url: self.url.clone(), source };
        let url = self.url.join(path).map_err(|e| unreachable(e.into()))?;
        let mut request = self.http.post(url).form(&form);
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {}", bearer.expose_secret()));
        }
        let response = request.send().await.map_err(|e| unreachable(e.without_url().into()))?;
        let status = response.status().as_u16();
        if matches!(status, 401 | 403) {
            return Err(Fault::Refused { url: self.url.clone(), status });
        }
        let body = read(response).await.map_err(unreachable)?;
        match (status, wire::error(&body)) {
            (200, None) => Ok(body),
            // 400: it does not parse; 422: it cannot be executed.
            (400 | 422, Some(message)) => Err(Fault::BadQuery { query: query.to_owned(), message }),
            (_, message) => Err(unreachable(message.unwrap_or_else(|| format!("HTTP {status}")).into())),
        }
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(format!("the answer is larger than {BODY_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Prometheus' form of a moment: seconds, to the millisecond.
fn seconds(at: DateTime<Utc>) -> String {
    format!("{}.{:03}", at.timestamp(), at.timestamp_subsec_millis())
}

/// Whether a series has no label that contradicts the alert's.
fn agrees(series: &Labels, alert: &Labels) -> bool {
    alert.iter().all(|(name, value)| series.get(name).is_none_or(|found| found == value))
}

/// Whether one of the counts is about the alert's own series. Counts of series that share no label with the alert agree with every
/// alert, so they count only where there are no others.
fn is_there(counts: &[Sample], alert: &Labels) -> bool {
    let mut sharing = counts.iter().filter(|count| !count.labels.is_empty()).peekable();
    if sharing.peek().is_none() { !counts.is_empty() } else { sharing.any(|count| agrees(&count.labels, alert)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_series_agrees_unless_a_label_contradicts() {
        let alert = labels(&[("alertname", "A"), ("service", "checkout"), ("severity", "critical")]);
        assert!(agrees(&labels(&[("service", "checkout"), ("instance", "1")]), &alert));
        assert!(agrees(&labels(&[]), &alert));
        assert!(!agrees(&labels(&[("service", "cart")]), &alert));
    }

    #[test]
    fn only_the_alerts_own_series_count() {
        let alert = labels(&[("namespace", "shop"), ("service", "checkout")]);
        let (own, other) = (&[("namespace", "shop"), ("service", "checkout")], &[("namespace", "shop"), ("service", "cart")]);
        let check = |series: &[&[(&str, &str)]], expected: bool| {
            let count = |pairs: &&[(&str, &str)]| Sample { labels: labels(pairs), at: DateTime::UNIX_EPOCH, value: 1.0 };
            assert_eq!(is_there(&series.iter().map(count).collect::<Vec<_>>(), &alert), expected, "{series:?}");
        };
        check(&[], false);
        check(&[own], true);
        check(&[other], false);
        check(&[other, own], true);
        check(&[&[]], true);
        check(&[&[], other], false);
        check(&[&[("namespace", "shop")]], true);
    }

    #[test]
    fn moments_keep_their_milliseconds() {
        assert_eq!(seconds(DateTime::from_timestamp_millis(1_700_000_000_007).unwrap()), "1700000000.007");
    }
}
