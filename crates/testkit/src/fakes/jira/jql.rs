//! The part of JQL a connector needs: conditions joined by AND, and an ORDER BY.
//!
//! As on the real site, a query without any condition is unbounded and refused.

use super::Issue;

/// `field = "value"`.
#[derive(Debug, PartialEq, Eq)]
struct Condition {
    field: String,
    value: String,
}

/// A parsed query.
#[derive(Debug)]
pub(super) struct Jql(Vec<Condition>);

impl Jql {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let end = lower.find("order by").unwrap_or(text.len());
        let conditions = text.get(..end).unwrap_or_default().trim();
        if conditions.is_empty() {
            return Err("Unbounded JQL queries are not allowed here.".to_owned());
        }
        let parts = split_and(conditions);
        parts.iter().map(|part| condition(part)).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn matches(&self, issue: &Issue) -> bool {
        self.0.iter().all(|condition| {
            let value = &condition.value;
            match condition.field.as_str() {
                "project" => issue.project.eq_ignore_ascii_case(value),
                "labels" => issue.labels.contains(value),
                "key" | "issuekey" => issue.key == *value,
                "status" => issue.status.name.eq_ignore_ascii_case(value),
                _ => false,
            }
        })
    }
}

fn split_and(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(" and ") {
        let (before, after) = rest.split_at(at);
        parts.push(before);
        rest = after.get(" and ".len()..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

fn condition(text: &str) -> Result<Condition, String> {
    let wrong = || format!("Error in the JQL Query: cannot read '{text}'.");
    let (field, value) = text.split_once('=').ok_or_else(wrong)?;
    let field = field.trim().to_ascii_lowercase();
    if !matches!(field.as_str(), "project" | "labels" | "key" | "issuekey" | "status") {
        return Err(format!("Field '{field}' does not exist or you do not have permission to view it."));
    }
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let is_bare = |value: &str| !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match quoted {
        Some(value) if !value.contains('"') => Ok(Condition { field, value: value.to_owned() }),
        None if is_bare(value) => Ok(Condition { field, value: value.to_owned() }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::Jql;

    #[test]
    fn conditions_are_read_and_the_rest_refused() {
        let good = "project = \"OPS\" AND labels = \"paramedic-eff_1\" ORDER BY created ASC";
        assert_eq!(Jql::parse(good).expect("read").0.len(), 2);
        for bad in ["", "ORDER BY created", "labels ~ x", "labels = \"a\" OR \"b\"", "reporter = me"] {
            assert!(Jql::parse(bad).is_err(), "{bad}");
        }
    }
}
