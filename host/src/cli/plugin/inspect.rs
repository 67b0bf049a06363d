//! `doproxy plugin inspect`: what a plugin is, imports, needs and can be told.

use serde::Serialize;

use super::origin::{self, ShownOrigin};
use super::{Global, configured};
use crate::cli::output::say;
use crate::model::{Manifest, PluginKind};
use crate::plugin::{Reference, text};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin inspect builtin:target-tracking\n  doproxy plugin inspect file:policy.wasm --json\n  doproxy plugin inspect oci://registry.example.com/acme/queue:1.2"
)]
pub(super) struct Args {
    /// `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[arg(value_name = "REF")]
    reference: Reference,
    /// As JSON.
    #[arg(long)]
    json: bool,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<ShownOrigin>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let reference = &args.reference;
    let (host, _) = configured(global)?;
    let inspected = host.inspect(reference).await?;
    let manifest = &inspected.manifest;
    let config_schema: serde_json::Value = serde_json::from_str(&manifest.config_schema)?;
    if args.json {
        let shown = Shown {
            reference: reference.to_string(),
            kind: inspected.kind,
            digest: &inspected.digest,
            size_bytes: inspected.size,
            imports: &inspected.imports,
            manifest,
            config_schema,
            origin: inspected.origin.as_ref().map(ShownOrigin::of),
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
    if let Some(origin) = &inspected.origin {
        origin::print(origin);
    }
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
