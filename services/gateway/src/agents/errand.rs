//! A client's errand: read from its message, checked like alerts that come by webhook, and held to what a client may ask for.

use a2a::{A2aError, Message, PartContent};
use incident::alert::Alert;
use incident::task::{Bulletin, Errand};

/// Alerts of one errand: what monitoring itself would tell is a fifth of it.
const ALERTS_MAX: usize = 100;
/// Bytes of an errand as JSON, below the 1 MiB that NATS servers take by default, with room for what is put around it.
const BYTES_MAX: usize = 512 * 1024;

/// The errand that a message holds.
pub(super) fn read(message: &Message) -> Result<Errand, A2aError> {
    let data = message.parts.iter().enumerate().find_map(|(n, part)| match &part.content {
        PartContent::Data(data) => Some((n, data)),
        PartContent::Text(_) | PartContent::Raw(_) | PartContent::Url(_) => None,
    });
    let (n, data) = data.ok_or_else(|| A2aError::invalid_field("message.parts", "must hold one data part: the errand"))?;
    serde_path_to_error::deserialize(data).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!(".{path}") };
        A2aError::invalid_field(&format!("message.parts[{n}].data{place}"), &error.inner().to_string())
    })
}

/// Whether a client may ask for this.
pub(super) fn check(errand: &Errand) -> Result<(), A2aError> {
    let bytes = serde_json::to_vec(errand).map_or(usize::MAX, |json| json.len());
    if bytes > BYTES_MAX {
        return Err(A2aError::invalid_field("message.parts", &format!("the errand must have at most {BYTES_MAX} bytes")));
    }
    match errand {
        Errand::Diagnose { alerts, .. } | Errand::Remediate { alerts, .. } => check_alerts(alerts),
        Errand::Announce { bulletin } | Errand::Ticket { bulletin } => check_bulletin(bulletin),
    }
}

fn check_alerts(alerts: &[Alert]) -> Result<(), A2aError> {
    if alerts.len() > ALERTS_MAX {
        return Err(A2aError::invalid_field("alerts", &format!("must hold at most {ALERTS_MAX} alerts")));
    }
    alerts.iter().enumerate().try_for_each(|(n, alert)| {
        crate::alertmanager::check(alert).map_err(|(field, rule)| A2aError::invalid_field(&format!("alerts[{n}]{field}"), &rule))
    })
}

/// Only remediation's own plans are put to people: a card that shows one plan and counts for another would make them say yes to what
/// they have not seen.
fn check_bulletin(bulletin: &Bulletin) -> Result<(), A2aError> {
    if bulletin.ask.is_some() {
        return Err(A2aError::invalid_field("bulletin.ask", "must be absent: a plan is put to people by remediation alone"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use a2a::{Part, Role};
    use serde_json::{Value, json};

    use super::*;

    fn read_and_check(errand: Value) -> Result<(), String> {
        let message = Message::new("m", Role::User, vec![Part::text("please"), Part::data(errand)]);
        read(&message).and_then(|errand| check(&errand)).map_err(|error| error.message)
    }

    fn alert(labels: &Value) -> Value {
        json!({
            "fingerprint": "00ff", "status": "firing", "labels": labels, "annotations": {},
            "starts_at": "2026-11-01T00:00:00Z", "ends_at": null, "expression": null,
        })
    }

    fn diagnose(alerts: Vec<Value>) -> Value {
        json!({"skill": "diagnose", "workload": null, "alerts": alerts})
    }

    #[test]
    fn an_errand_is_held_to_the_rules_of_alerts_that_come_by_webhook() {
        let usual = || alert(&json!({"alertname": "A"}));
        let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("l{n}"), json!("v"))).collect();
        let no_hex = json!({"fingerprint": "nothex"});
        let mut forged = usual();
        forged["fingerprint"] = no_hex["fingerprint"].clone();
        let cases = [
            ("usual", diagnose(vec![usual()]), None),
            ("as many as may be", diagnose(vec![usual(); ALERTS_MAX]), None),
            ("one more", diagnose(vec![usual(); ALERTS_MAX + 1]), Some("alerts must hold at most 100 alerts")),
            ("labels", diagnose(vec![usual(), alert(&many.into())]), Some("alerts[1]/labels must hold at most 64")),
            ("a name", diagnose(vec![forged]), Some("alerts[0]/fingerprint must be 1 to 64 hexadecimal digits")),
            ("bytes", diagnose(vec![alert(&json!({"a": "x".repeat(BYTES_MAX)}))]), Some("at most 524288 bytes")),
        ];
        for (case, errand, expected) in cases {
            match (read_and_check(errand), expected) {
                (Ok(()), None) => {}
                (Err(message), Some(expected)) => assert!(message.contains(expected), "{case}: {message}"),
                (result, _) => panic!("{case}: {result:?}"),
            }
        }
    }
}
