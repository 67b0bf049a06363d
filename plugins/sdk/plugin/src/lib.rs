//! The part of the SDK that is common to all plugins: manifest and configuration parsing.
//!
//! The parts for only one kind of plugin are in `doproxy-policy-sdk` and `doproxy-user-data-sdk`.

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "an allocator operates on addresses")]
mod allocator;

use serde::de::DeserializeOwned;

/// A plugin's description of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// Name of its package.
    pub name: &'static str,
    /// Version of its package.
    pub version: &'static str,
    /// A one-sentence description.
    pub description: &'static str,
    /// A JSON Schema, draft 2020-12.
    pub config_schema: &'static str,
}

/// Creates the manifest of the calling package, with the schema in a file next to the caller.
#[macro_export]
macro_rules! manifest {
    ($schema:literal) => {
        $crate::Manifest {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), "."),
            config_schema: include_str!($schema),
        }
    };
}

/// A problem in a configuration.
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
pub fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T, Vec<Problem>> {
    serde_json::from_str(json).map_err(|error| vec![Problem::at("", error.to_string())])
}

/// Returns the value, or the problems if there are any.
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
