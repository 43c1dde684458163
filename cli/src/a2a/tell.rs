//! What agents answer, for people. It comes from outside: control characters are taken out, so that it cannot move the cursor.

use a2a::{AgentCard, Artifact, Message, Part, PartContent, StreamResponse, Task, TaskState, TaskStatus};

use crate::output::table;

/// More of one text is not read on a terminal.
const TEXT_CHARS_MAX: usize = 2_000;

pub(super) fn task(task: &Task) -> String {
    let mut lines = vec![format!("task      {}", plain(&task.id))];
    if let Some(context) = &task.context_id {
        lines.push(format!("context   {}", plain(context)));
    }
    lines.push(format!("status    {}", status(&task.status)));
    lines.extend(task.artifacts.iter().map(|artifact| format!("artifact  {}", self::artifact(artifact))));
    lines.join("\n")
}

pub(super) fn tasks(tasks: &[Task], total: u32) -> String {
    if tasks.is_empty() {
        return "No tasks.".to_owned();
    }
    let row = |task: &Task| {
        let since = task.status.timestamp.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default();
        vec![plain(&task.id), short(task.status.state).to_owned(), since, plain(task.context_id.as_deref().unwrap_or_default())]
    };
    let shown = table(&["TASK", "STATE", "SINCE (UTC)", "CONTEXT"], &tasks.iter().map(row).collect::<Vec<_>>());
    let shown_all = usize::try_from(total).is_ok_and(|total| tasks.len() >= total);
    if shown_all { shown } else { format!("{shown}\n{} of {total}; --all shows them all.", tasks.len()) }
}

pub(super) fn message(message: &Message) -> String {
    message.parts.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// One line of a stream.
pub(super) fn event(event: &StreamResponse) -> String {
    match event {
        StreamResponse::Task(task) => format!("task      {} {}", plain(&task.id), status(&task.status)),
        StreamResponse::Message(message) => format!("message   {}", self::message(message)),
        StreamResponse::StatusUpdate(update) => format!("status    {}", status(&update.status)),
        StreamResponse::ArtifactUpdate(update) => {
            let more = if update.append { " (continued)" } else { "" };
            format!("artifact{more}  {}", artifact(&update.artifact))
        }
    }
}

/// How the task stands after an event, if the event says so.
pub(super) const fn state(event: &StreamResponse) -> Option<TaskState> {
    match event {
        StreamResponse::Task(task) => Some(task.status.state),
        StreamResponse::StatusUpdate(update) => Some(update.status.state),
        StreamResponse::Message(_) | StreamResponse::ArtifactUpdate(_) => None,
    }
}

/// `verified_with` is the key by which the card was found to be signed.
pub(super) fn card(card: &AgentCard, verified_with: Option<&str>) -> String {
    let mut lines = vec![format!("{} {}", plain(&card.name), plain(&card.version)), plain(&card.description), String::new()];
    for interface in &card.supported_interfaces {
        lines.push(format!("  {:<12} {}", plain(&interface.protocol_binding), plain(&interface.url)));
    }
    let signed = match verified_with {
        Some(kid) => format!("signed, verified with key {}", plain(kid)),
        None => "signed (not verified: give --card-key)".to_owned(),
    };
    let can = [
        (card.is_streaming(), "streams"),
        (card.is_pushing(), "push notifications"),
        (card.is_extended(), "extended card"),
        (!card.signatures.is_empty(), signed.as_str()),
    ];
    let can: Vec<&str> = can.into_iter().filter(|(is_so, _)| *is_so).map(|(_, name)| name).collect();
    lines.push(format!("\nhas       {}", if can.is_empty() { "nothing beyond the core".to_owned() } else { can.join(", ") }));
    for extension in &card.capabilities.extensions {
        let must = if extension.required { " (required)" } else { "" };
        lines.push(format!("extension {}{must}", plain(&extension.uri)));
    }
    for skill in &card.skills {
        lines.push(format!("skill     {}: {}", plain(&skill.id), plain(&skill.description)));
    }
    lines.join("\n")
}

fn status(status: &TaskStatus) -> String {
    let said = status.message.as_ref().map(message).map(|text| format!(": {text}")).unwrap_or_default();
    format!("{}{said}", short(status.state))
}

fn artifact(artifact: &Artifact) -> String {
    let name = artifact.name.as_ref().unwrap_or(&artifact.artifact_id);
    let parts: Vec<String> = artifact.parts.iter().map(part).collect();
    format!("{}: {}", plain(name), parts.join("\n"))
}

fn part(part: &Part) -> String {
    match &part.content {
        PartContent::Text(text) => plain(text),
        PartContent::Data(data) => plain(&serde_json::to_string_pretty(data).unwrap_or_default()),
        PartContent::Url(url) => plain(url),
        PartContent::Raw(bytes) => {
            format!("{} ({} bytes; --output json shows them)", plain(part.filename.as_deref().unwrap_or("a file")), bytes.len())
        }
    }
}

/// Without what all of them begin with.
fn short(state: TaskState) -> &'static str {
    state.as_str().trim_start_matches("TASK_STATE_")
}

fn plain(text: &str) -> String {
    let visible = text.chars().filter(|&c| c == '\n' || !c.is_control());
    let mut shown: String = visible.take(TEXT_CHARS_MAX + 1).collect();
    if shown.chars().count() > TEXT_CHARS_MAX {
        shown.pop();
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_text_cannot_move_the_cursor_or_fill_the_screen() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{7}"), "a[2Jb\nc");
        assert_eq!(plain(&"x".repeat(5_000)).chars().count(), TEXT_CHARS_MAX + 1);
    }
}
