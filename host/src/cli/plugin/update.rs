//! `doproxy plugin update`: what the tags of `doproxy.yml` mean today.

use super::{Global, host_and_config, oci_references};
use crate::cli::UsageError;
use crate::cli::output::say;
use crate::plugin::OciReference;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin update                                all that doproxy.yml names\n  doproxy plugin update oci://registry.example.com/acme/queue:1.2"
)]
pub(super) struct Args {
    /// Which; all that doproxy.yml names where none is given.
    #[arg(value_name = "REF")]
    references: Vec<OciReference>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, config) = host_and_config(global)?;
    let Some(config) = config else {
        let file = global.config.display();
        return Err(UsageError(format!(
            "there is no {file}, so no tag is locked; `doproxy plugin pull REF` brings a plugin"
        ))
        .into());
    };
    let lock = config.plugins.registry.lock.as_ref();
    let is_named = |reference: &OciReference| lock.is_some_and(|lock| lock.references.contains(reference));
    for reference in oci_references(&args.references, Some(&config))? {
        if !is_named(&reference) {
            return Err(UsageError(format!(
                "{} does not name {reference}, so it is not locked",
                global.config.display()
            ))
            .into());
        }
        if reference.digest().is_some() {
            say!("{reference}: named by its digest");
            continue;
        }
        let updated = host.update(&reference).await?;
        match updated.previous {
            Some(before) if before == updated.current.manifest => say!("{reference}: unchanged, {before}"),
            Some(before) => say!("{reference}: {before} → {}", updated.current.manifest),
            None => say!("{reference}: {}", updated.current.manifest),
        }
    }
    Ok(())
}
