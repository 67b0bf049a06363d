//! `doproxy plugin list`: lists the built-in plugins and those in the configuration.

use doproxy_config::Config;
use doproxy_core::domain::PluginKind;
use doproxy_plugin_host::builtins;
use doproxy_plugin_registry::Reference;
use serde::Serialize;

use crate::cli::output::out;
use crate::cli::plugin::{Global, host_and_config};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy plugin list\n  doproxy plugin list --json")]
pub(super) struct Args {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    reference: String,
    kind: PluginKind,
    version: String,
    description: String,
    used: bool,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, config) = host_and_config(global)?;
    let used: Vec<Reference> = config.iter().flat_map(Config::plugins_used).cloned().collect();
    let mut references: Vec<Reference> = builtins().map(|name| Reference::Builtin(name.to_owned())).collect();
    for reference in &used {
        if !references.contains(reference) {
            references.push(reference.clone());
        }
    }
    let mut listed = Vec::new();
    for reference in references {
        let inspected = host.inspect(&reference).await?;
        listed.push(Listed {
            used: used.contains(&reference),
            reference: reference.to_string(),
            kind: inspected.kind,
            version: inspected.manifest.version,
            description: inspected.manifest.description,
        });
    }
    if args.json {
        out!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    let width = listed.iter().map(|plugin| plugin.reference.len()).max().unwrap_or_default();
    for plugin in &listed {
        let mark = if plugin.used { "*" } else { " " };
        out!("{mark} {:width$}  {:19}  {:7}  {}", plugin.reference, plugin.kind, plugin.version, plugin.description);
    }
    if listed.iter().any(|plugin| plugin.used) {
        out!("* used by {}", global.config.display());
    }
    Ok(())
}
