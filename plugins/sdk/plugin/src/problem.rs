//! Problems in a configuration, and how a plugin reports all of them at once.

use serde::de::DeserializeOwned;

/// A problem in a configuration.
///
/// # Examples
///
/// ```
/// use doproxy_plugin_sdk::Problem;
///
/// let problem = Problem::at("/port", "a port must be 1 to 65535");
///
/// assert_eq!(problem.path, "/port");
/// assert_eq!(problem.message, "a port must be 1 to 65535");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A JSON pointer to the problem; empty for the whole configuration.
    pub path: String,
    /// The problem and the accepted values.
    pub message: String,
}

impl Problem {
    /// Creates a problem at a JSON pointer.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Parses JSON text.
///
/// # Examples
///
/// ```
/// use doproxy_plugin_sdk::parse_json;
///
/// assert_eq!(parse_json::<Vec<u32>>("[1, 2]"), Ok(vec![1, 2]));
///
/// let problems = parse_json::<Vec<u32>>("[1, -2]").unwrap_err();
/// assert!(problems[0].message.contains("line 1 column 6"));
/// ```
pub fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T, Vec<Problem>> {
    serde_json::from_str(json).map_err(|error| vec![Problem::at("", error.to_string())])
}

/// Returns the value, or the problems if there are any.
///
/// # Examples
///
/// ```
/// use doproxy_plugin_sdk::{Problem, validated};
///
/// fn validate(port: u16) -> Result<u16, Vec<Problem>> {
///     let mut problems = Vec::new();
///     if port == 0 {
///         problems.push(Problem::at("/port", "a port must be 1 to 65535"));
///     }
///     validated(port, problems)
/// }
///
/// assert_eq!(validate(80), Ok(80));
/// assert_eq!(validate(0).unwrap_err().len(), 1);
/// ```
pub fn validated<T>(value: T, problems: Vec<Problem>) -> Result<T, Vec<Problem>> {
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_error_includes_the_position() {
        let problems = parse_json::<u32>("{\n\"a\"").unwrap_err();

        assert!(problems[0].path.is_empty() && problems[0].message.contains("line"), "{problems:?}");
    }

    #[test]
    fn value_with_problems_is_rejected() {
        assert_eq!(validated(1, Vec::new()), Ok(1));
        assert_eq!(validated(1, vec![Problem::at("/a", "b")]), Err(vec![Problem::at("/a", "b")]));
    }
}
