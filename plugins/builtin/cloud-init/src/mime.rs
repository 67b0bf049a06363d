//! MIME multi-part messages as cloud-init reads them (RFC 2046, with Python's `email` package at the other end).

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Such as `text/x-shellscript`.
    pub mime_type: &'a str,
    /// What it is stored under: letters, digits, `.`, `_` and `-`.
    pub filename: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// How parts are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Plain text as it is.
    Readable,
    /// Each part compressed where that makes it smaller.
    Compressed,
}

/// Longest line that goes through as it is (RFC 5322, 2.1.1).
const MAX_LINE_LEN: usize = 998;

/// Packs parts into one message. The same parts give the same text.
pub fn pack(parts: &[Part<'_>], size: Packing) -> String {
    let boundary = boundary(parts);
    let mut message = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for part in parts {
        let Encoded { content_type, encoding, body } = match size {
            Packing::Readable => encode(part),
            Packing::Compressed => compress(part),
        };
        let filename = part.filename;
        // Writing to a string cannot fail.
        let _ = write!(
            message,
            "--{boundary}\n\
             Content-Type: {content_type}\n\
             MIME-Version: 1.0\n\
             Content-Transfer-Encoding: {encoding}\n\
             Content-Disposition: attachment; filename=\"{filename}\"\n\n\
             {body}\n"
        );
    }
    let _ = writeln!(message, "--{boundary}--");
    message
}

/// A part as it stands in a message.
struct Encoded {
    content_type: String,
    encoding: &'static str,
    body: String,
}

/// Plain text stays readable; what mail does not carry goes in base64.
fn encode(part: &Part<'_>) -> Encoded {
    let Part { mime_type, text, .. } = part;
    let plain = text.is_ascii() && !text.contains('\r') && text.lines().all(|line| line.len() <= MAX_LINE_LEN);
    let (encoding, body) = if plain { ("7bit", (*text).to_owned()) } else { ("base64", base64(text.as_bytes())) };
    Encoded { content_type: format!("{mime_type}; charset=\"utf-8\""), encoding, body }
}

/// Compressed, without a time so that the same text gives the same bytes, where that makes it smaller.
fn compress(part: &Part<'_>) -> Encoded {
    let plain = encode(part);
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let Ok(()) = gzip.write_all(part.text.as_bytes()) else { return plain };
    let Ok(compressed) = gzip.finish() else { return plain };
    let body = base64(&compressed);
    if body.len() >= plain.body.len() {
        return plain;
    }
    Encoded { content_type: "application/gzip".to_owned(), encoding: "base64", body }
}

/// Base64 in lines of 76 (RFC 2045, 6.8).
fn base64(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut body = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for (index, character) in encoded.chars().enumerate() {
        if index > 0 && index % 76 == 0 {
            body.push('\n');
        }
        body.push(character);
    }
    body
}

/// A line that no part holds, the same for the same parts: FNV-1a over them, counted on where chance has it inside.
fn boundary(parts: &[Part<'_>]) -> String {
    let bytes = parts.iter().flat_map(|part| part.text.bytes().chain([0]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    next_boundary(hash, parts)
}

fn next_boundary(mut hash: u64, parts: &[Part<'_>]) -> String {
    loop {
        let boundary = format!("==doproxy-{hash:016x}==");
        if parts.iter().all(|part| !part.text.contains(&boundary)) {
            return boundary;
        }
        hash = hash.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: Part<'_> =
        Part { mime_type: "text/x-shellscript", filename: "run.sh", text: "#!/bin/sh\necho hello\n" };

    #[test]
    fn plain_text_stays_readable() {
        let config = Part { mime_type: "text/cloud-config", filename: "part-002", text: "#cloud-config\n# ü\n" };

        let message = pack(&[SCRIPT, config], Packing::Readable);

        assert_eq!(
            message,
            "Content-Type: multipart/mixed; boundary=\"==doproxy-96cce5142f021c15==\"\n\
             MIME-Version: 1.0\n\n\
             --==doproxy-96cce5142f021c15==\n\
             Content-Type: text/x-shellscript; charset=\"utf-8\"\n\
             MIME-Version: 1.0\n\
             Content-Transfer-Encoding: 7bit\n\
             Content-Disposition: attachment; filename=\"run.sh\"\n\n\
             #!/bin/sh\necho hello\n\n\
             --==doproxy-96cce5142f021c15==\n\
             Content-Type: text/cloud-config; charset=\"utf-8\"\n\
             MIME-Version: 1.0\n\
             Content-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"part-002\"\n\n\
             I2Nsb3VkLWNvbmZpZwojIMO8Cg==\n\
             --==doproxy-96cce5142f021c15==--\n"
        );
    }

    #[test]
    fn a_boundary_that_a_part_holds_is_passed_over() {
        let part = Part { text: "#!/bin/sh\n# ==doproxy-0000000000000007==\n", ..SCRIPT };

        assert_eq!(next_boundary(7, &[SCRIPT, part]), "==doproxy-0000000000000008==");
    }

    #[test]
    fn a_part_that_would_not_become_smaller_is_not_compressed() {
        assert_eq!(pack(&[SCRIPT], Packing::Compressed), pack(&[SCRIPT], Packing::Readable));
        let text = format!("#!/bin/sh\n{}", "echo hello\n".repeat(200));
        assert!(
            pack(&[Part { text: &text, ..SCRIPT }], Packing::Compressed).contains("Content-Type: application/gzip\n")
        );
    }

    #[test]
    fn a_line_that_mail_would_break_is_encoded() {
        let text = format!("#!/bin/sh\n# {}\n", "x".repeat(MAX_LINE_LEN));

        let message = pack(&[Part { text: &text, ..SCRIPT }], Packing::Readable);

        assert!(message.contains("Content-Transfer-Encoding: base64"));
        assert!(message.lines().all(|line| line.len() <= 100), "{message}");
    }
}
