//! What is wrong now, so that each trouble is said once when it begins, once when it changes, and once when it ends.

use std::collections::BTreeMap;

/// Troubles, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Conditions(BTreeMap<String, String>);

impl Conditions {
    /// Something is wrong with `subject`: whether that is news.
    pub(super) fn raise(&mut self, subject: &str, why: &str) -> bool {
        let words = strip_digits(why);
        self.0.insert(subject.to_owned(), words.clone()).is_none_or(|before| before != words)
    }

    /// Nothing is wrong with `subject` any more: whether something was.
    pub(super) fn clear(&mut self, subject: &str) -> bool {
        self.0.remove(subject).is_some()
    }

    /// Keeps what is about these subjects, of those that begin with `prefix`.
    pub(super) fn retain(&mut self, prefix: &str, is_there: impl Fn(&str) -> bool) {
        self.0.retain(|subject, _| subject.strip_prefix(prefix).is_none_or(&is_there));
    }
}

/// The same trouble may say another time, id or count each time that it is met.
fn strip_digits(words: &str) -> String {
    words.chars().filter(|character| !character.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_news_when_it_begins_changes_and_ends() {
        let mut troubles = Conditions::default();

        assert!(troubles.raise("haproxy", "no answer within 500 ms"));
        assert!(!troubles.raise("haproxy", "no answer within 501 ms"));
        assert!(troubles.raise("haproxy", "connection refused"));
        assert!(troubles.clear("haproxy"));
        assert!(!troubles.clear("haproxy"));
        assert!(troubles.raise("haproxy", "connection refused"));
    }
}
