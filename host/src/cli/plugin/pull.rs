//! `doproxy plugin pull`: pulls plugins from their registries into the local store.

use doproxy_plugin_registry::OciReference;

use crate::cli::output::out;
use crate::cli::plugin::{Global, host_and_config, oci_references};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin pull                                  pull all plugins of doproxy.yml\n  doproxy plugin pull oci://registry.example.com/acme/queue:1.2"
)]
pub(super) struct Args {
    /// Plugins to pull; all registry plugins of doproxy.yml if omitted.
    #[arg(value_name = "REF")]
    references: Vec<OciReference>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, config) = host_and_config(global)?;
    for reference in oci_references(&args.references, config.as_ref())? {
        let origin = host.pull(&reference).await?;
        out!("{}", reference.with_digest(origin.manifest));
        out!("  stored  {}", origin.path.display());
        out!("  trust   {}", origin.trust);
    }
    Ok(())
}
