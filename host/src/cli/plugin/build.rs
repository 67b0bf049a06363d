//! `doproxy plugin build`: builds a component from a project.

use std::path::PathBuf;

use doproxy_plugin_registry::Reference;

use crate::cli::output::out;
use crate::cli::plugin::inspect::{Bytes, describe_import, describe_imports};
use crate::cli::plugin::target::{build_project, relaxed_host};
use crate::cli::{Global, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy plugin build\n  doproxy plugin build calm --json")]
pub(super) struct Args {
    /// Project directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (project, built) = build_project(args.directory.clone()).await?;
    let reference = Reference::File(built.path.clone());
    let host = relaxed_host(global)?;
    let info = host.component_info(&reference).await?;
    // A component that fails to load is not a plugin.
    host.inspect(&reference).await?;
    if args.json {
        let shown = serde_json::json!({
            "name": project.metadata.name,
            "version": project.metadata.version,
            "kind": project.kind,
            "language": project.language.to_string(),
            "toolchain": built.toolchain,
            "component": built.path,
            "digest": info.digest,
            "size_bytes": info.size,
            "imports": info.imports,
            "metadata": info.metadata,
            "reproducible": built.is_reproducible,
            "up_to_date": built.is_up_to_date,
        });
        out!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    let made = if built.is_up_to_date { "up to date" } else { "built" };
    out!("{made}: {} {} ({})", project.metadata.name, project.metadata.version, project.kind);
    out!("component  {}", built.path.display());
    out!("toolchain  {}", built.toolchain);
    out!("size       {}", Bytes(info.size));
    out!("digest     sha256:{}", info.digest);
    out!("imports    {}", describe_imports(&info.imports));
    for import in &info.imports {
        out!("           {}", describe_import(import));
    }
    if !built.is_reproducible && !built.is_up_to_date {
        output::warn(format_args!(
            "{} does not produce reproducible builds; publish the exact component that you tested",
            built.toolchain
        ));
    }
    Ok(())
}
