//! The rules that values must keep beyond their shape: REQUIRED fields hold something, ids can be stored, sizes are bounded. Every
//! broken rule is reported with the path of its field in JSON, up to [`VIOLATIONS_MAX`].

mod card;
mod request;
mod rule;
mod security;
mod task;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::error::{A2aError, FieldViolation};
use crate::limits::{CARD_ENTRIES_MAX, METADATA_BYTES_MAX, MODES_MAX, VIOLATIONS_MAX};
use crate::types::Metadata;

/// A value with rules.
pub trait Validate {
    /// Reports every rule that is broken.
    fn check(&self, found: &mut Violations);

    /// Refuses the value if it breaks a rule.
    ///
    /// # Errors
    /// Invalid params, with all that was found.
    fn validate(&self) -> Result<(), A2aError> {
        let mut found = Violations::default();
        self.check(&mut found);
        if found.found.is_empty() { Ok(()) } else { Err(A2aError::invalid_params(found.found)) }
    }
}

impl<T: Validate> Validate for Option<T> {
    fn check(&self, found: &mut Violations) {
        if let Some(value) = self {
            value.check(found);
        }
    }
}

/// What was found so far, and where we are.
#[derive(Debug, Default)]
pub struct Violations {
    path: String,
    found: Vec<FieldViolation>,
}

impl Violations {
    /// The value here breaks a rule.
    pub fn report(&mut self, description: impl Into<String>) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(FieldViolation::new(&self.path, &description.into()));
        }
    }

    /// Goes into a field.
    pub fn within(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.at(&format!("{dot}{name}"), check);
    }

    /// Goes one step further.
    fn at(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let outer = self.path.len();
        self.path.push_str(step);
        check(self);
        self.path.truncate(outer);
    }

    /// Goes into a field that has rules of its own.
    fn field(&mut self, name: &str, value: &impl Validate) {
        self.within(name, |found| value.check(found));
    }

    /// Goes into each element of a list that has at most `max`. A longer one is not looked into.
    fn each<T>(&mut self, name: &str, list: &[T], max: usize, check: impl Fn(&T, &mut Self)) {
        self.within(name, |found| {
            if list.len() > max {
                return found.report(format!("must hold at most {max}"));
            }
            for (n, element) in list.iter().enumerate() {
                found.at(&format!("[{n}]"), |found| check(element, found));
            }
        });
    }

    /// A REQUIRED list: one without elements is none.
    fn some<T>(&mut self, name: &str, list: &[T], max: usize, check: impl Fn(&T, &mut Self)) {
        if list.is_empty() {
            self.within(name, |found| found.report(rule::EMPTY));
        }
        self.each(name, list, max, check);
    }

    /// Goes into each entry of a map.
    fn map<T>(&mut self, name: &str, map: &BTreeMap<String, T>, check: impl Fn(&T, &mut Self)) {
        self.within(name, |found| {
            if map.len() > CARD_ENTRIES_MAX {
                return found.report(format!("must hold at most {CARD_ENTRIES_MAX}"));
            }
            for (key, value) in map {
                found.within(key, |found| {
                    rule::name(key, found);
                    check(value, found);
                });
            }
        });
    }

    /// REQUIRED text.
    fn text(&mut self, name: &str, text: &str, chars_max: usize) {
        self.within(name, |found| {
            rule::filled(text, found);
            rule::short(text, chars_max, found);
        });
    }

    /// Text that may be absent or empty.
    fn text_if_any(&mut self, name: &str, text: Option<&String>, chars_max: usize) {
        self.within(name, |found| rule::short(text.map_or("", String::as_str), chars_max, found));
    }

    /// A REQUIRED id.
    fn id(&mut self, name: &str, id: &str) {
        self.within(name, |found| rule::id(id, found));
    }

    /// An id that may be absent.
    fn id_if_any(&mut self, name: &str, id: Option<&String>) {
        if let Some(id) = id {
            self.id(name, id);
        }
    }

    /// A REQUIRED absolute URL of any scheme.
    fn url(&mut self, name: &str, url: &str) {
        self.within(name, |found| rule::url(url, found));
    }

    /// An absolute URL that may be absent.
    fn url_if_any(&mut self, name: &str, url: Option<&String>) {
        if let Some(url) = url {
            self.url(name, url);
        }
    }

    /// A REQUIRED address of the web.
    fn web_url(&mut self, name: &str, url: &str) {
        self.within(name, |found| rule::web_url(url, found));
    }

    /// An address of the web that may be absent.
    fn web_url_if_any(&mut self, name: &str, url: Option<&String>) {
        if let Some(url) = url {
            self.web_url(name, url);
        }
    }

    /// Media types.
    fn modes(&mut self, name: &str, modes: &[String]) {
        self.each(name, modes, MODES_MAX, |mode, found| rule::name(mode, found));
    }

    /// Metadata of extensions.
    fn metadata(&mut self, name: &str, metadata: &Metadata) {
        self.within(name, |found| rule::bounded(rule::size_of_object(metadata), METADATA_BYTES_MAX, found));
    }

    /// A number that protobuf has room for.
    fn count(&mut self, name: &str, count: Option<u32>) {
        if count.is_some_and(|count| i32::try_from(count).is_err()) {
            self.within(name, |found| found.report(format!("must be at most {}", i32::MAX)));
        }
    }

    /// A time that RFC 3339 can write.
    fn time(&mut self, name: &str, time: Option<DateTime<Utc>>) {
        if let Some(time) = time {
            self.within(name, |found| rule::time(time, found));
        }
    }
}

#[cfg(test)]
mod tests;
