//! Generates the user data of a droplet from a configuration.

use std::error::Error;
use std::fmt;

use doproxy_user_data_sdk::{MAX_BYTES, Request};

use crate::config::{Config, PartKind};
use crate::mime::{self, Packing, Part};
use crate::template::MissingParam;

/// An error of the generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerateError {
    /// A template refers to a parameter that was not provided.
    MissingParam(MissingParam),
    /// The user data exceeds DigitalOcean's limit.
    TooLarge(usize),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingParam(error) => error.fmt(f),
            Self::TooLarge(bytes) => write!(
                f,
                "the user data is {bytes} bytes after compression, but DigitalOcean accepts at most {MAX_BYTES}; download the rest on \
                 the droplet, with a part of kind include or with curl"
            ),
        }
    }
}

impl Error for GenerateError {}

impl From<MissingParam> for GenerateError {
    fn from(error: MissingParam) -> Self {
        Self::MissingParam(error)
    }
}

/// Generates the user data of one droplet.
pub fn generate(config: &Config, request: &Request) -> Result<String, GenerateError> {
    match config {
        Config::Single(template) => {
            let text = template.render(request)?;
            match PartKind::detect(&text) {
                Some(kind) if text.len() > MAX_BYTES => {
                    pack_parts(&[Part { mime_type: kind.mime_type(), filename: "part-001", text: &text }])
                }
                _ => check_size(text),
            }
        }
        Config::Parts(parts) => {
            let texts: Vec<String> =
                parts.iter().map(|part| part.template.render(request)).collect::<Result<_, _>>()?;
            let parts: Vec<Part<'_>> = parts
                .iter()
                .zip(&texts)
                .map(|(part, text)| Part { mime_type: part.kind.mime_type(), filename: &part.filename, text })
                .collect();
            pack_parts(&parts)
        }
    }
}

/// Packs the parts in readable form if they fit, otherwise compressed.
fn pack_parts(parts: &[Part<'_>]) -> Result<String, GenerateError> {
    check_size(mime::pack(parts, Packing::Readable)).or_else(|_| check_size(mime::pack(parts, Packing::Compressed)))
}

fn check_size(text: String) -> Result<String, GenerateError> {
    if text.len() > MAX_BYTES { Err(GenerateError::TooLarge(text.len())) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(config: &str) -> Result<String, GenerateError> {
        let request = Request { hostname: "web-7".to_owned(), ..Request::default() };
        generate(&Config::parse(config).unwrap(), &request)
    }

    #[test]
    fn single_template_is_sent_unchanged() {
        let text = generated(r##"{"template": "#!/bin/sh\nhostname {{ hostname }}\n"}"##);

        assert_eq!(text, Ok("#!/bin/sh\nhostname web-7\n".to_owned()));
    }

    /// Returns lines that do not repeat and therefore hardly compress.
    fn incompressible_text(lines: u64) -> String {
        let line = |number: u64| format!("# {:016x}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..lines).map(line).collect()
    }

    #[test]
    fn oversized_data_is_rejected_with_a_remedy() {
        let script = format!("#!/bin/sh\n{}", incompressible_text(9000));
        let config = serde_json::json!({ "template": script }).to_string();

        let error = generated(&config).unwrap_err();

        assert!(matches!(error, GenerateError::TooLarge(bytes) if bytes > MAX_BYTES), "{error}");
        assert!(error.to_string().contains("after compression"), "{error}");
    }

    #[test]
    fn text_of_unknown_kind_is_not_packed() {
        let config = serde_json::json!({ "template": "x".repeat(MAX_BYTES + 1) }).to_string();

        assert_eq!(generated(&config), Err(GenerateError::TooLarge(MAX_BYTES + 1)));
    }

    /// Returns kind, name and content of each part, as cloud-init's `UserDataProcessor` parses them.
    fn parse_like_cloud_init(message: &str) -> Vec<[String; 3]> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        let reader = "import email, gzip, json, sys\n\
            starts = {'#!': 'text/x-shellscript', '#cloud-config': 'text/cloud-config'}\n\
            def read(part):\n\
            \x20   kind, payload = part.get_content_type(), part.get_payload(decode=True)\n\
            \x20   if kind == 'application/gzip':\n\
            \x20       payload = gzip.decompress(payload)\n\
            \x20       kind = next(k for s, k in starts.items() if payload.decode().startswith(s))\n\
            \x20   return [kind, part.get_filename(), payload.decode()]\n\
            message = email.message_from_string(sys.stdin.read())\n\
            print(json.dumps([read(p) for p in message.walk() if p.get_content_maintype() != 'multipart']))";
        let mut python = Command::new("python3")
            .args(["-c", reader])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test requires python3: apt-get install python3");
        python.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        serde_json::from_slice(&python.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn cloud_init_reads_every_part_back() {
        let config = r##"{"parts": [
            {"kind": "cloud-config", "template": "#cloud-config\nhostname: {{ hostname }}\n"},
            {"kind": "script", "template": "#!/bin/sh\necho grüß dich\n", "filename": "hello.sh"}
        ]}"##;

        assert_eq!(
            parse_like_cloud_init(&generated(config).unwrap()),
            [
                ["text/cloud-config", "part-001", "#cloud-config\nhostname: web-7\n"],
                ["text/x-shellscript", "hello.sh", "#!/bin/sh\necho grüß dich\n"],
            ]
        );
    }

    #[test]
    fn oversized_parts_are_compressed_and_read_back() {
        let script = format!("#!/bin/sh\n{}", incompressible_text(4000));
        let config = serde_json::json!({ "parts": [
            { "kind": "script", "template": script, "filename": "large.sh" },
            { "kind": "cloud-config", "template": "#cloud-config\n{}\n" },
        ] });

        let text = generated(&config.to_string()).unwrap();

        assert!(script.len() > MAX_BYTES && text.len() <= MAX_BYTES, "{} {}", script.len(), text.len());
        assert_eq!(
            parse_like_cloud_init(&text),
            [
                ["text/x-shellscript", "large.sh", script.as_str()],
                ["text/cloud-config", "part-002", "#cloud-config\n{}\n"],
            ]
        );
        assert_eq!(generated(&config.to_string()), Ok(text), "generation is deterministic");
    }

    #[test]
    fn oversized_single_text_becomes_a_part() {
        let script = format!("#!/bin/sh\n{}", incompressible_text(4000));

        let text = generated(&serde_json::json!({ "template": script }).to_string()).unwrap();

        assert_eq!(parse_like_cloud_init(&text), [["text/x-shellscript", "part-001", script.as_str()]]);
    }
}
