//! Signed content in cosign's newer format: a Sigstore bundle (version 0.3) with a DSSE envelope that contains an
//! in-toto statement. Only the envelope is verified; transparency log entries are ignored.
//!
//! Formats: <https://docs.sigstore.dev/about/bundle/>,
//! <https://github.com/secure-systems-lab/dsse/blob/master/protocol.md>,
//! <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>.

use std::collections::BTreeMap;

use doproxy_support::sanitize;
use serde::Deserialize;

use crate::digest::Digest;
use crate::signatures::signature::decode;
use crate::signatures::{PublicKey, SignatureError};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: [&str; 2] = ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"];
/// The predicate type of signatures. Attestations, such as scan reports, use the same envelope, but only this type
/// vouches for the artifact.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Maximum number of signatures in one envelope.
const MAX_SIGNATURES: usize = 16;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<DsseSignature>,
}

#[derive(Debug, Deserialize)]
struct DsseSignature {
    sig: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Debug, Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

/// Returns the digests that a bundle vouches for, after verifying that it was signed with `key`.
pub(super) fn read(bundle: &[u8], key: &PublicKey) -> Result<Vec<Digest>, SignatureError> {
    let unreadable = |what: &str, error: serde_json::Error| SignatureError::Unreadable(format!("the {what}: {error}"));
    let Bundle { dsse_envelope: envelope } =
        serde_json::from_slice(bundle).map_err(|error| unreadable("bundle", error))?;
    let payload = decode(&envelope.payload, "the payload of the envelope")?;
    let signed = pre_authentication_encoding(&envelope.payload_type, &payload);
    let by_key =
        |one: &DsseSignature| decode(&one.sig, "the signature").and_then(|signature| key.verify(&signed, &signature));
    if !envelope.signatures.iter().take(MAX_SIGNATURES).any(|one| by_key(one).is_ok()) {
        return Err(SignatureError::KeyMismatch);
    }
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(SignatureError::Unreadable(format!(
            "it signs {:?}",
            sanitize::sanitize_line(&envelope.payload_type, 100)
        )));
    }
    let statement: Statement = serde_json::from_slice(&payload).map_err(|error| unreadable("statement", error))?;
    if !STATEMENT_TYPE.contains(&statement.kind.as_str()) {
        return Err(SignatureError::Unreadable(format!(
            "unsupported statement type {:?}",
            sanitize::sanitize_line(&statement.kind, 100)
        )));
    }
    if statement.predicate_type != SIGN_PREDICATE {
        let is = sanitize::sanitize_line(&statement.predicate_type, 100);
        return Err(SignatureError::Unreadable(format!(
            "attestation of type {is:?} instead of a signature on the plugin"
        )));
    }
    let digests = statement.subject.iter().filter_map(|subject| subject.digest.get("sha256"));
    Ok(digests.filter_map(|digits| format!("sha256:{digits}").parse().ok()).collect())
}

/// Returns the bytes that a DSSE signature covers.
pub(super) fn pre_authentication_encoding(kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}
