//! Text from outside, sanitized for display.

use doproxy_core::domain::redacted;
use doproxy_support::sanitize_words;

/// Maximum length, in characters.
const MAX_CHARS: usize = 300;

/// Returns the text on one line, without control characters, bounded, and without DigitalOcean tokens.
pub(super) fn sanitize(text: &str) -> String {
    let text: String = text.chars().take(4 * MAX_CHARS).collect();
    sanitize_words(&redacted(&text), MAX_CHARS)
}

/// Sanitizes bytes that may not be UTF-8; see [`sanitize`].
pub(super) fn sanitize_bytes(bytes: &[u8]) -> String {
    sanitize(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MAX_CHARS)]))
}

#[cfg(test)]
mod tests;
