//! MIME multipart messages in the form that cloud-init reads (RFC 2046; cloud-init parses them with Python's `email`
//! package).

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// MIME type, such as `text/x-shellscript`.
    pub mime_type: &'a str,
    /// Name under which it is stored: letters, digits, `.`, `_` and `-`.
    pub filename: &'a str,
    /// Its content.
    pub text: &'a str,
}

/// The packing of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Plain text, unmodified.
    Readable,
    /// Each part compressed if that makes it smaller.
    Compressed,
}

/// Maximum length of a line that is sent unencoded (RFC 5322, 2.1.1).
const MAX_LINE_LEN: usize = 998;

/// Packs parts into one message. The same parts always produce the same text.
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

/// An encoded part of a message.
struct Encoded {
    content_type: String,
    encoding: &'static str,
    body: String,
}

/// Keeps plain text readable; encodes text that mail cannot transport in base64.
fn encode(part: &Part<'_>) -> Encoded {
    let Part { mime_type, text, .. } = part;
    let plain = text.is_ascii() && !text.contains('\r') && text.lines().all(|line| line.len() <= MAX_LINE_LEN);
    let (encoding, body) = if plain { ("7bit", (*text).to_owned()) } else { ("base64", base64(text.as_bytes())) };
    Encoded { content_type: format!("{mime_type}; charset=\"utf-8\""), encoding, body }
}

/// Compresses a part if that makes it smaller; without a timestamp, so that the same text produces the same bytes.
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

/// Encodes as base64 in lines of 76 characters (RFC 2045, 6.8).
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

/// Returns a boundary that occurs in no part and is the same for the same parts: their FNV-1a hash, incremented on a
/// collision.
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
    fn boundary_inside_a_part_is_skipped() {
        let part = Part { text: "#!/bin/sh\n# ==doproxy-0000000000000007==\n", ..SCRIPT };

        assert_eq!(next_boundary(7, &[SCRIPT, part]), "==doproxy-0000000000000008==");
    }

    #[test]
    fn part_stays_plain_if_compression_does_not_help() {
        assert_eq!(pack(&[SCRIPT], Packing::Compressed), pack(&[SCRIPT], Packing::Readable));
        let text = format!("#!/bin/sh\n{}", "echo hello\n".repeat(200));
        assert!(
            pack(&[Part { text: &text, ..SCRIPT }], Packing::Compressed).contains("Content-Type: application/gzip\n")
        );
    }

    #[test]
    fn overlong_line_is_encoded() {
        let text = format!("#!/bin/sh\n# {}\n", "x".repeat(MAX_LINE_LEN));

        let message = pack(&[Part { text: &text, ..SCRIPT }], Packing::Readable);

        assert!(message.contains("Content-Transfer-Encoding: base64"));
        assert!(message.lines().all(|line| line.len() <= 100), "{message}");
    }
}
