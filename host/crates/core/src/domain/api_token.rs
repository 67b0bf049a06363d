//! The API token, as a type that cannot be printed, and the redaction of tokens in text from other sources.

use std::borrow::Cow;
use std::fmt;

/// The prefixes of DigitalOcean tokens: personal, application and refresh tokens.
const TOKEN_PREFIXES: [&str; 3] = ["dop_v1_", "doo_v1_", "dor_v1_"];

/// A DigitalOcean API token. `Debug` and `Display` show its presence, never its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Parses a token, ignoring surrounding spaces and line breaks. Returns `None` if nothing is left, or if it
    /// contains a character that is invalid in an HTTP header.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// Returns the token itself, for the one place that sends it.
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

/// Redacts anything that looks like a token, for display, storage and logs. This is the last line of defense, for
/// external text that contains one, such as a doproxy.yml with an error at exactly that place.
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
    fn token_is_never_shown() {
        let token = Token::parse(" dop_v1_secret\n").unwrap();

        assert_eq!(token.reveal(), "dop_v1_secret");
        assert!(!format!("{token} {token:?}").contains("secret"));
    }

    #[test]
    fn token_like_text_is_redacted() {
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
    fn token_invalid_in_a_header_is_rejected() {
        for bad in ["", "  ", "a b", "a\r\nX-Evil: 1"] {
            assert_eq!(Token::parse(bad), None, "{bad:?}");
        }
    }
}
