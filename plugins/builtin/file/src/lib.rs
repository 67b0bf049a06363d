//! User-data generator that gives every droplet the same text, unmodified.
//!
//! It substitutes no fields, so a text that contains `{{ }}` needs no escapes. The host checks that cloud-init
//! recognizes its first line.

use doproxy_user_data_sdk::{Generator, MAX_BYTES, Manifest, Problem, Request, manifest, parse_json};
use serde::Deserialize;

/// The generator.
#[derive(Debug)]
pub struct File;

/// The configuration; `schema.json` describes the same to the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text.
    pub content: String,
}

impl Generator for File {
    type Config = Config;

    const MANIFEST: Manifest = manifest!("schema.json");

    fn parse(json: &str) -> Result<Config, Vec<Problem>> {
        let config: Config = parse_json(json)?;
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

    fn generate(config: &Config, _: &Request) -> Result<String, String> {
        Ok(config.content.clone())
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "generated")]
mod component {
    doproxy_user_data_sdk::export_generator!(super::File);
}

#[cfg(test)]
mod tests {
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
