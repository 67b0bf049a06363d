//! Tests of signature verification: valid signatures are accepted, and everything else is rejected.

use std::process::Command;

use crate::digest::Digest;
use crate::signatures::signature::{decode, encode};
use crate::signatures::sigstore_bundle::pre_authentication_encoding;
use crate::signatures::*;

fn digest() -> Digest {
    Digest::of(b"manifest")
}

fn signed(key: &PrivateKey) -> (Vec<u8>, Vec<u8>) {
    let Signature::SimpleSigning { payload, signature } =
        Signature::new("registry.example.com/acme/queue", digest(), key)
    else {
        panic!("not in the simple signing format")
    };
    (decode(&payload, "").unwrap(), decode(&signature, "").unwrap())
}

/// Returns a bundle as written by cosign 3 for a key pair.
fn bundle(key: &PrivateKey, predicate_type: &str, subject: Digest) -> serde_json::Value {
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"{predicate_type}","predicate":{{}}}}"#,
        subject.hex()
    );
    let kind = "application/vnd.in-toto+json";
    let signature = key.sign(&pre_authentication_encoding(kind, statement.as_bytes()));
    serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}},
        "dsseEnvelope": {
            "payload": encode(statement.as_bytes()),
            "payloadType": kind,
            "signatures": [{"sig": encode(&signature)}],
        },
    })
}

const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

fn encoded_bundle(bundle: &serde_json::Value) -> Signature {
    Signature::Bundle(encode(bundle.to_string().as_bytes()))
}

#[test]
fn payload_is_identical_to_cosign() {
    let (payload, _) = signed(&PrivateKey::generate());

    assert_eq!(
        String::from_utf8(payload).unwrap(),
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"registry.example.com/acme/queue"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            digest()
        )
    );
}

#[test]
fn signature_is_valid_only_for_its_key_and_digest() {
    let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
    let signature = Signature::new("registry.example.com/acme/queue", digest(), &key);

    assert_eq!(signature.verify(digest(), &key.public()), Ok(()));
    assert_eq!(signature.verify(digest(), &other.public()), Err(SignatureError::KeyMismatch));
    let elsewhere = signature.verify(Digest::of(b"other"), &key.public());
    assert_eq!(elsewhere, Err(SignatureError::DigestMismatch(digest().to_string())));
    assert_eq!(
        Signature::new("registry.example.com/acme/queue", digest(), &key),
        signature,
        "signing is not reproducible"
    );
}

#[test]
fn modified_signature_is_invalid() {
    let key = PrivateKey::generate();
    let (payload, signature) = signed(&key);
    let check = |payload: &[u8], signature: &[u8]| {
        Signature::SimpleSigning { payload: encode(payload), signature: encode(signature) }
            .verify(digest(), &key.public())
    };
    assert_eq!(check(&payload, &signature), Ok(()));

    for bit in 0..8 {
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1 << bit;
            assert!(check(&changed, &signature).is_err(), "byte {at} of the payload, bit {bit}");
        }
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1 << bit;
            assert!(check(&payload, &changed).is_err(), "byte {at} of the signature, bit {bit}");
        }
    }
    assert!(check(&payload, &[]).is_err() && check(&[], &signature).is_err());
    assert!(check(&payload, &[signature.as_slice(), b"\0"].concat()).is_err());
}

#[test]
fn bundle_is_valid_only_for_its_key_and_digest() {
    let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
    let signature = encoded_bundle(&bundle(&key, SIGN_PREDICATE, digest()));

    assert_eq!(signature.verify(digest(), &key.public()), Ok(()));
    assert_eq!(signature.verify(digest(), &other.public()), Err(SignatureError::KeyMismatch));
    assert!(matches!(signature.verify(Digest::of(b"other"), &key.public()), Err(SignatureError::DigestMismatch(_))));
}

#[test]
fn attestation_is_not_a_signature() {
    let key = PrivateKey::generate();
    let scanned = encoded_bundle(&bundle(&key, "https://cosign.sigstore.dev/attestation/vuln/v1", digest()));

    let error = scanned.verify(digest(), &key.public()).unwrap_err();

    insta::assert_snapshot!(error, @r#"unreadable: attestation of type "https://cosign.sigstore.dev/attestation/vuln/v1" instead of a signature on the plugin"#);
}

#[test]
fn modified_bundle_is_invalid() {
    let key = PrivateKey::generate();
    let whole = bundle(&key, SIGN_PREDICATE, digest());
    let fields = ["/dsseEnvelope/payload", "/dsseEnvelope/payloadType", "/dsseEnvelope/signatures/0/sig"];
    for field in fields {
        let text = whole.pointer(field).and_then(serde_json::Value::as_str).unwrap().to_owned();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let mut bundle = whole.clone();
            *bundle.pointer_mut(field).unwrap() = String::from_utf8(changed).unwrap().into();
            assert!(encoded_bundle(&bundle).verify(digest(), &key.public()).is_err(), "byte {at} of {field}");
        }
    }
}

#[test]
fn keys_and_signatures_interoperate_with_openssl() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let key = PrivateKey::generate();
    key.write_pair(&dir.path().join("own.key"), &dir.path().join("own.pub")).unwrap();
    let (payload, signature) = signed(&key);
    std::fs::write(dir.path().join("payload"), &payload).unwrap();
    std::fs::write(dir.path().join("own.sig"), &signature).unwrap();

    let verified = openssl(&["dgst", "-sha256", "-verify", "own.pub", "-signature", "own.sig", "payload"]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sec1.key"]);
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.key", "-out", "pkcs8.key"]);
    openssl(&["ec", "-in", "sec1.key", "-pubout", "-out", "theirs.pub"]);
    openssl(&["dgst", "-sha256", "-sign", "sec1.key", "-out", "theirs.sig", "payload"]);

    assert_eq!(verified.trim(), "Verified OK");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let theirs = PublicKey::read(&dir.path().join("theirs.pub")).unwrap();
    for name in ["sec1.key", "pkcs8.key"] {
        assert_eq!(PrivateKey::from_pem(&read(name), name).unwrap().public(), theirs, "{name}");
    }
    let made = std::fs::read(dir.path().join("theirs.sig")).unwrap();
    let theirs_found = Signature::SimpleSigning { payload: encode(&payload), signature: encode(&made) };
    assert_eq!(theirs_found.verify(digest(), &theirs), Ok(()));
}

#[test]
fn invalid_key_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let key = PrivateKey::generate();
    let (path, public) = (dir.path().join("a.key"), dir.path().join("a.pub"));
    key.write_pair(&path, &public).unwrap();
    let pem = std::fs::read_to_string(&path).unwrap();
    let mut messages = vec![
        key.write_pair(&path, &dir.path().join("b.pub")).unwrap_err(),
        key.write_pair(&dir.path().join("b.key"), &public).unwrap_err(),
        PublicKey::from_pem(&pem, "keys[0]").unwrap_err(),
        PublicKey::from_pem("no PEM", "keys[0]").unwrap_err(),
        PrivateKey::from_pem("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "cosign.key").unwrap_err(),
        PrivateKey::read(&dir.path().join("none.key")).unwrap_err(),
    ];
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    messages.push(PrivateKey::read(&path).unwrap_err());

    let messages: Vec<String> = messages.iter().map(ToString::to_string).collect();
    assert!(!dir.path().join("b.key").exists());
    insta::assert_snapshot!(messages.join("\n").replace(dir.path().to_str().unwrap(), "DIR"), @"
    DIR/a.key already exists, and keys are never overwritten; choose another path with --out
    DIR/a.pub already exists, and keys are never overwritten; choose another path with --out
    keys[0] is not a P-256 public key in PEM: it is a private key; use its public key; create a key pair with `doproxy plugin keygen`
    keys[0] is not a P-256 public key in PEM: ASN.1 error: PEM error: PEM preamble contains invalid data (NUL byte); create a key pair with `doproxy plugin keygen`
    cosign.key is not a P-256 private key in PEM: encrypted keys are not supported; store the key unencrypted in a file that only you can read; create a key pair with `doproxy plugin keygen`
    the key DIR/none.key: No such file or directory (os error 2)
    the private key DIR/a.key is readable by other users (mode 640); run `chmod 600 DIR/a.key`, and create a new key pair if it may have leaked
    ");
    assert!(!format!("{key:?}").contains(pem.lines().nth(1).unwrap()));
}
