//! A Slack channel or a Jira project: what was posted, under which key, and what it shows now. It takes whatever it is given, twice if it
//! is given twice; only who looks for the key finds what is there.

use incident::id::IncidentId;

/// A card, a line, an issue, a comment.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The message's timestamp, or the key.
    pub(crate) name: String,
    /// The idempotency key that its poster left with it.
    key: String,
    pub(crate) incident: IncidentId,
    /// Set on cards and issues: whether it shows that the incident is over.
    pub(crate) is_over: Option<bool>,
    /// The newest bulletin that it ever showed.
    newest: u32,
    /// Whether an older bulletin came after a newer one. Chats take edits in the order in which they arrive, and a call may be overtaken.
    pub(crate) was_overtaken: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    entries: Vec<Entry>,
}

impl Desk {
    /// What was posted under this key.
    pub(crate) fn find(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Posts, whatever is there already; answers with its name.
    pub(crate) fn post(&mut self, key: &str, incident: IncidentId, is_over: Option<bool>) -> String {
        let name = format!("{}", self.entries.len() + 1);
        self.entries.push(Entry { name: name.clone(), key: key.to_owned(), incident, is_over, newest: 0, was_overtaken: false });
        name
    }

    /// Makes a card or issue show this bulletin.
    pub(crate) fn edit(&mut self, name: &str, (number, is_over): (u32, bool)) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.name == name) else { return false };
        entry.was_overtaken = number < entry.newest;
        entry.newest = number.max(entry.newest);
        entry.is_over = Some(is_over);
        true
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
