//! A program that signs and verifies with the Sigstore project's own library and OpenSSL. It shares no code with
//! doproxy, and each must accept the other's signatures. It supports only registries on this machine, over plain HTTP.
//!
//! ```text
//! doproxy-sigstore keygen NAME        # NAME.key, encrypted with $COSIGN_PASSWORD, and NAME.pub
//! doproxy-sigstore sign IMAGE KEY     # replaces existing signatures
//! doproxy-sigstore verify IMAGE KEY
//! ```

use std::env;
use std::fs;

use anyhow::{Context as _, bail};
use sigstore::cosign::constraint::PrivateKeySigner;
use sigstore::cosign::verification_constraint::{PublicKeyVerifier, VerificationConstraintVec};
use sigstore::cosign::{Client, ClientBuilder, Constraint as _, CosignCapabilities as _, SignatureLayer};
use sigstore::crypto::SigningScheme;
use sigstore::registry::{Auth, ClientConfig, ClientProtocol, OciReference};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["keygen", name] => keygen(name),
        ["sign", image, key] => sign(&image.parse()?, key).await,
        ["verify", image, key] => verify(&image.parse()?, key).await,
        _ => bail!("usage: keygen NAME, sign IMAGE KEY, or verify IMAGE KEY"),
    }
}

fn password() -> anyhow::Result<Vec<u8>> {
    Ok(env::var("COSIGN_PASSWORD").context("COSIGN_PASSWORD")?.into_bytes())
}

fn client() -> anyhow::Result<Client> {
    let plain = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    Ok(ClientBuilder::default().with_oci_client_config(plain).build()?)
}

fn keygen(name: &str) -> anyhow::Result<()> {
    let pair = SigningScheme::ECDSA_P256_SHA256_ASN1.create_signer()?.to_sigstore_keypair()?;
    fs::write(format!("{name}.key"), pair.private_key_to_encrypted_pem(&password()?)?.as_bytes())?;
    fs::write(format!("{name}.pub"), pair.public_key_to_pem()?)?;
    Ok(())
}

async fn sign(image: &OciReference, key: &str) -> anyhow::Result<()> {
    let mut client = client()?;
    let (signatures, digest) = client.triangulate(image, &Auth::Anonymous).await?;
    let mut layer = SignatureLayer::new_unsigned(image, &digest)?;
    let scheme = SigningScheme::ECDSA_P256_SHA256_ASN1;
    let signer = PrivateKeySigner::new_with_raw(fs::read(key)?.into(), password()?.into(), &scheme)?;
    signer.add_constraint(&mut layer)?;
    client.push_signature(None, &Auth::Anonymous, &signatures, vec![layer]).await?;
    println!("signed {digest}");
    Ok(())
}

async fn verify(image: &OciReference, key: &str) -> anyhow::Result<()> {
    let layers = client()?.trusted_signature_layers(&Auth::Anonymous, image).await?;
    let by_key: VerificationConstraintVec = vec![Box::new(PublicKeyVerifier::try_from(&fs::read(key)?)?)];
    if sigstore::cosign::verify_constraints(&layers, by_key.iter()).is_err() {
        bail!("none of {} signatures is by this key", layers.len());
    }
    let digests = layers.iter().map(|layer| layer.simple_signing.critical.image.docker_manifest_digest.as_str());
    println!("verified {}", digests.collect::<Vec<_>>().join(" "));
    Ok(())
}
