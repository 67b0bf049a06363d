//! `doproxy plugin update`: resolves the plugin tags of `doproxy.yml` again.

use doproxy_plugin_registry::OciReference;

use crate::cli::UsageError;
use crate::cli::output::out;
use crate::cli::plugin::{Global, host_and_config, oci_references};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin update                                update all plugins of doproxy.yml\n  doproxy plugin update oci://registry.example.com/acme/queue:1.2"
)]
pub(super) struct Args {
    /// Plugins to update; all registry plugins of doproxy.yml if omitted.
    #[arg(value_name = "REF")]
    references: Vec<OciReference>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, config) = host_and_config(global)?;
    let Some(config) = config else {
        let file = global.config.display();
        return Err(UsageError(format!(
            "{file} not found, so no tag is locked; run `doproxy plugin pull REF` to pull a plugin"
        ))
        .into());
    };
    let lock = config.plugins.registry.lock.as_ref();
    let is_named = |reference: &OciReference| lock.is_some_and(|lock| lock.references.contains(reference));
    for reference in oci_references(&args.references, Some(&config))? {
        if !is_named(&reference) {
            return Err(UsageError(format!(
                "{} does not use {reference}, so it is not locked",
                global.config.display()
            ))
            .into());
        }
        if reference.digest().is_some() {
            out!("{reference}: pinned by digest");
            continue;
        }
        let updated = host.update(&reference).await?;
        match updated.previous {
            Some(before) if before == updated.current.manifest => out!("{reference}: unchanged, {before}"),
            Some(before) => out!("{reference}: {before} → {}", updated.current.manifest),
            None => out!("{reference}: {}", updated.current.manifest),
        }
    }
    Ok(())
}
