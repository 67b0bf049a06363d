//! `doproxy plugin push`: pushes a plugin to a registry.

use std::path::PathBuf;

use doproxy_plugin_registry::{OciReference, PrivateKey, Reference};

use crate::cli::UsageError;
use crate::cli::output::out;
use crate::cli::plugin::{Global, host_and_config};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin push queue.wasm oci://registry.example.com/acme/queue:1.2\n  doproxy plugin push queue.wasm oci://registry.example.com/acme/queue:1.2 --key release.key\n\nThe same component always yields the same digest. SOURCE_DATE_EPOCH sets the recorded creation time."
)]
pub(super) struct Args {
    /// Component file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Destination: `oci://REGISTRY/REPOSITORY:TAG`.
    #[arg(value_name = "REF")]
    to: OciReference,
    /// Private key to sign the plugin with.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, _) = host_and_config(global)?;
    let key = args.key.as_deref().map(PrivateKey::read).transpose()?;
    let pushed = host.push(&Reference::File(args.file.clone()), &args.to, key.as_ref(), creation_time()?).await?;
    let signed = if pushed.signed { ", signed" } else { "" };
    out!("pushed {}{signed}", args.to.with_digest(pushed.manifest));
    Ok(())
}

/// Returns the recorded creation time: a fixed one, so that the same component yields the same digest.
/// <https://reproducible-builds.org/specs/source-date-epoch/>
fn creation_time() -> anyhow::Result<i64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(0),
        Ok(text) => text.trim().parse().map_err(|_| {
            UsageError(format!("SOURCE_DATE_EPOCH is {text:?}, but must be a number of seconds since 1970")).into()
        }),
    }
}
