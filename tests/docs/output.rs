//! Comparison of a command's output with the lines that a page shows.

use std::sync::LazyLock;

use regex::Regex;

/// A line that stands for any number of lines.
const ANY_LINES: &str = "...";

/// The parts of a line that differ from run to run, and their replacements.
static VARYING: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let varying = [
        (r"(\w-\d+)-[2-9a-z]{6}\b", "$1-RANDOM"),
        (r"\b127\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\bid:? \d+\b", "id ID"),
        (r"\bsha256:[0-9a-f]+…?", "sha256:DIGEST"),
        (r"\b[0-9a-f]{64}\b", "DIGEST"),
        (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "INSTANT"),
        (r"\b\d+(\.\d+)? ?(ns|µs|ms|s|min|h)\b", "DURATION"),
        (r"\b\d+ (bytes|KiB|MiB|KB|MB)\b", "SIZE"),
        (r"\bprocess \d+\b", "process PID"),
        (r" +", " "),
    ];
    varying.into_iter().map(|(pattern, replacement)| (Regex::new(pattern).unwrap(), replacement)).collect()
});

/// Returns whether the output of a command is the one that the page shows, without the parts that vary.
pub(super) fn matches(expected: &[String], actual: &str) -> bool {
    let expected: Vec<String> = expected.iter().map(|line| normalize(line)).collect();
    let actual: Vec<String> = actual.lines().map(normalize).collect();
    lines_match(&expected, &actual)
}

fn lines_match(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == ANY_LINES => {
            (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..]))
        }
        Some((first, rest)) => {
            actual.split_first().is_some_and(|(line, more)| line == first && lines_match(rest, more))
        }
    }
}

fn normalize(line: &str) -> String {
    VARYING
        .iter()
        .fold(line.trim_end().to_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

mod comparison {
    use super::matches;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn ignores_what_varies() {
        let shown = lines("created www-0-k3f9tq (id 3164445), serving at 127.0.0.65\ntook 1.5 s, sha256:0c8f…");
        let actual = "created www-0-zzzzzz (id 7), serving at 127.3.2.1\ntook 22 ms, sha256:abcdef\n";
        assert!(matches(&shown, actual));
    }

    #[test]
    fn reports_other_words_and_missing_lines() {
        assert!(!matches(&lines("created www-0-k3f9tq"), "deleted www-0-k3f9tq\n"));
        assert!(!matches(&lines("a"), "a\nb\n"));
        assert!(!matches(&lines("a\nb"), "a\n"));
    }

    #[test]
    fn dots_stand_for_any_lines() {
        assert!(matches(&lines("a\n...\nd\n..."), "a\nb\nc\nd\n"));
        assert!(!matches(&lines("a\n...\ne"), "a\nb\n"));
    }
}
