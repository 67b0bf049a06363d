//! `doproxy plugin sign`: a signature beside a plugin in a registry.

use std::path::PathBuf;

use super::{Global, host_and_config};
use crate::cli::output::say;
use crate::plugin::{OciReference, PrivateKey};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  doproxy plugin sign oci://registry.example.com/acme/queue@sha256:… --key release.key\n\nName the digest that `push` printed: a tag may have moved since. `cosign verify --key release.pub\n--insecure-ignore-tlog=true` reads the signature too."
)]
pub(super) struct Args {
    /// Which.
    #[arg(value_name = "REF")]
    reference: OciReference,
    /// The private key; `doproxy plugin keygen` makes one.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, _) = host_and_config(global)?;
    let key = PrivateKey::read(&args.key)?;
    let signed = host.sign(&args.reference, &key).await?;
    let at = args.reference.with_digest(signed.manifest);
    let by = key.public().fingerprint();
    if signed.is_new {
        say!("signed {at} with the key {by}");
    } else {
        say!("{at} is signed with the key {by} already");
    }
    Ok(())
}
