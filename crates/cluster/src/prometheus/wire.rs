//! Answers of the query API, as <https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats> gives them.

use chrono::{DateTime, Utc};
use incident::alert::Labels;
use serde::Deserialize;

/// One series at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: Labels,
    /// When.
    pub at: DateTime<Utc>,
    /// What; may be NaN or infinite.
    pub value: f64,
}

/// One series over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Values, oldest first; may be NaN or infinite.
    pub points: Vec<(DateTime<Utc>, f64)>,
}

/// A moment in seconds, and a value as text, because JSON knows no NaN.
type Point = (f64, String);

#[derive(Deserialize)]
struct Answer<D> {
    data: D,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Instant {
    Vector(Vec<VectorItem>),
    Scalar(Point),
    Matrix(Vec<MatrixItem>),
    String(Point),
}

/// A series of native histograms has no `value`; such samples are left out.
#[derive(Deserialize)]
struct VectorItem {
    metric: Labels,
    value: Option<Point>,
}

#[derive(Deserialize)]
struct MatrixItem {
    metric: Labels,
    #[serde(default)]
    values: Vec<Point>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "errorType")]
    kind: String,
    error: String,
}

/// The error in an answer, if it is one.
pub(super) fn error(body: &[u8]) -> Option<String> {
    let failure: Failure = serde_json::from_slice(body).ok()?;
    Some(format!("{}: {}", failure.kind, failure.error))
}

pub(super) fn samples(body: &[u8]) -> Result<Vec<Sample>, String> {
    let answer: Answer<Instant> = serde_json::from_slice(body).map_err(|e| format!("the answer cannot be read: {e}"))?;
    match answer.data {
        Instant::Vector(items) => items
            .into_iter()
            .filter_map(|item| Some((item.metric, item.value?)))
            .map(|(labels, value)| point(&value).map(|(at, value)| Sample { labels, at, value }))
            .collect(),
        Instant::Scalar(value) => point(&value).map(|(at, value)| vec![Sample { labels: Labels::new(), at, value }]),
        Instant::Matrix(_) => Err("it is a range, not a moment; remove the range selector".to_owned()),
        Instant::String((_, text)) => Err(format!("it is the text {text:?}, not a number")),
    }
}

pub(super) fn series(body: &[u8]) -> Result<Vec<Series>, String> {
    let answer: Answer<Instant> = serde_json::from_slice(body).map_err(|e| format!("the answer cannot be read: {e}"))?;
    let Instant::Matrix(items) = answer.data else { return Err("the answer is no range".to_owned()) };
    let read = |item: MatrixItem| {
        let points: Result<Vec<_>, String> = item.values.iter().map(point).collect();
        Ok(Series { labels: item.metric, points: points? })
    };
    items.into_iter().map(read).collect()
}

fn point((at, value): &Point) -> Result<(DateTime<Utc>, f64), String> {
    // Prometheus works in milliseconds, so no precision is lost.
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit, and `as` saturates")]
    let at_ms = (at * 1_000.0).round() as i64;
    let at = DateTime::from_timestamp_millis(at_ms).ok_or_else(|| format!("{at} is no moment"))?;
    // Go writes +Inf, -Inf and NaN, all of which Rust reads.
    let value = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    Ok((at, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_scalars_and_odd_numbers_are_read() {
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"1"},"value":[1700000000.5,"NaN"]},{"metric":{},"value":[1700000000,"-Inf"]},{"metric":{},"histogram":[1,{}]}]}}"#;
        let found = samples(vector).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[0].value.is_nan());
        assert_eq!(found[0].at.timestamp_millis(), 1_700_000_000_500);
        assert!(found[1].value.is_infinite() && found[1].value.is_sign_negative());
        let scalar = br#"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"2.5"]}}"#;
        assert!((samples(scalar).unwrap()[0].value - 2.5).abs() < 1e-9);
    }

    #[test]
    fn errors_are_read_and_answers_are_not_taken_for_them() {
        let bad = br#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
        assert_eq!(error(bad).as_deref(), Some("bad_data: parse error"));
        assert_eq!(error(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#), None);
        assert_eq!(error(b"<html>"), None);
        assert!(samples(b"<html>").is_err());
    }
}
