//! User-data generator that gives every droplet the same text, unmodified.
//!
//! It substitutes no fields, so a text that contains `{{ }}` needs no escapes. The host checks that cloud-init
//! recognizes its first line.

use doproxy_user_data_sdk::{MAX_BYTES, Problem, export_generator, parse_json};
use serde::Deserialize;

export_generator! {
    /// The generator.
    pub struct File;
    config: Config,
    schema: include_str!("schema.json"),
    generate: |config, _| Ok(config.content.clone()),
}

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text.
    pub content: String,
}

impl Config {
    /// Parses JSON text that has passed the schema.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let config: Self = parse_json(json)?;
        let bytes = config.content.len();
        if bytes > MAX_BYTES {
            let message = format!(
                "{bytes} bytes, but DigitalOcean accepts at most {MAX_BYTES}; download the rest on the droplet with curl, or use \
                 builtin:cloud-init, which compresses"
            );
            return Err(vec![Problem::at("/content", message)]);
        }
        if config.content.contains('\0') {
            return Err(vec![Problem::at("/content", "contains a NUL character; user data must be plain text")]);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use doproxy_user_data_sdk::{Generator as _, Request};

    use super::*;

    #[test]
    fn text_is_returned_verbatim() {
        let config = File::parse(r##"{"content": "#cloud-config\nruncmd: ['echo {{ ds }} ${HOME}']\n\n"}"##).unwrap();

        let text = File::generate(&config, &Request::default());

        assert_eq!(text, Ok("#cloud-config\nruncmd: ['echo {{ ds }} ${HOME}']\n\n".to_owned()));
    }

    #[test]
    fn text_over_the_api_limit_is_rejected() {
        // 40,000 characters of two bytes each.
        let long = format!(r#"{{"content": "{}"}}"#, "ü".repeat(40_000));

        let problems = File::parse(&long).unwrap_err();

        assert!(problems[0].message.starts_with("80000 bytes"), "{problems:?}");
        assert!(File::parse(r#"{"content": "a\u0000b"}"#).is_err());
    }
}
