//! The API token, as a type that cannot be printed.

use std::fmt;

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
    fn what_cannot_stand_in_a_header_is_no_token() {
        for bad in ["", "  ", "a b", "a\r\nX-Evil: 1"] {
            assert_eq!(Token::parse(bad), None, "{bad:?}");
        }
    }
}
