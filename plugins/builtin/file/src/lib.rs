//! User-data generator that gives every droplet the same text, as it stands.
//!
//! No field is filled in, so a text with `{{ }}` of its own needs no escapes. Whether cloud-init knows what it begins
//! with, the host checks.

use doproxy_user_data_sdk::{Generator, MAX_BYTES, Manifest, Problem, Request, manifest, parse_json};
use serde::Deserialize;

/// The generator.
#[derive(Debug)]
pub struct File;

/// What an operator sets; `schema.json` says the same to the host.
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
                "{bytes} bytes, and DigitalOcean takes at most {MAX_BYTES}: load the rest from the droplet, with curl, or \
                 use builtin:cloud-init, which compresses"
            );
            return Err(vec![Problem::at("/content", message)]);
        }
        if config.content.contains('\0') {
            return Err(vec![Problem::at("/content", "it holds a NUL character; user data is plain text")]);
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
    fn the_text_is_given_to_the_letter() {
        let config = File::parse(r##"{"content": "#cloud-config\nruncmd: ['echo {{ ds }} ${HOME}']\n\n"}"##).unwrap();

        let text = File::generate(&config, &Request::default());

        assert_eq!(text, Ok("#cloud-config\nruncmd: ['echo {{ ds }} ${HOME}']\n\n".to_owned()));
    }

    #[test]
    fn what_the_api_would_refuse_is_refused_before() {
        // 40,000 characters of two bytes each.
        let long = format!(r#"{{"content": "{}"}}"#, "ü".repeat(40_000));

        let problems = File::parse(&long).unwrap_err();

        assert!(problems[0].message.starts_with("80000 bytes"), "{problems:?}");
        assert!(File::parse(r#"{"content": "a\u0000b"}"#).is_err());
    }
}
