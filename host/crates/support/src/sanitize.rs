//! Sanitizing untrusted text for terminals.

/// Returns the first `most` characters of `text` on one line. Characters that a terminal would interpret or that would
/// mislead a reader are replaced: control characters, invisible characters, and those that change the writing
/// direction.
pub fn sanitize_line(text: &str, most: usize) -> String {
    // Fast path: nearly all text is of this kind, and each decision contains some.
    if text.len() <= most && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.trim_end().to_owned();
    }
    let mut characters = text.trim_end().chars();
    let mut cleaned: String = characters
        .by_ref()
        .take(most)
        .map(|character| match character {
            '\n' | '\t' => ' ',
            character if is_unsafe(character) => char::REPLACEMENT_CHARACTER,
            character => character,
        })
        .collect();
    if characters.next().is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// Returns `text` as words with single spaces between them, at most `most` characters. Control characters separate words.
pub fn sanitize_words(text: &str, most: usize) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|w| !w.is_empty()).collect();
    let mut words = words.join(" ");
    if let Some((end, _)) = words.char_indices().nth(most) {
        words.truncate(end);
        words.push('…');
    }
    words
}

fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            sanitize_line("\x1b[2Jred\u{202e}der\r\u{9b}31m", 100),
            "\u{fffd}[2Jred\u{fffd}der\u{fffd}\u{fffd}31m"
        );
        assert_eq!(sanitize_line("two\nlines ü", 100), "two lines ü");
    }

    #[test]
    fn words_are_separated_by_single_spaces() {
        assert_eq!(sanitize_words("a\u{1b}[2J\r\nb  c\u{9b}31m ", 100), "a [2J b c 31m");
        assert_eq!(sanitize_words("ä ö ü", 3), "ä ö…");
    }

    #[test]
    fn long_text_is_truncated() {
        assert_eq!(sanitize_line("äöü", 2), "äö…");
        assert_eq!(sanitize_line("äö", 2), "äö");
    }
}
