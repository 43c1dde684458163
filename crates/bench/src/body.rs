//! What is sent: Alertmanager's webhook as real versions send it, padded to 2 KiB, and Alertmanager's own API for the yardstick.
//! Requests are made once; only the digits that make each one new are written into them afterwards.

use serde_json::{Value, json};

/// The size that the goal names.
const BODY_BYTES: usize = 2048;
/// Alerts in a notification of that size.
pub(crate) const ALERTS: u32 = 2;
/// Sixteen of these stand for the request's number.
pub(crate) const NUMBER: &str = "@@@@@@@@@@@@@@@@";
/// Two of these stand for one of 256 services.
const SERVICE: &str = "~~";

/// A request with places for its number.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
    services: Vec<usize>,
}

impl Template {
    /// A POST of `body` to `path`, by whom `token` names.
    pub(crate) fn post(path: &str, token: &str, body: &str) -> Self {
        Self::post_with(path, &format!("Authorization: Bearer {token}"), body)
    }

    /// A POST of `body` to `path` with one more header.
    pub(crate) fn post_with(path: &str, header: &str, body: &str) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self::new(format!("{head}{body}").into_bytes())
    }

    /// Any bytes with places for numbers.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let places = |mark: &str| {
            let windows = bytes.windows(mark.len()).enumerate();
            windows.filter(|(_, window)| *window == mark.as_bytes()).map(|(at, _)| at).collect()
        };
        Self { numbers: places(NUMBER), services: places(SERVICE), bytes }
    }

    /// A copy to be numbered again and again.
    pub(crate) fn first(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// Writes the number, in hexadecimal, and the service that goes with it.
    pub(crate) fn number(&self, request: &mut [u8], number: u64) {
        let digits = format!("{number:016x}");
        for at in &self.numbers {
            put(request, *at, digits.as_bytes());
        }
        for at in &self.services {
            put(request, *at, digits.as_bytes().get(14..).unwrap_or_default());
        }
    }
}

fn put(request: &mut [u8], at: usize, digits: &[u8]) {
    if let Some(place) = request.get_mut(at..at + digits.len()) {
        place.copy_from_slice(digits);
    }
}

/// A webhook of exactly 2 KiB with two alerts of one of 256 services, in namespace `namespace`.
pub(crate) fn notification(namespace: &str) -> String {
    let alert = |name: &str, first: &str| {
        json!({
            "status": "firing",
            "labels": {
                "alertname": name, "namespace": namespace, "service": format!("svc-{SERVICE}"), "severity": "warning",
                "instance": format!("10.0.0.1:{first}"),
            },
            "annotations": { "summary": "error ratio above 10 %", "runbook_url": "https://runbooks.example.com/errors" },
            "startsAt": "2026-11-23T05:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=sum%28rate%28errors%5B1m%5D%29%29+%3E+0.1&g0.tab=1",
            // Sixteen digits with the number behind them: 17 are well within what is taken.
            "fingerprint": format!("{first}{NUMBER}"),
        })
    };
    let whole = |padding: usize| {
        json!({
            "version": "4", "status": "firing", "receiver": "paramedic", "truncatedAlerts": 0,
            "groupKey": format!("{{}}:{{namespace=\"{namespace}\", service=\"svc-{SERVICE}\"}}"),
            "groupLabels": { "namespace": namespace, "service": format!("svc-{SERVICE}") },
            "commonLabels": {}, "commonAnnotations": { "description": "x".repeat(padding) },
            "externalURL": "http://alertmanager.example.com:9093",
            "alerts": [alert("HighErrorRatio", "a"), alert("HighLatency", "b")],
        })
        .to_string()
    };
    let bare = whole(0).len();
    whole(BODY_BYTES.saturating_sub(bare))
}

/// One alert for Alertmanager's API. Of 256 services, so that its memory does not grow: an update is what it does fastest.
pub(crate) fn alertmanager_alert() -> String {
    let one = json!({
        "labels": { "alertname": "HighErrorRatio", "namespace": "shop", "service": format!("svc-{SERVICE}"), "severity": "warning" },
        "annotations": { "summary": format!("error ratio above 10 %, sample {NUMBER}") },
        "generatorURL": "http://prometheus:9090/graph?g0.expr=sum%28rate%28errors%5B1m%5D%29%29+%3E+0.1&g0.tab=1",
    });
    Value::from(vec![one]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_notification_is_json_of_the_right_size() {
        let body = notification("load");
        assert_eq!(body.len(), BODY_BYTES);
        let template = Template::post("/x", "t", &body);
        let mut request = template.first();
        template.number(&mut request, 0xabc1);
        let text = String::from_utf8(request).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let json: Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["alerts"][0]["fingerprint"], "a000000000000abc1");
        assert_eq!(json["alerts"][1]["labels"]["service"], "svc-c1");
        assert_eq!(json["alerts"].as_array().unwrap().len(), usize::try_from(ALERTS).unwrap());
        assert!(!body.contains('@') && !body.contains('~'));
    }
}
