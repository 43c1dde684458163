//! Alertmanager's matchers: conditions on labels, as runbooks, heartbeats, silences and maintenance windows are written with.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Labels;

/// Matchers of one silence, window or runbook: more than anybody writes.
pub const MATCHERS_MAX: usize = 20;
/// Bytes that one regular expression may take once it is made ready. A few characters (`\w{500}`) can become 10 MiB, and hundreds of
/// matchers are kept; a list of five hundred names has room.
const PATTERN_BYTES_MAX: usize = 2 << 20;

/// One Alertmanager matcher with equality; regular expressions are anchored as Alertmanager's are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    Is(String),
    IsNot(String),
    Fits(Pattern),
    FitsNot(Pattern),
}

/// A regular expression, made ready once; it is compared by its text.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    anchored: Regex,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, regex::Error> {
        let anchored = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build()?;
        Ok(Self { text: text.to_owned(), anchored })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

/// A matcher that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("matcher {0:?} must look like label=\"value\", with one of the operators = != =~ !~")]
pub struct BadMatcher(String);

impl TryFrom<String> for Matcher {
    type Error = BadMatcher;
    fn try_from(text: String) -> Result<Self, BadMatcher> {
        let bad = || BadMatcher(text.clone());
        let at = text.find(['=', '!']).ok_or_else(bad)?;
        let (label, rest) = text.split_at(at);
        let operators = ["=~", "!~", "!=", "="];
        let (sign, value) = operators.iter().find_map(|sign| Some((*sign, rest.strip_prefix(sign)?))).ok_or_else(bad)?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        let label = label.trim();
        if label.is_empty() {
            return Err(bad());
        }
        let pattern = || Pattern::new(value).map_err(|_| bad());
        let check = match sign {
            "=~" => Test::Fits(pattern()?),
            "!~" => Test::FitsNot(pattern()?),
            "!=" => Test::IsNot(value.to_owned()),
            _ => Test::Is(value.to_owned()),
        };
        Ok(Self { label: label.to_owned(), test: check })
    }
}

impl std::str::FromStr for Matcher {
    type Err = BadMatcher;
    fn from_str(text: &str) -> Result<Self, BadMatcher> {
        Self::try_from(text.to_owned())
    }
}

impl std::fmt::Display for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, value) = match &self.test {
            Test::Is(value) => ("=", value),
            Test::IsNot(value) => ("!=", value),
            Test::Fits(pattern) => ("=~", &pattern.text),
            Test::FitsNot(pattern) => ("!~", &pattern.text),
        };
        write!(f, "{}{sign}\"{value}\"", self.label)
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

impl Matcher {
    /// `label="value"`.
    pub fn equal(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), test: Test::Is(value.into()) }
    }

    /// Whether a label set satisfies it; an absent label counts as empty, as in Alertmanager.
    pub fn is_satisfied(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        match &self.test {
            Test::Is(wanted) => value == wanted,
            Test::IsNot(unwanted) => value != unwanted,
            Test::Fits(pattern) => pattern.anchored.is_match(value),
            Test::FitsNot(pattern) => !pattern.anchored.is_match(value),
        }
    }

    /// The label that it asks to have one very value, if it does: `name="checkout"`, not `name=~".+"` and not `name=""`.
    pub fn pins(&self) -> Option<&str> {
        match &self.test {
            Test::Is(value) if !value.is_empty() => Some(&self.label),
            Test::Is(_) | Test::IsNot(_) | Test::Fits(_) | Test::FitsNot(_) => None,
        }
    }
}

/// Whether a label set satisfies all of them.
pub fn all_satisfied(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.is_satisfied(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        [("service", "checkout"), ("severity", "critical")].into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn a_matcher_is_what_alertmanager_takes_it_for() {
        for (text, satisfied, pins) in [
            ("service=\"checkout\"", true, Some("service")),
            ("service = checkout", true, Some("service")),
            ("service!=\"cart\"", true, None),
            ("service=~\"check.*\"", true, None),
            ("service=~\"check\"", false, None),
            ("service!~\"check|cart\"", true, None),
            ("service=\"\"", false, None),
            ("team=\"\"", true, None),
            ("team!~\".+\"", true, None),
        ] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!((matcher.is_satisfied(&labels()), matcher.pins()), (satisfied, pins), "{text}");
            assert_eq!(matcher.to_string().parse::<Matcher>().unwrap(), matcher, "{text}");
        }
    }

    #[test]
    fn a_list_of_five_hundred_names_has_room() {
        let names: Vec<String> = (0..500).map(|n| format!("checkout-service-{n}")).collect();
        assert!(format!("service=~\"{}\"", names.join("|")).parse::<Matcher>().is_ok());
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for bad in ["service", "=\"x\"", "service=~\"(\"", "service~\"x\"", "", r"service=~\w{500}"] {
            assert_eq!(bad.parse::<Matcher>(), Err(BadMatcher(bad.to_owned())));
        }
    }
}
