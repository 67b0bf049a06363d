//! Templates: text with fields in `{{ }}` and nothing else. There are no loops and no conditions: droplets differ only
//! in a few words, and a script can test those itself.

use std::error::Error;
use std::fmt;

use doproxy_user_data_sdk::Request;
use serde_json::Value;

/// A field of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Fleet,
    Hostname,
    Index,
    Size,
    Region,
    Image,
    Tags,
    /// The keys of the path into the parameters; empty for all of them.
    Params(Vec<String>),
}

/// The conversion of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    Plain,
    /// Quotes the value as one word for a POSIX shell.
    Shell,
    /// Encodes the value as a JSON string, which is also valid YAML.
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field, Filter),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

/// An error in a template, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    line: usize,
    message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// A parameter that a template refers to and the policy did not provide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingParam(String);

impl fmt::Display for MissingParam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the template refers to {{{{ {0} }}}}, but the policy provided no {0} in user-data-params", self.0)
    }
}

impl Error for MissingParam {}

impl Template {
    /// Parses a template and validates its field names.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let mistake = |message: String| TemplateError {
                line: text[..text.len() - after.len()].matches('\n').count() + 1,
                message,
            };
            pieces.push(Piece::Text(before.to_owned()));
            if let Some(after) = strip_escaped_braces(after) {
                pieces.push(Piece::Text("{{".to_owned()));
                rest = after;
                continue;
            }
            let (inside, after) = after.split_once("}}").ok_or_else(|| mistake("{{ without }}".to_owned()))?;
            pieces.push(parse_expression(inside).map_err(mistake)?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// Returns the literal text at the beginning; `None` if the template begins with a field.
    pub fn leading_text(&self) -> Option<&str> {
        match self.0.first() {
            Some(Piece::Text(text)) => Some(text),
            Some(Piece::Field(..)) => None,
            None => Some(""),
        }
    }

    /// Renders the template for a request.
    pub fn render(&self, request: &Request) -> Result<String, MissingParam> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(piece) => text += piece,
                Piece::Field(field, filter) => text += &filter.apply(&field.value(request)?),
            }
        }
        Ok(text)
    }
}

/// Returns the rest after `"{{" }}`.
fn strip_escaped_braces(after: &str) -> Option<&str> {
    after.trim_start().strip_prefix("\"{{\"")?.trim_start().strip_prefix("}}")
}

fn parse_expression(inside: &str) -> Result<Piece, String> {
    let (name, filter) = match inside.split_once('|') {
        None => (inside, Filter::Plain),
        Some((name, filter)) => match filter.trim() {
            "shell" => (name, Filter::Shell),
            "json" => (name, Filter::Json),
            other => return Err(format!("unknown filter {other:?}; use shell or json")),
        },
    };
    let name = name.trim();
    let field = match name {
        "fleet" => Field::Fleet,
        "hostname" => Field::Hostname,
        "index" => Field::Index,
        "size" => Field::Size,
        "region" => Field::Region,
        "image" => Field::Image,
        "tags" => Field::Tags,
        "params" => Field::Params(Vec::new()),
        _ => match name.strip_prefix("params.").map(|keys| keys.split('.').map(str::to_owned).collect::<Vec<_>>()) {
            Some(keys) if keys.iter().all(|key| !key.is_empty()) => Field::Params(keys),
            _ => {
                return Err(format!(
                    "unknown field {name:?}; use one of hostname, index, fleet, size, region, image, tags, params and params.KEY (write \
                     {{{{ \"{{{{\" }}}} for a literal {{{{)"
                ));
            }
        },
    };
    Ok(Piece::Field(field, filter))
}

impl Field {
    fn value(&self, request: &Request) -> Result<String, MissingParam> {
        Ok(match self {
            Self::Fleet => request.fleet_name.clone(),
            Self::Hostname => request.hostname.clone(),
            Self::Index => request.index.to_string(),
            Self::Size => request.size.clone(),
            Self::Region => request.region.clone(),
            Self::Image => request.image.clone(),
            Self::Tags => request.tags.join(","),
            Self::Params(keys) if keys.is_empty() => request.params.clone(),
            Self::Params(keys) => {
                let params: Value = serde_json::from_str(&request.params).unwrap_or(Value::Null);
                let value = keys.iter().try_fold(&params, |value, key| value.get(key));
                match value {
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                    None => return Err(MissingParam(format!("params.{}", keys.join(".")))),
                }
            }
        })
    }
}

impl Filter {
    fn apply(self, value: &str) -> String {
        match self {
            Self::Plain => value.to_owned(),
            Self::Shell => format!("'{}'", value.replace('\'', r"'\''")),
            Self::Json => Value::from(value).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            fleet_name: "www".to_owned(),
            hostname: "web-7".to_owned(),
            index: 7,
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: vec!["doproxy:www".to_owned(), "web".to_owned()],
            params: r#"{"role": "it's \"blue\"", "db": {"port": 5432}}"#.to_owned(),
        }
    }

    fn render(template: &str) -> String {
        Template::parse(template).unwrap().render(&request()).unwrap()
    }

    #[test]
    fn every_request_field_is_available() {
        let text = render("{{hostname}} {{ index }} {{ fleet }} {{ size }} {{ region }} {{ image }} {{ tags }}");

        assert_eq!(text, "web-7 7 www s-1vcpu-1gb nyc3 ubuntu-24-04-x64 doproxy:www,web");
        assert_eq!(render("{{ params }}"), request().params);
        assert_eq!(render("{{ params.role }}:{{ params.db.port }}"), "it's \"blue\":5432");
    }

    #[test]
    fn value_is_quoted_for_shell_and_json() {
        assert_eq!(render("ROLE={{ params.role | shell }}"), r#"ROLE='it'\''s "blue"'"#);
        assert_eq!(render("role: {{ params.role|json }}"), r#"role: "it's \"blue\"""#);
    }

    #[test]
    fn foreign_braces_are_preserved() {
        assert_eq!(render("{{ \"{{\" }} ds.meta_data }} ${HOME} }} {"), "{{ ds.meta_data }} ${HOME} }} {");
    }

    #[test]
    fn unknown_field_is_reported_with_its_line() {
        for (template, message) in [
            ("#!/bin/sh\necho {{ hostnam }}", "line 2: unknown field \"hostnam\""),
            ("{{ params. }}", "line 1: unknown field \"params.\""),
            ("{{ hostname | upper }}", "line 1: unknown filter \"upper\""),
            ("\n\n{{ hostname", "line 3: {{ without }}"),
        ] {
            let mistake = Template::parse(template).unwrap_err().to_string();

            assert!(mistake.starts_with(message), "{mistake}");
        }
    }

    #[test]
    fn missing_param_is_an_error() {
        let template = Template::parse("{{ params.db.host }}").unwrap();

        for params in ["", "{}", r#"{"db": {}}"#, "no json"] {
            let error = template.render(&Request { params: params.to_owned(), ..request() }).unwrap_err();
            assert!(error.to_string().contains("params.db.host"), "{error}");
        }
    }
}
