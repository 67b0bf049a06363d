use std::time::{Duration, Instant};

use super::*;

#[test]
fn uncheckable_schema_is_rejected() {
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
fn recursive_schema_is_supported() {
    let schema = r##"{"type": "object", "properties": {"child": {"$ref": "#"}}, "additionalProperties": false}"##;

    assert!(check(schema, r#"{"child": {"child": {}}}"#).is_ok());
    let Err(SchemaError::Config(problems)) = check(schema, r#"{"child": {"child": 7}}"#) else { panic!() };
    assert_eq!(problems[0].path, "/child/child");
}

/// Validates, and measures the duration.
fn timed(schema: &str, config: &str) -> (Result<(), SchemaError>, Duration) {
    let started = Instant::now();
    let result = check(schema, config);
    (result, started.elapsed())
}

#[test]
fn exponential_schema_is_rejected_immediately() {
    let itself = vec![r##"{"$ref": "#"}"##; 240].join(",");
    let fan_out = format!(r#"{{"additionalProperties": {{"allOf": [{itself}]}}}}"#);

    let (result, took) = timed(&fan_out, r#"{"parts": {"first": {"template": "x"}}}"#);

    let Err(SchemaError::Schema(reason)) = result else { panic!("{result:?}") };
    assert!(reason.starts_with("validating this configuration takes more than 200000 steps"), "{reason}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn doubling_schema_is_rejected_immediately() {
    let levels: Vec<String> = (0..31)
        .map(|n| {
            let next = n + 1;
            format!(r##""d{n}": {{"allOf": [{{"$ref": "#/$defs/d{next}"}}], "unevaluatedProperties": false}}"##)
        })
        .collect();
    let levels = levels.join(",");
    let doubling = format!(r##"{{"$ref": "#/$defs/d0", "$defs": {{{levels}, "d31": {{}}}}}}"##);

    let (result, took) = timed(&doubling, r#"{"a": 1}"#);

    assert!(matches!(result, Err(SchemaError::Schema(_))), "{result:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn most_expensive_check_takes_under_a_second() {
    // Applies itself 40 times on each of three levels, each with a list of names that are all missing.
    let itself = vec![r##"{"$ref": "#"}"##; 40].join(",");
    let names: Vec<String> = (0..10).map(|n| format!(r#""missing{n}""#)).collect();
    let schema = format!(r#"{{"required": [{}], "additionalProperties": {{"anyOf": [{itself}]}}}}"#, names.join(","));

    let (result, took) = timed(&schema, r#"{"a": {"b": 1}}"#);

    assert!(matches!(result, Err(SchemaError::Config(_))), "{result:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn long_template_is_accepted() {
    let schema = r#"{"properties": {"template": {"oneOf": [{"type": "string", "minLength": 1, "pattern": "^#"},
            {"type": "object"}]}, "parts": {"type": "array", "items": {"properties": {"template": {"type": "string"}}}}}}"#;
    let template = "#".repeat(64 * 1024);
    let config = format!(r#"{{"template": "{template}", "parts": [{{"template": "{template}"}}]}}"#);

    assert!(check(schema, &config).is_ok());
}
