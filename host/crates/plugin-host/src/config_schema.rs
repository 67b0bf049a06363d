//! Validation of configurations against the JSON Schema of a plugin.

use doproxy_core::domain::Problem;
use doproxy_support::sanitize;
use jsonschema::PatternOptions;
use serde_json::Value;

/// The reason why validation failed.
#[derive(Debug)]
pub(super) enum SchemaError {
    /// The plugin's schema is invalid.
    Schema(String),
    /// The configuration is invalid.
    Config(Vec<Problem>),
}

/// Maximum number of reported problems.
const MAX_PROBLEMS: usize = 50;

/// Validates the JSON text `config` against the JSON text `schema`.
pub(super) fn check(schema: &str, config: &str) -> Result<(), SchemaError> {
    let broken = |error: &dyn std::fmt::Display| SchemaError::Schema(sanitize::sanitize_line(&error.to_string(), 500));
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(SchemaError::Schema(format!("{} bytes exceed the maximum of {MAX_SCHEMA_BYTES}", schema.len())));
    }
    let schema: Value = serde_json::from_str(schema).map_err(|error| broken(&error))?;
    if let Some(reason) = unsupported_reason(&schema) {
        return Err(SchemaError::Schema(reason.to_owned()));
    }
    let validator = jsonschema::options()
        // Bound the cost of patterns, which come from the plugin.
        .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES))
        .build(&schema)
        .map_err(|error| broken(&error))?;
    let config: Value = serde_json::from_str(config).map_err(|error| {
        SchemaError::Config(vec![Problem { path: String::new(), message: format!("not valid JSON: {error}") }])
    })?;
    if !is_within_budget(&schema, &config) {
        return Err(SchemaError::Schema(format!(
            "validating this configuration takes more than {MAX_STEPS} steps: parts of the schema apply to the same value repeatedly"
        )));
    }
    let problems: Vec<Problem> = validator
        .iter_errors(&config)
        .take(MAX_PROBLEMS)
        .map(|error| Problem {
            path: sanitize::sanitize_line(error.instance_path().as_str(), 200),
            message: sanitize::sanitize_line(&error.to_string(), 500),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(SchemaError::Config(problems)) }
}

/// Returns the reason why validation with this schema might not terminate or might overflow the stack. Schemas come
/// from plugins and are untrusted.
fn unsupported_reason(schema: &Value) -> Option<&'static str> {
    let mut walk = RefChecker { root: schema, steps: MAX_APPLIED_SCHEMAS, unsupported: None };
    walk.check_all(schema);
    walk.unsupported
}

/// Maximum number of schemas applied to one value, counted over the whole document.
const MAX_APPLIED_SCHEMAS: usize = 1000;

/// Maximum size of a schema in bytes.
const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Maximum size of a compiled pattern in bytes.
const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// Maximum number of schemas between a value and the innermost schema applied to it.
const MAX_IN_PLACE_DEPTH: usize = 64;

/// Follows all schemas that apply to the same value: references, and the keywords that combine schemas.
struct RefChecker<'a> {
    root: &'a Value,
    steps: usize,
    unsupported: Option<&'static str>,
}

impl<'a> RefChecker<'a> {
    fn check_all(&mut self, value: &'a Value) {
        match value {
            Value::Object(members) => {
                // An `$id` would make references relative to a different root than the one assumed here.
                if members.contains_key("$id") || members.contains_key("id") && members.contains_key("$ref") {
                    self.unsupported =
                        Some("$id is not supported; a $ref must point into the schema itself, as #/$defs/NAME does");
                }
                self.check_in_place(value, 0);
                for member in members.values() {
                    self.check_all(member);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.check_all(item);
                }
            }
            _ => {}
        }
    }

    fn check_in_place(&mut self, schema: &'a Value, depth: usize) {
        if self.unsupported.is_some() {
            return;
        }
        if depth > MAX_IN_PLACE_DEPTH || self.steps == 0 {
            self.unsupported = Some("its references are circular or too deeply nested");
            return;
        }
        self.steps -= 1;
        match in_place_subschemas(self.root, schema) {
            Ok(schemas) => schemas.into_iter().for_each(|schema| self.check_in_place(schema, depth + 1)),
            Err(reason) => self.unsupported = Some(reason),
        }
    }
}

/// Returns the subschemas that a schema applies to the same value as itself.
fn in_place_subschemas<'a>(root: &'a Value, schema: &'a Value) -> Result<Vec<&'a Value>, &'static str> {
    let mut applied = Vec::new();
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        match (keyword.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                let outside = "a $ref must point into the schema itself, as #/$defs/NAME does";
                applied.push(resolve_ref(root, reference).ok_or(outside)?);
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                return Err("$dynamicRef and $recursiveRef are not supported");
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => applied.extend(schemas),
            ("not" | "if" | "then" | "else", schema) => applied.push(schema),
            ("dependentSchemas" | "dependencies", Value::Object(schemas)) => applied.extend(schemas.values()),
            _ => {}
        }
    }
    Ok(applied)
}

fn resolve_ref<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    // JSON pointers in URIs may be percent-encoded. This is unused in practice, and decoding here must not differ from
    // the validator's.
    if pointer.contains('%') { None } else { root.pointer(pointer) }
}

/// Maximum number of steps of one validation. They take the validator less than a second; the schemas of the built-in
/// plugins take a few hundred.
const MAX_STEPS: u64 = 200_000;

/// Maximum number of schemas between the whole configuration and the innermost schema applied; each uses stack space.
const MAX_NESTING: usize = 256;

/// Reports whether `config` can be validated against `schema` in bounded time. The validator cannot be interrupted, and
/// a schema that applies itself 240 times to each member costs 240 to the power of the configuration's depth; so the
/// steps are counted first, assuming that every part applies.
fn is_within_budget(schema: &Value, config: &Value) -> bool {
    let mut work = StepBudget { root: schema, remaining: MAX_STEPS };
    work.apply(schema, config, 0);
    work.remaining > 0
}

struct StepBudget<'a> {
    root: &'a Value,
    remaining: u64,
}

impl<'a> StepBudget<'a> {
    fn apply(&mut self, schema: &'a Value, value: &Value, depth: usize) {
        if depth > MAX_NESTING {
            self.remaining = 0;
        }
        self.spend(1 + length(value));
        let Some(members) = schema.as_object() else { return };
        if self.remaining == 0 {
            return;
        }
        for (keyword, given) in members {
            match (keyword.as_str(), given) {
                ("properties", Value::Object(schemas)) => {
                    self.spend(schemas.len() as u64);
                    for (name, schema) in schemas {
                        if let Some(child) = value.get(name) {
                            self.apply(schema, child, depth + 1);
                        }
                    }
                }
                ("patternProperties", Value::Object(schemas)) => {
                    schemas.values().for_each(|schema| self.apply_to_children(schema, value, depth));
                }
                ("items" | "prefixItems", Value::Array(schemas)) => {
                    for (schema, child) in schemas.iter().zip(children(value)) {
                        self.apply(schema, child, depth + 1);
                    }
                }
                (
                    "items"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains"
                    | "additionalProperties"
                    | "unevaluatedProperties"
                    | "propertyNames",
                    schema,
                ) => self.apply_to_children(schema, value, depth),
                ("$defs" | "definitions" | "title" | "description" | "default" | "examples" | "$comment", _) => {}
                // Keywords such as `required` and `enum`.
                (_, given) => self.spend(size(given)),
            }
        }
        for schema in in_place_subschemas(self.root, schema).unwrap_or_default() {
            self.apply(schema, value, depth + 1);
        }
        if members.contains_key("unevaluatedProperties") || members.contains_key("unevaluatedItems") {
            self.count_evaluated(schema, value, depth);
        }
    }

    fn apply_to_children(&mut self, schema: &'a Value, value: &Value, depth: usize) {
        for child in children(value) {
            self.apply(schema, child, depth + 1);
        }
    }

    /// Counts the cost of finding already evaluated properties: the validator checks all applicable schemas once more
    /// at each level.
    fn count_evaluated(&mut self, schema: &'a Value, value: &Value, depth: usize) {
        if self.remaining == 0 {
            return;
        }
        for schema in in_place_subschemas(self.root, schema).unwrap_or_default() {
            self.apply(schema, value, depth + 1);
            self.count_evaluated(schema, value, depth + 1);
        }
    }

    fn spend(&mut self, steps: u64) {
        self.remaining = self.remaining.saturating_sub(steps);
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Returns the cost of a keyword that reads the whole value; patterns read 16 bytes per step.
fn length(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 / 16,
        value => children(value).count() as u64,
    }
}

fn size(value: &Value) -> u64 {
    1 + children(value).map(size).sum::<u64>()
}

#[cfg(test)]
mod tests;
