//! `doproxy plugin`: what plugins there are, and what one says of itself.

use serde::Serialize;

use super::Global;
use super::app::App;
use super::output::say;
use crate::config::{Config, user_cache};
use crate::model::{Manifest, PluginKind};
use crate::plugin::{PluginHost, PluginSettings, Reference, builtins, text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// The plugins that are built in, and those that the configuration names.
    List {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// What a plugin is, imports, needs and can be told.
    #[command(
        after_help = "Examples:\n  doproxy plugin inspect builtin:target-tracking\n  doproxy plugin inspect file:policy.wasm --json"
    )]
    Inspect {
        /// `builtin:NAME` or `file:PATH`.
        #[arg(value_name = "REF")]
        reference: Reference,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::List { json } => list(global, *json).await,
        Command::Inspect { reference, json } => inspect(global, reference, *json).await,
    }
}

/// The program that runs: also after its file was replaced by another version or removed.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The plugin host of a command, which compiles in a process of its own.
pub(super) fn host(settings: PluginSettings) -> anyhow::Result<PluginHost> {
    Ok(PluginHost::new(PluginSettings { compiler: Some(THIS_PROGRAM.into()), ..settings })?)
}

/// Plugins can be looked at where there is no configuration.
fn configured(global: &Global) -> anyhow::Result<(PluginHost, Option<Config>)> {
    if global.config.exists() {
        let app = App::load(global)?;
        return Ok((app.plugins()?, Some(app.config)));
    }
    let settings = PluginSettings { cache_dir: user_cache(), ..PluginSettings::default() };
    Ok((host(settings)?, None))
}

#[derive(Debug, Serialize)]
struct Listed {
    reference: String,
    kind: PluginKind,
    version: String,
    description: String,
    used: bool,
}

async fn list(global: &Global, json: bool) -> anyhow::Result<()> {
    let (host, config) = configured(global)?;
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
    if json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    let width = listed.iter().map(|plugin| plugin.reference.len()).max().unwrap_or_default();
    for plugin in &listed {
        let mark = if plugin.used { "*" } else { " " };
        say!("{mark} {:width$}  {:19}  {:7}  {}", plugin.reference, plugin.kind, plugin.version, plugin.description);
    }
    if listed.iter().any(|plugin| plugin.used) {
        say!("* used by {}", global.config.display());
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    reference: String,
    kind: PluginKind,
    digest: &'a str,
    size_bytes: usize,
    imports: &'a [String],
    manifest: &'a Manifest,
    config_schema: serde_json::Value,
}

async fn inspect(global: &Global, reference: &Reference, json: bool) -> anyhow::Result<()> {
    let (host, _) = configured(global)?;
    let inspected = host.inspect(reference).await?;
    let manifest = &inspected.manifest;
    let config_schema: serde_json::Value = serde_json::from_str(&manifest.config_schema)?;
    if json {
        let shown = Shown {
            reference: reference.to_string(),
            kind: inspected.kind,
            digest: &inspected.digest,
            size_bytes: inspected.size,
            imports: &inspected.imports,
            manifest,
            config_schema,
        };
        say!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    say!("{} {} ({})", manifest.name, manifest.version, inspected.kind);
    say!("{}", manifest.description);
    say!();
    say!("reference  {reference}");
    say!("digest     {}", inspected.digest);
    say!("size       {} bytes", inspected.size);
    say!(
        "imports    {}",
        if inspected.imports.is_empty() { "nothing".to_owned() } else { inspected.imports.join(", ") }
    );
    for metric in &manifest.metrics {
        let needed = if metric.required { "required" } else { "optional" };
        say!("metric     {} over {} s, {needed}", metric.name, metric.window_ms / 1000);
    }
    say!();
    say!("configuration");
    print_schema(&config_schema);
    Ok(())
}

/// Most characters of one thing that a plugin says.
const LONGEST: usize = 2000;

/// The properties of an object schema, a line each; anything else as it is.
fn print_schema(schema: &serde_json::Value) {
    let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) else {
        say!("  {}", text::line(&schema.to_string(), LONGEST));
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    for (name, property) in properties {
        let word = |key: &str| {
            let written = property.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            text::line(written, LONGEST)
        };
        let default = property.get("default").map(|value| format!(" (default {value})")).unwrap_or_default();
        let needed = if required.contains(&name.as_str()) { " (required)" } else { "" };
        say!("  {}", text::line(&format!("{name}: {}{needed}{default}", word("type")), LONGEST));
        let description = word("description");
        if !description.is_empty() {
            say!("      {description}");
        }
    }
}
