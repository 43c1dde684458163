//! The words of the Jira issue.

use incident::id::IncidentId;
use incident::task::Bulletin;

/// Jira: a summary is one line of at most 255 characters.
const SUMMARY_CHARS_MAX: usize = 255;

/// The summary.
pub(crate) fn summary(bulletin: &Bulletin) -> String {
    bulletin.title.replace(['\n', '\r'], " ").chars().take(SUMMARY_CHARS_MAX).collect()
}

/// The description, in paragraphs.
pub(crate) fn description(incident: &IncidentId, bulletin: &Bulletin) -> String {
    let mut paragraphs = vec![format!(
        "Incident {incident}, {}, since {}",
        bulletin.phase.label(),
        bulletin.opened_at.format("%Y-%m-%d %H:%M:%S UTC")
    )];
    paragraphs.extend(bulletin.follows.as_ref().map(|before| format!("Follows {before}, which had the same alerts")));
    paragraphs.extend(bulletin.attended.as_ref().map(|attended| format!("It is {attended}")));
    paragraphs.extend(bulletin.findings.iter().cloned());
    paragraphs.extend(bulletin.gaps.iter().map(|gap| format!("Gap: {gap}")));
    paragraphs.push(format!("Timeline: paramedic incident timeline {incident}"));
    paragraphs.join("\n\n")
}
