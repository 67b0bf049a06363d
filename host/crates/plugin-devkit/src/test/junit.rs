//! Reports in the `JUnit` format, which every CI server reads.

use std::fmt::Write as _;
use std::time::Duration;

/// A test case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The group: `fixtures` or `properties`.
    pub group: &'static str,
    /// The name of the test.
    pub name: String,
    /// The duration.
    pub duration: Duration,
    /// The failure, if the test failed.
    pub failure: Option<String>,
    /// Additional output.
    pub output: String,
}

/// Returns the report on the plugin `suite`.
pub fn report(suite: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let seconds: f64 = cases.iter().map(|case| case.duration.as_secs_f64()).sum();
    let counts = format!(r#"tests="{}" failures="{failures}" errors="0" time="{seconds:.3}""#, cases.len());
    let mut xml = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n");
    let suite = escaped(suite);
    let _ = writeln!(xml, "  <testsuite name=\"{suite}\" {counts}>");
    for case in cases {
        let (name, time) = (escaped(&case.name), case.duration.as_secs_f64());
        let _ = write!(xml, "    <testcase classname=\"{suite}.{}\" name=\"{name}\" time=\"{time:.3}\">", case.group);
        if let Some(failure) = &case.failure {
            let first = escaped(failure.lines().next().unwrap_or_default());
            let _ = write!(xml, "\n      <failure message=\"{first}\">{}</failure>", escaped(failure));
        }
        if !case.output.is_empty() {
            let _ = write!(xml, "\n      <system-out>{}</system-out>", escaped(&case.output));
        }
        xml.push_str(if case.failure.is_some() || !case.output.is_empty() {
            "\n    </testcase>\n"
        } else {
            "</testcase>\n"
        });
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Escapes text for XML 1.0, and replaces characters that XML cannot represent.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            control if control.is_control() || matches!(control, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
