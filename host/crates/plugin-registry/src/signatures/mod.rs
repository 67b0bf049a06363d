//! Key-based signatures on the manifest of a plugin: ECDSA on P-256 with SHA-256, as produced by cosign's key pairs.
//!
//! `signature` verifies a signature of either format; `key` reads, generates and writes keys; `payload` is the signed content in cosign's older format, which doproxy
//! writes, and `bundle` that of its newer format, which doproxy reads too; `cosign` stores and fetches signatures in a
//! registry. A signature proves that the owner of a key vouched for a digest; it contains no certificate, time or
//! transparency log entry. The accepted keys are defined by `trust`.

mod cosign;
pub(crate) mod key;
mod payload;
mod signature;
mod sigstore_bundle;
#[cfg(test)]
mod tests;

pub(crate) use crate::signatures::cosign::{attach, fetch};
pub use crate::signatures::key::{KeyError, PrivateKey, PublicKey};
pub use crate::signatures::signature::SignatureError;
pub(crate) use crate::signatures::signature::{MAX_BYTES, MAX_SIGNATURES, Signature};
