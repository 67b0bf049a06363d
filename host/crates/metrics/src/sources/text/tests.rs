use super::*;

#[test]
fn control_characters_and_tokens_are_removed() {
    assert_eq!(sanitize("a\u{1b}[2J\r\nb  c\u{9b}31m dop_v1_secret"), "a [2J b c 31m dop_v1_…");
    assert_eq!(sanitize(&"x".repeat(5000)).chars().count(), MAX_CHARS + 1);
    assert_eq!(sanitize_bytes(b"\xff ok"), "\u{fffd} ok");
}
