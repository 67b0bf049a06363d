//! Text that somebody else wrote, as it may be shown.

use crate::model::secret::redacted;

/// Most characters of it.
const MOST: usize = 300;

/// On one line, without control characters, bounded, and without tokens of DigitalOcean.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.chars().take(4 * MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = redacted(&text).split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MOST) {
        words.truncate(end);
        words.push('…');
    }
    words
}

/// As [`clean`], of bytes that may be no text.
pub(super) fn clean_bytes(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_says_can_do_nothing_to_a_terminal() {
        assert_eq!(clean("a\u{1b}[2J\r\nb  c\u{9b}31m dop_v1_secret"), "a [2J b c 31m dop_v1_…");
        assert_eq!(clean(&"x".repeat(5000)).chars().count(), MOST + 1);
        assert_eq!(clean_bytes(b"\xff ok"), "\u{fffd} ok");
    }
}
