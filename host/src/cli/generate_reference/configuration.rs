//! The configuration reference: a table for each section of the JSON Schema.

use serde_json::Value;

use crate::cli::generate_reference::markdown::{code, page as page_of, table};

/// The beginning of the sentence of a description that states a default in words.
const DEFAULT: &str = "Default: ";

/// Returns the page.
pub(super) fn page(schema: &Value) -> String {
    let mut text = String::new();
    section(schema, "", &mut text);
    page_of("configuration.md", include_str!("../../../../templates/reference/configuration.md"), &text)
}

/// Writes the table of a section, then its subsections.
fn section(schema: &Value, path: &str, text: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut rows = Vec::new();
    let mut subsections = Vec::new();
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (nested, below) = if schema["items"]["properties"].is_object() {
            (&schema["items"], format!("{path}[]"))
        } else {
            (schema, path)
        };
        let is_section = nested["properties"].is_object();
        let (meaning, default) = description(schema);
        let meaning = if is_section { format!("{meaning} See [{below}](#{}).", anchor(&below)) } else { meaning };
        let default = if required.contains(&key.as_str()) { "required".to_owned() } else { default };
        rows.push([code(key), type_name(schema), default, meaning]);
        if is_section {
            subsections.push((nested, below));
        }
    }
    *text += &table(["key", "type", "default", "meaning"], &rows);
    for (schema, path) in subsections {
        let (meaning, _) = description(schema);
        *text += &format!("\n{} {path}\n\n{meaning}\n\n", if path.contains('.') { "####" } else { "###" });
        section(schema, &path, text);
    }
}

/// Returns the anchor that mdBook and GitHub give to a heading.
fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>().to_lowercase()
}

/// Splits a description into the meaning of the key and its default.
fn description(schema: &Value) -> (String, String) {
    let text = schema["description"].as_str().unwrap_or_default();
    let (meaning, in_words) = text.split_once(DEFAULT).unwrap_or((text, ""));
    let default = match &schema["default"] {
        Value::Null => in_words.trim_end_matches('.').to_owned(),
        Value::String(text) => code(text),
        other => code(&other.to_string()),
    };
    (meaning.trim_end().to_owned(), default)
}

/// Returns the type of a value in a word or two.
fn type_name(schema: &Value) -> String {
    if let Some(title) = schema["title"].as_str() {
        return title.to_owned();
    }
    if let Some(values) = schema["enum"].as_array() {
        return alternatives(values.iter());
    }
    if let Some(variants) = schema["oneOf"].as_array()
        && schema["properties"].is_null()
    {
        return alternatives(variants.iter().map(|variant| &variant["const"]));
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default(),
        one => one.as_str().unwrap_or_default(),
    };
    match types {
        "string" => "text".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "array" => match type_name(&schema["items"]).as_str() {
            "section" => "list of sections".to_owned(),
            item => format!("list of {item}"),
        },
        "object" => "section".to_owned(),
        _ => "any".to_owned(),
    }
}

fn alternatives<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let values: Vec<String> = values.filter_map(Value::as_str).map(code).collect();
    values.join(" or ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn section_becomes_table_with_subsections() {
        let schema = json!({
            "properties": {
                "fleet": { "type": ["string", "null"], "description": "Name. Default: the prefix." },
                "mode": { "enum": ["active", "shadow"], "default": "active", "description": "Mode." },
                "limits": {
                    "type": "object",
                    "description": "Limits.",
                    "properties": { "fuel": { "type": "integer", "default": 5, "description": "Fuel." } },
                },
                "rules": {
                    "type": "array",
                    "description": "Rules.",
                    "items": {
                        "type": "object",
                        "description": "A rule.",
                        "required": ["name"],
                        "properties": { "name": { "type": "string", "description": "Name." } },
                    },
                },
            },
        });
        let mut text = String::new();

        section(&schema, "", &mut text);

        insta::assert_snapshot!(text, @r"
        | key | type | default | meaning |
        | --- | --- | --- | --- |
        | `fleet` | text | the prefix | Name. |
        | `mode` | `active` or `shadow` | `active` | Mode. |
        | `limits` | section |  | Limits. See [limits](#limits). |
        | `rules` | list of sections |  | Rules. See [rules[]](#rules). |

        ### limits

        Limits.

        | key | type | default | meaning |
        | --- | --- | --- | --- |
        | `fuel` | number | `5` | Fuel. |

        ### rules[]

        A rule.

        | key | type | default | meaning |
        | --- | --- | --- | --- |
        | `name` | text | required | Name. |
        ");
    }
}
