//! From a configuration and a droplet to its user data.

use std::error::Error;
use std::fmt;

use crate::config::Config;
use crate::mime;
use crate::template::{Fields, NoParam};

/// Most bytes that DigitalOcean takes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why there is no user data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerateError {
    /// A template asks for what was not given.
    NoParam(NoParam),
    /// More than DigitalOcean takes.
    TooLarge(usize),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParam(error) => error.fmt(f),
            Self::TooLarge(bytes) => write!(
                f,
                "the user data is {bytes} bytes and DigitalOcean takes at most {MAX_BYTES}: load the rest from the droplet, \
                 with a part of kind include or with curl"
            ),
        }
    }
}

impl Error for GenerateError {}

impl From<NoParam> for GenerateError {
    fn from(error: NoParam) -> Self {
        Self::NoParam(error)
    }
}

/// The user data of one droplet.
pub fn generate(config: &Config, fields: &Fields) -> Result<String, GenerateError> {
    let text = match config {
        Config::Single(template) => template.render(fields)?,
        Config::Parts(parts) => {
            let texts: Vec<String> = parts.iter().map(|part| part.template.render(fields)).collect::<Result<_, _>>()?;
            let parts: Vec<mime::Part<'_>> = parts
                .iter()
                .zip(&texts)
                .map(|(part, text)| mime::Part { mime_type: part.kind.mime_type(), filename: &part.filename, text })
                .collect();
            mime::pack(&parts)
        }
    };
    if text.len() > MAX_BYTES { Err(GenerateError::TooLarge(text.len())) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(config: &str) -> Result<String, GenerateError> {
        let fields = Fields { hostname: "web-7".to_owned(), ..Fields::default() };
        generate(&Config::parse(config).unwrap(), &fields)
    }

    #[test]
    fn one_template_is_sent_as_it_is() {
        let text = generated(r##"{"template": "#!/bin/sh\nhostname {{ hostname }}\n"}"##);

        assert_eq!(text, Ok("#!/bin/sh\nhostname web-7\n".to_owned()));
    }

    #[test]
    fn more_than_the_api_takes_is_refused_with_a_remedy() {
        let config = format!(r##"{{"template": "#!/bin/sh\n{}"}}"##, "x".repeat(MAX_BYTES));

        let error = generated(&config).unwrap_err();

        assert!(error.to_string().starts_with("the user data is 65546 bytes"), "{error}");
    }

    #[test]
    fn the_package_that_cloud_init_reads_with_gets_every_part_back() {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        let config = r##"{"parts": [
            {"kind": "cloud-config", "template": "#cloud-config\nhostname: {{ hostname }}\n"},
            {"kind": "script", "template": "#!/bin/sh\necho grüß dich\n", "filename": "hello.sh"}
        ]}"##;
        // As cloud-init's UserDataProcessor walks a message.
        let reader = "import email, json, sys\n\
            message = email.message_from_string(sys.stdin.read())\n\
            parts = [p for p in message.walk() if p.get_content_maintype() != 'multipart']\n\
            print(json.dumps([[p.get_content_type(), p.get_filename(), p.get_payload(decode=True).decode()] for p in parts]))";
        let mut python = Command::new("python3")
            .args(["-c", reader])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed for this test: apt-get install python3");
        python.stdin.take().unwrap().write_all(generated(config).unwrap().as_bytes()).unwrap();
        let output = python.wait_with_output().unwrap();

        let parts: Vec<[String; 3]> = serde_json::from_slice(&output.stdout).unwrap();

        assert_eq!(
            parts,
            [
                ["text/cloud-config", "part-001", "#cloud-config\nhostname: web-7\n"],
                ["text/x-shellscript", "hello.sh", "#!/bin/sh\necho grüß dich\n"],
            ]
        );
    }
}
