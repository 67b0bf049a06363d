//! `doproxy plugin verify`: verifies that a plugin in a registry has a trusted signature.

use std::path::PathBuf;

use doproxy_plugin_registry::{KeySource, OciReference, RepositoryPattern, Rule};

use crate::cli::UsageError;
use crate::cli::output::out;
use crate::cli::plugin::{Global, host_and_config};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin verify oci://registry.example.com/acme/queue:1.2 --key release.pub\n  doproxy plugin verify oci://registry.example.com/acme/queue:1.2                      verify with plugins.trust"
)]
pub(super) struct Args {
    /// Plugin to verify.
    #[arg(value_name = "REF")]
    reference: OciReference,
    /// Public key, repeatable; one matching key is sufficient. Defaults to the rules in plugins.trust.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, config) = host_and_config(global)?;
    let rules = if args.keys.is_empty() {
        let rules = config.and_then(|config| config.plugins.registry.trust);
        rules.ok_or_else(|| {
            UsageError("the configuration has no plugins.trust; pass a public key with --key".to_owned())
        })?
    } else {
        let keys = args.keys.iter().cloned().map(KeySource::File).collect();
        vec![Rule { repository: RepositoryPattern::any(), keys, allow_unsigned: false }]
    };
    let origin = host.verify(&args.reference, &rules).await?;
    out!("{}", args.reference.with_digest(origin.manifest));
    out!("  component  {}", origin.component);
    out!("  trust      {}", origin.trust);
    Ok(())
}
