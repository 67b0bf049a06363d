//! Parses YAML. Errors have a position and suggest the likely intended key.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::error::ConfigError;

/// Line and column, from 1.
type Position = (usize, usize);

pub(super) fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let reported = error.inner().location().map(|location| (location.line(), location.column()));
        // If a value has the right type but is invalid, the parser reports the position of the surrounding mapping.
        let at = reported.max(locate(error.path(), text));
        let whole = error.inner().to_string();
        let message = strip_position(&whole);
        ConfigError::Invalid { path: path.to_owned(), at, hint: hint(message), message: message.to_owned() }
    })
}

/// Returns the position of the last key of a path that can be found.
fn locate(path: &serde_path_to_error::Path, text: &str) -> Option<Position> {
    let keys = path.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(key.as_str()),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    });
    let mut offset = None;
    for key in keys {
        let from = offset.unwrap_or(0);
        offset = position_of_key(&text[from..], key).map(|found| from + found).or(offset);
    }
    let before = &text[..offset?];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}

/// Returns the first position where `key` is followed by a colon and appears where a key is allowed.
fn position_of_key(text: &str, key: &str) -> Option<usize> {
    text.match_indices(key).map(|(position, _)| position).find(|&position| {
        let line_before = text[..position].rsplit('\n').next().unwrap_or_default().trim_end();
        let may_begin = line_before.is_empty() || line_before.ends_with(['{', ',', '-']);
        may_begin && text[position + key.len()..].starts_with(':')
    })
}

/// Strips the position from the end of a message, because the error already starts with it.
fn strip_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(before, after)| {
        let is_place = after.chars().all(|c| c.is_ascii_digit() || c == ' ' || "column".contains(c));
        if is_place { before } else { message }
    })
}

/// Returns the expected word most similar to the unknown one in serde's "unknown field `a`, expected one of `b`, `c`".
fn hint(message: &str) -> String {
    let is_unknown = message.contains("unknown field `") || message.contains("unknown variant `");
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(unknown) = words.next().filter(|_| is_unknown) else { return String::new() };
    doproxy_support::suggest(unknown, words).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default()
}
