//! The API token, as a type that cannot be printed; and taking tokens out of text that somebody else wrote.

use std::borrow::Cow;
use std::fmt;

/// How tokens of DigitalOcean begin: personal ones, those of applications, and those that make new ones.
const TOKEN_PREFIXES: [&str; 3] = ["dop_v1_", "doo_v1_", "dor_v1_"];

/// A DigitalOcean API token. `Debug` and `Display` show that there is one, never what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from text; spaces and line ends around it do not count. `None` when nothing is left,
    /// or when it holds a character that cannot stand in an HTTP header.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// The token itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Text as it may be shown, written down or logged: without anything that looks like a token. The last line of defence,
/// for text from outside that has one in it, such as a doproxy.yml that is wrong at just that place.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = TOKEN_PREFIXES.iter().filter_map(|start| rest.find(start)).min() {
        let (before, token) = rest.split_at(start);
        let (prefix, secret) = token.split_at(TOKEN_PREFIXES[0].len());
        let end = secret.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(secret.len());
        shown.extend([before, prefix, if end > 0 { "…" } else { "" }]);
        rest = &secret[end..];
    }
    if rest.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::parse(" dop_v1_secret\n").unwrap();

        assert_eq!(token.reveal(), "dop_v1_secret");
        assert!(!format!("{token} {token:?}").contains("secret"));
    }

    #[test]
    fn what_looks_like_a_token_is_taken_out_of_text() {
        for (text, shown) in [
            ("nothing of the kind", "nothing of the kind"),
            ("token: dop_v1_0a1b.", "token: dop_v1_…."),
            ("dop_v1_aa\"doo_v1_bb,dor_v1_cc", "dop_v1_…\"doo_v1_…,dor_v1_…"),
            ("dop_v1_dor_v1_é", "dop_v1_…é"),
            ("tokens begin with dop_v1_ as in `dop_v1_`", "tokens begin with dop_v1_ as in `dop_v1_`"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_token() {
        for bad in ["", "  ", "a b", "a\r\nX-Evil: 1"] {
            assert_eq!(Token::parse(bad), None, "{bad:?}");
        }
    }
}
