//! What all first-party plugins share: how one describes itself, and how it reads what an operator wrote.
//!
//! What only policies or only generators share is in `doproxy-policy-sdk` and `doproxy-user-data-sdk`.

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "an allocator is made of addresses")]
mod allocator;

use serde::de::DeserializeOwned;

/// A plugin's description of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manifest {
    /// The name of its package.
    pub name: &'static str,
    /// The version of its package.
    pub version: &'static str,
    /// A sentence.
    pub description: &'static str,
    /// A JSON Schema, draft 2020-12.
    pub config_schema: &'static str,
}

/// The manifest of the package that says so, with the schema in a file beside the one that says so.
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

/// Something wrong in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A JSON pointer to it; empty for the whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at a JSON pointer.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// Reads JSON text as it is written.
pub fn parse_json<T: DeserializeOwned>(json: &str) -> Result<T, Vec<Problem>> {
    serde_json::from_str(json).map_err(|error| vec![Problem::at("", error.to_string())])
}

/// The value where nothing is wrong with it.
pub fn validated<T>(value: T, problems: Vec<Problem>) -> Result<T, Vec<Problem>> {
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_with_where_it_stands() {
        let problems = parse_json::<u32>("{\n\"a\"").unwrap_err();

        assert!(problems[0].path.is_empty() && problems[0].message.contains("line"), "{problems:?}");
    }

    #[test]
    fn a_value_with_something_wrong_is_none() {
        assert_eq!(validated(1, Vec::new()), Ok(1));
        assert_eq!(validated(1, vec![Problem::at("/a", "b")]), Err(vec![Problem::at("/a", "b")]));
    }
}
