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
    if schema.len() > BYTES {
        return Err(SchemaError::Schema(format!("it has {} bytes; at most {BYTES} are allowed", schema.len())));
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| broken(&error))?;
    if let Some(reason) = unfit(&schema) {
        return Err(SchemaError::Schema(reason.to_owned()));
    }
    let validator = jsonschema::options()
        // Patterns of a plugin must not be able to take for ever.
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN).dfa_size_limit(PATTERN))
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

/// Why checking against this schema could take for ever, or overflow the stack; a schema is written by a plugin too.
fn unfit(schema: &Value) -> Option<&'static str> {
    let mut walk = Walk { root: schema, steps: STEPS, unfit: None };
    walk.everywhere(schema);
    walk.unfit
}

/// Most schemas that are applied to one value, counted over the whole document.
const STEPS: usize = 1000;

/// Most bytes of a schema.
const BYTES: usize = 64 * 1024;

/// Most bytes of a compiled pattern.
const PATTERN: usize = 64 * 1024;

/// Most schemas between a value and the one that is applied to it in the end.
const DEPTH: usize = 64;

/// Follows all that applies to one and the same value: references, and the keywords that combine schemas.
struct Walk<'a> {
    root: &'a Value,
    steps: usize,
    unfit: Option<&'static str>,
}

impl<'a> Walk<'a> {
    fn everywhere(&mut self, value: &'a Value) {
        match value {
            Value::Object(members) => {
                // It would give references another root than the one that they are followed from here.
                if members.contains_key("$id") || members.contains_key("id") && members.contains_key("$ref") {
                    self.unfit =
                        Some("$id is not supported: a $ref points into the schema itself, as #/$defs/NAME does");
                }
                self.in_place(value, 0);
                for member in members.values() {
                    self.everywhere(member);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.everywhere(item);
                }
            }
            _ => {}
        }
    }

    fn in_place(&mut self, schema: &'a Value, depth: usize) {
        if self.unfit.is_some() {
            return;
        }
        if depth > DEPTH || self.steps == 0 {
            self.unfit = Some("its references lead back to themselves, or are too intricate");
            return;
        }
        self.steps -= 1;
        let Some(members) = schema.as_object() else { return };
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => match self.target(reference) {
                    Some(target) => self.in_place(target, depth + 1),
                    None => self.unfit = Some("a $ref must point into the schema itself, as #/$defs/NAME does"),
                },
                ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    self.unfit = Some("$dynamicRef and $recursiveRef are not supported");
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                    for schema in schemas {
                        self.in_place(schema, depth + 1);
                    }
                }
                ("not" | "if" | "then" | "else", schema) => self.in_place(schema, depth + 1),
                ("dependentSchemas" | "dependencies", Value::Object(schemas)) => {
                    for schema in schemas.values() {
                        self.in_place(schema, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        // A pointer in a URI may be percent-encoded; nobody does, and decoding must not differ from the validator's.
        if pointer.contains('%') { None } else { self.root.pointer(pointer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_could_never_be_checked_is_refused() {
        let doubling: Vec<String> = (0..30)
            .map(|n| {
                let next = format!(r##"{{"$ref": "#/$defs/d{}"}}"##, n + 1);
                format!(r#""d{n}": {{"allOf": [{next}, {next}]}}"#)
            })
            .collect();
        let doubling = doubling.join(",");
        for schema in [
            r##"{"$ref": "#"}"##.to_owned(),
            r##"{"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}"##.to_owned(),
            format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{doubling}, "d30": {{}}}}}}"##),
            r#"{"type": "no such type"}"#.to_owned(),
            r#"{"$ref": "https://example.com/schema.json"}"#.to_owned(),
            r##"{"$ref": "#%2F"}"##.to_owned(),
            "no JSON".to_owned(),
        ] {
            assert!(matches!(check(&schema, "{}"), Err(SchemaError::Schema(_))), "{schema}");
        }
    }

    #[test]
    fn a_schema_may_speak_of_trees() {
        let schema = r##"{"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false}"##;

        assert!(check(schema, r#"{"child": {"child": {}}}"#).is_ok());
        let Err(SchemaError::Config(problems)) = check(schema, r#"{"child": {"child": 7}}"#) else { panic!() };
        assert_eq!(problems[0].path, "/child/child");
    }
}
