//! One dead letter as a person reads it: what happened, what it said, and what to do now.

use std::fmt::Write as _;

use bus::dead::DeadLetter;
use bus::subject::Subject;
use serde::Serialize;

/// As much of a body as is shown without `--whole`: some pages of a terminal. Bodies may have 8 MiB.
const BODY_BYTES_SHOWN: usize = 16 * 1024;
/// As much of one header.
const HEADER_CHARS_SHOWN: usize = 500;

/// A letter with what it said, as far as that is text.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "`letter` is flattened: its fields stand beside the others")]
pub(super) struct Letter {
    #[serde(flatten)]
    letter: DeadLetter,
    /// As it was sent; of bytes that are no text, what can be shown.
    body: String,
    /// All of it, also what is not shown.
    body_bytes: usize,
    /// Whether `body` is only its beginning.
    body_is_cut: bool,
    /// What to do now.
    next: Vec<String>,
}

/// How much of a body is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown {
    All,
    Beginning,
}

impl Letter {
    /// With all of its body, or its beginning. `program` is how a person calls this
    /// program, `flags` how it finds the same configuration.
    pub(super) fn new(letter: DeadLetter, shown: Shown, program: &str, flags: &str) -> Self {
        let body_bytes = letter.body.len();
        let shown = match shown {
            Shown::All => body_bytes,
            Shown::Beginning => body_bytes.min(BODY_BYTES_SHOWN),
        };
        let body = String::from_utf8_lossy(letter.body.get(..shown).unwrap_or_default()).into_owned();
        let next = next(&letter, program, flags);
        Self { body, body_bytes, body_is_cut: shown < body_bytes, next, letter }
    }

    /// For a terminal.
    pub(super) fn told(&self) -> String {
        let Self { letter, .. } = self;
        let tries = if letter.attempts == 1 { "first delivery".to_owned() } else { format!("{} deliveries", letter.attempts) };
        let mut text = format!("Dead letter {}\n\n", letter.sequence);
        let lines = [
            ("reason", visible(&letter.reason)),
            ("died", format!("{} UTC, after {tries}", letter.died_at.format("%Y-%m-%d %H:%M:%S"))),
            ("handled by", letter.role.to_string()),
            ("subject", visible(&letter.subject)),
            ("stream", format!("{}, number {}", visible(&letter.stream), letter.stream_sequence)),
            ("message id", letter.id.as_deref().map_or_else(|| "(none)".to_owned(), visible)),
        ];
        for (name, value) in lines {
            let _ = writeln!(text, "{name:<11} {value}");
        }
        for (n, (name, value)) in letter.headers.iter().enumerate() {
            let value: String = visible(value).chars().take(HEADER_CHARS_SHOWN).collect();
            let _ = writeln!(text, "{:<11} {}: {value}", if n == 0 { "headers" } else { "" }, visible(name));
        }
        for (n, step) in self.next.iter().enumerate() {
            let _ = writeln!(text, "{:<11} {step}", if n == 0 { "what to do" } else { "" });
        }
        let _ = write!(text, "{:<11} {}\n\n{}", "body", self.size(), self.pretty());
        text
    }

    fn size(&self) -> String {
        let bytes = self.body_bytes;
        if self.body_is_cut {
            format!("the first {BODY_BYTES_SHOWN} of {bytes} bytes; --whole shows all")
        } else {
            format!("{bytes} bytes")
        }
    }

    /// JSON with its lines broken, anything else as it is.
    fn pretty(&self) -> String {
        let parsed: Option<serde_json::Value> =
            if self.body_is_cut { None } else { serde_json::from_slice(&self.letter.body).ok() };
        parsed.and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| visible_lines(&self.body))
    }
}

/// What a person may do, the likely thing first.
fn next(letter: &DeadLetter, program: &str, flags: &str) -> Vec<String> {
    let command = |verb: &str| format!("{program} dead {verb} {}{flags}", letter.sequence);
    let about = match letter.subject.parse::<Subject>() {
        Err(_) => "Nobody reads this subject any more: it is of no use but to look at.",
        Ok(Subject::Alerts { .. }) => {
            "No incident knows of these alerts from this message. If they still fire, Alertmanager tells them again at its repeat_interval."
        }
        Ok(Subject::Request { .. }) => {
            "An agent was asked and never began. Whoever asked goes on without an answer at its deadline."
        }
        Ok(Subject::Event { .. }) => "News of a task did not arrive. Later news of the same task replaces it.",
        Ok(Subject::ApprovalRequested { .. }) => "People were not asked about this plan. It expires unless this is replayed.",
        Ok(Subject::ApprovalClosed { .. }) => "People may still see a plan as waiting that is not. Their answers do not count.",
        Ok(Subject::ApprovalDecided { .. }) => {
            "A person's answer did not count, for the reason above. Replayed it is judged again, by the same rules."
        }
        Ok(Subject::Announced { .. }) => {
            "The incident does not say that its alerts were announced in the fallback channel before it could be opened."
        }
        Ok(Subject::Silences { .. }) => {
            "Silences that were made or ended since do not count yet. The next change of them replaces this."
        }
        Ok(Subject::Orders { .. }) => {
            "A person wanted something of an incident, and nothing came of it. Whoever it was can order it again."
        }
        Ok(Subject::Related { .. }) => {
            "An incident does not know of another that it depends on, or that depends on it. It is worked on by itself."
        }
        Ok(Subject::Fact { .. }) => "The record lacks this fact until it is replayed. Nothing else waits for it.",
    };
    vec![
        about.to_owned(),
        format!("Once the reason is gone: {} (it counts once, however often it is sent)", command("replay")),
        format!("If nobody needs it: {}", command("drop")),
    ]
}

/// What comes from outside must not move the cursor or colour the terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use bus::dead::DeadLetter;
    use chrono::DateTime;
    use incident::task::Role;

    use super::*;

    fn letter(subject: &str, body: &[u8]) -> DeadLetter {
        DeadLetter {
            sequence: 7,
            role: Role::Monitoring,
            reason: "it has no \u{1b}[31malerts".to_owned(),
            died_at: DateTime::UNIX_EPOCH,
            subject: subject.to_owned(),
            id: Some("alert-1".to_owned()),
            stream: "ALERTS".to_owned(),
            stream_sequence: 3,
            attempts: 2,
            headers: vec![("traceparent".to_owned(), "00-aa".to_owned())],
            body: body.to_vec().into(),
        }
    }

    #[test]
    fn a_person_is_told_all_and_what_to_do() {
        let told =
            Letter::new(letter("alerts.acme.1", br#"{"a":[1]}"#), Shown::Beginning, "paramedic", " --config c.toml").told();
        for part in [
            "Dead letter 7",
            "it has no \u{fffd}[31malerts",
            "1970-01-01 00:00:00 UTC, after 2 deliveries",
            "handled by  monitoring",
            "alerts.acme.1",
            "ALERTS, number 3",
            "traceparent: 00-aa",
            "Alertmanager tells them again",
            "paramedic dead replay 7 --config c.toml",
            "paramedic dead drop 7 --config c.toml",
            "9 bytes",
            "{\n  \"a\": [\n    1\n  ]\n}",
        ] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
        assert!(!told.contains('\u{1b}'), "{told:?}");
    }

    #[test]
    fn a_long_body_is_cut_unless_all_is_wanted_and_bytes_are_shown_as_far_as_they_can_be() {
        let body = format!("{{\"text\":\"{}\"}}", "ü".repeat(BODY_BYTES_SHOWN));
        let cut = Letter::new(letter("alerts.acme.1", body.as_bytes()), Shown::Beginning, "paramedic", "");
        assert!(cut.body_is_cut && cut.body_bytes == body.len() && cut.told().len() < 2 * BODY_BYTES_SHOWN);
        let whole = Letter::new(letter("alerts.acme.1", body.as_bytes()), Shown::All, "paramedic", "");
        assert!(!whole.body_is_cut && whole.body == body && whole.told().contains(&"ü".repeat(BODY_BYTES_SHOWN)));
        assert!(
            Letter::new(letter("dead", b"\xff\x1b[2J\n"), Shown::Beginning, "paramedic", "")
                .told()
                .ends_with("\u{fffd}\u{fffd}[2J")
        );
    }

    #[test]
    fn every_subject_has_its_own_advice() {
        let subjects = [
            "alerts.acme.0",
            "a2a.acme.diagnostics.request",
            "a2a.acme.monitoring.event",
            "approval.acme.apr_1.requested",
            "approval.acme.apr_1.closed",
            "approval.acme.apr_1.decided",
            "fact.acme.inc_1.opened",
            "elsewhere",
        ];
        let advice: std::collections::BTreeSet<String> =
            subjects.iter().map(|subject| next(&letter(subject, b""), "paramedic", "").remove(0)).collect();
        assert_eq!(advice.len(), subjects.len());
    }
}
