//! Tracks ongoing problems, so that each is logged once when it starts, once when it changes, and once when it clears.

use std::collections::BTreeMap;

/// Active conditions, by subject.
#[derive(Debug, Default)]
pub(super) struct Conditions(BTreeMap<String, String>);

impl Conditions {
    /// Raises a condition for `subject`; reports whether it is new or changed.
    pub(super) fn raise(&mut self, subject: &str, why: &str) -> bool {
        let words = strip_digits(why);
        self.0.insert(subject.to_owned(), words.clone()).is_none_or(|before| before != words)
    }

    /// Clears the condition of `subject`; reports whether one was active.
    pub(super) fn clear(&mut self, subject: &str) -> bool {
        self.0.remove(subject).is_some()
    }

    /// Drops conditions whose subject starts with `prefix`, unless `is_there` accepts the rest of the subject.
    pub(super) fn retain(&mut self, prefix: &str, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|subject, _| subject.strip_prefix(prefix).is_none_or(&is_there));
    }
}

/// The same problem may contain a different time, ID or count each time it occurs.
fn strip_digits(words: &str) -> String {
    words.chars().filter(|character| !character.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_report_start_change_and_end() {
        let mut conditions = Conditions::default();

        assert!(conditions.raise("haproxy", "no response within 500 ms"));
        assert!(!conditions.raise("haproxy", "no response within 501 ms"));
        assert!(conditions.raise("haproxy", "connection refused"));
        assert!(conditions.clear("haproxy"));
        assert!(!conditions.clear("haproxy"));
        assert!(conditions.raise("haproxy", "connection refused"));
    }
}
