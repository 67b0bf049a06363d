//! Framing of compiled code in transit: from the compiler process to the host, and through the cache.
//!
//! A frame consists of a magic number, a kind, a length, a digest and the content. The code is executed as it is, so a
//! single flipped bit on disk must never reach the processor: a frame is loaded only if it is byte for byte identical
//! to the compiler's output.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

const MAGIC: [u8; 8] = *b"dxplugin";
const DIGEST_LEN: usize = 32;

/// Number of bytes before the content.
pub(super) const HEADER_LEN: usize = MAGIC.len() + 1 + size_of::<u64>() + DIGEST_LEN;

/// The kind of content in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// Machine code.
    Code,
    /// The reason why compilation failed, as text.
    Error,
    /// The compiler ran out of memory.
    OutOfMemory,
}

impl FrameKind {
    const ALL: [Self; 3] = [Self::Code, Self::Error, Self::OutOfMemory];

    const fn tag(self) -> u8 {
        match self {
            Self::Code => b'C',
            Self::Error => b'R',
            Self::OutOfMemory => b'M',
        }
    }
}

/// Writes a frame.
pub(super) fn write(mut to: impl Write, kind: FrameKind, content: &[u8]) -> io::Result<()> {
    to.write_all(&MAGIC)?;
    to.write_all(&[kind.tag()])?;
    to.write_all(&u64::try_from(content.len()).map_err(io::Error::other)?.to_le_bytes())?;
    to.write_all(&Sha256::digest(content))?;
    to.write_all(content)?;
    to.flush()
}

/// The decoded content of a frame.
pub(super) enum CompileOutcome {
    Code(CompiledComponent),
    Error(String),
    OutOfMemory,
}

/// Framed machine code, as written by this program's compiler.
///
/// Only `compile` and `cache` read frames: the former from a process that it started itself, the latter from a file
/// that no other user could have written.
pub(crate) struct CompiledComponent(Vec<u8>);

/// Reads a frame; returns `None` if it is truncated, has trailing bytes, or fails its digest.
pub(super) fn read(frame: Vec<u8>) -> Option<CompileOutcome> {
    let rest = frame.strip_prefix(&MAGIC)?;
    let (byte, rest) = rest.split_first()?;
    let (length, rest) = rest.split_first_chunk::<{ size_of::<u64>() }>()?;
    let (digest, content) = rest.split_first_chunk::<DIGEST_LEN>()?;
    let kind = FrameKind::ALL.into_iter().find(|kind| kind.tag() == *byte)?;
    if u64::try_from(content.len()).ok()? != u64::from_le_bytes(*length) || Sha256::digest(content).as_slice() != digest
    {
        return None;
    }
    Some(match kind {
        FrameKind::Error => CompileOutcome::Error(String::from_utf8_lossy(content).into_owned()),
        FrameKind::OutOfMemory => CompileOutcome::OutOfMemory,
        FrameKind::Code => CompileOutcome::Code(CompiledComponent(frame)),
    })
}

impl CompiledComponent {
    /// Returns the frame.
    pub(super) fn frame(&self) -> &[u8] {
        &self.0
    }

    /// Maps the code into memory, ready to execute.
    pub(crate) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        let code = self.0.get(HEADER_LEN..).unwrap_or_default();
        #[expect(unsafe_code, reason = "the only place that trusts compiled code")]
        // SAFETY: these bytes are the output of `Engine::precompile_component` of this program; see
        // `CompiledComponent`. wasmtime itself verifies that version, settings and processor match the engine.
        unsafe {
            Component::deserialize(engine, code)
        }
    }
}

#[cfg(test)]
mod tests;
