//! Reading `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How long the provider asks to wait: seconds, or a date, which is read against the answer's own
/// `Date` header, so that a wrong clock on either side does no harm. None where it did not say, or
/// not legibly.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = asked.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = http_date(asked)?;
    let now = http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some((until - now).to_std().unwrap_or_default())
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::retry_after;
    use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
    use std::time::Duration;

    fn check(asked: &'static str, expected: Option<Duration>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(asked));
        headers.insert(DATE, HeaderValue::from_static("Mon, 23 Nov 2026 10:00:00 GMT"));
        assert_eq!(retry_after(&headers), expected, "{asked}");
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        check("30", Some(Duration::from_secs(30)));
        check("0", Some(Duration::ZERO));
        check("1.5", Some(Duration::from_millis(1500)));
        check("Mon, 23 Nov 2026 10:01:00 GMT", Some(Duration::from_mins(1)));
        check("Mon, 23 Nov 2026 09:00:00 GMT", Some(Duration::ZERO));
        check("-3", None);
        check("inf", None);
        check("soon", None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
