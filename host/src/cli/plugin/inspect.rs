//! `doproxy plugin inspect`: shows a plugin's metadata, imports, metric requirements and configuration schema.

use std::fmt;

use doproxy_core::domain::{Manifest, PluginKind};
use doproxy_plugin_host::{CONTRACT, ComponentInfo, Import, ImportPolicy};
use doproxy_plugin_registry::{Metadata, Reference};
use doproxy_support::sanitize;
use serde::Serialize;
use serde_json::Value;

use crate::cli::Global;
use crate::cli::output::out;
use crate::cli::plugin::origin::ProvenanceOutput;
use crate::cli::plugin::{host_and_config, origin};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin inspect builtin:target-tracking\n  doproxy plugin inspect file:policy.wasm --json\n  doproxy plugin inspect oci://registry.example.com/acme/queue:1.2"
)]
pub(super) struct Args {
    /// Plugin reference: `builtin:NAME`, `file:PATH` or `oci://REGISTRY/REPOSITORY:TAG`.
    #[arg(value_name = "REF")]
    reference: Reference,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct InspectOutput<'a> {
    reference: String,
    kind: PluginKind,
    world: String,
    digest: &'a str,
    size_bytes: usize,
    imports: Vec<&'a str>,
    verdict: ImportSummary,
    import_policies: &'a [Import],
    metadata: &'a Metadata,
    manifest: &'a Manifest,
    config_schema: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<ProvenanceOutput>,
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let (host, _) = host_and_config(global)?;
    let info = host.component_info(&args.reference).await?;
    let inspected = match host.inspect(&args.reference).await {
        Ok(inspected) => inspected,
        Err(error) => {
            // The static information is more helpful than the load error alone.
            if !args.json {
                print_static_info(&args.reference, &info);
            }
            return Err(error.into());
        }
    };
    let manifest = &inspected.manifest;
    let config_schema: Value = serde_json::from_str(&manifest.config_schema)?;
    let world = format!("doproxy:plugin/{}@{CONTRACT}", inspected.kind);
    if args.json {
        let shown = InspectOutput {
            reference: args.reference.to_string(),
            kind: inspected.kind,
            world,
            digest: &inspected.digest,
            size_bytes: inspected.size,
            imports: inspected.imports.iter().map(String::as_str).collect(),
            verdict: ImportSummary::of(&info.imports),
            import_policies: &info.imports,
            metadata: &info.metadata,
            manifest,
            config_schema,
            origin: inspected.provenance.as_ref().map(ProvenanceOutput::of),
        };
        out!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    out!("{} {} ({})", manifest.name, manifest.version, inspected.kind);
    out!("{}", manifest.description);
    out!();
    out!("world      {world}");
    print_static_info(&args.reference, &info);
    if let Some(origin) = &inspected.provenance {
        origin::print(origin);
    }
    for metric in &manifest.metrics {
        let needed = if metric.required { "required" } else { "optional" };
        out!("metric     {} over {} s, {needed}", metric.name, metric.window_ms / 1000);
    }
    out!();
    out!("configuration");
    print_schema(&config_schema);
    Ok(())
}

/// Prints the information that is available without running the component.
fn print_static_info(reference: &Reference, info: &ComponentInfo) {
    out!("reference  {reference}");
    out!("digest     {}", info.digest);
    out!("size       {}", Bytes(info.size));
    out!("imports    {}", describe_imports(&info.imports));
    for import in &info.imports {
        out!("           {}", describe_import(import));
    }
    let metadata = &info.metadata;
    for (what, value) in [
        ("version", &metadata.version),
        ("authors", &metadata.authors),
        ("license", &metadata.licenses),
        ("revision", &metadata.revision),
    ] {
        if let Some(value) = value {
            out!("{what:10} {value}");
        }
    }
    if !metadata.producers.is_empty() {
        out!("producers  {}", metadata.producers.join("\n           "));
    }
}

/// A summary of a component's imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum ImportSummary {
    /// Imports only the contract.
    Pure,
    /// Also imports WASI, for which the host provides empty implementations.
    EmptyWasiOnly,
    /// Imports something that plugins may not use.
    Refused,
}

impl ImportSummary {
    fn of(imports: &[Import]) -> Self {
        let any = |verdict| imports.iter().any(|import| import.verdict == verdict);
        match () {
            () if any(ImportPolicy::Refused) => Self::Refused,
            () if any(ImportPolicy::EmptyWasi) => Self::EmptyWasiOnly,
            () => Self::Pure,
        }
    }
}

/// Summarizes all imports in a phrase.
pub(super) fn describe_imports(imports: &[Import]) -> &'static str {
    match ImportSummary::of(imports) {
        ImportSummary::Pure => "pure: only the contract",
        ImportSummary::EmptyWasiOnly => "empty WASI only: WASI calls have no effect",
        ImportSummary::Refused => "rejected: imports interfaces that plugins may not use",
    }
}

/// Describes one import and its provider.
pub(super) fn describe_import(import: &Import) -> String {
    let behind = match import.verdict {
        ImportPolicy::Contract => "contract",
        ImportPolicy::EmptyWasi => "empty WASI",
        ImportPolicy::Refused => "REJECTED",
    };
    format!("{} ({behind})", import.name)
}

/// A size in bytes, displayed in human-readable and exact form.
pub(super) struct Bytes(pub(super) usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "display only")]
        let bytes = self.0 as f64;
        match self.0 {
            0..1024 => write!(f, "{} bytes", self.0),
            1024..1_048_576 => write!(f, "{:.1} KiB ({} bytes)", bytes / 1024.0, self.0),
            _ => write!(f, "{:.1} MiB ({} bytes)", bytes / 1_048_576.0, self.0),
        }
    }
}

/// Maximum number of characters shown of a text from a plugin.
const MAX_TEXT: usize = 2000;

/// A row of the table.
struct Row {
    name: String,
    kind: String,
    default: String,
    bounds: String,
    description: String,
}

/// Prints the properties of an object schema as a table, and any other schema as is.
fn print_schema(schema: &Value) {
    let mut rows = Vec::new();
    collect(schema, "", &mut rows);
    if rows.is_empty() {
        out!("  {}", sanitize::sanitize_line(&schema.to_string(), MAX_TEXT));
        return;
    }
    let width = |cell: fn(&Row) -> &str, title: &str| {
        rows.iter().map(|row| cell(row).chars().count()).chain([title.len()]).max().unwrap_or_default()
    };
    let (name, kind) = (width(|row| &row.name, "KEY"), width(|row| &row.kind, "TYPE"));
    let (default, bounds) = (width(|row| &row.default, "DEFAULT"), width(|row| &row.bounds, "BOUNDS"));
    out!("  {:name$}  {:kind$}  {:default$}  {:bounds$}", "KEY", "TYPE", "DEFAULT", "BOUNDS");
    for row in &rows {
        let Row { name: key, kind: of, default: otherwise, bounds: within, description } = row;
        out!("  {}", format!("{key:name$}  {of:kind$}  {otherwise:default$}  {within:bounds$}").trim_end());
        if !description.is_empty() {
            out!("      {description}");
        }
    }
}

/// Maximum number of table rows.
const MAX_ROWS: usize = 200;

fn collect(schema: &Value, above: &str, rows: &mut Vec<Row>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties {
        if rows.len() >= MAX_ROWS {
            return;
        }
        let key = format!("{above}{name}");
        let default = match property.get("default") {
            Some(value) => value.to_string(),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
        rows.push(Row {
            name: sanitize::sanitize_line(&key, 100),
            kind: sanitize::sanitize_line(&kind_of(property), 60),
            default: sanitize::sanitize_line(&default, 60),
            bounds: sanitize::sanitize_line(&bounds_of(property), 100),
            description: sanitize::sanitize_line(description, MAX_TEXT),
        });
        // References are not followed, so the recursion terminates. Nested properties follow their parent.
        if above.matches('.').count() < 4 {
            collect(property, &format!("{key}."), rows);
            if let Some(items) = property.get("items") {
                collect(items, &format!("{key}[]."), rows);
            }
        }
    }
}

/// Returns `string`, `integer or null`, `array of string`, or the allowed values.
fn kind_of(property: &Value) -> String {
    if let Some(words) = property.get("enum").and_then(Value::as_array) {
        return words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
    }
    let kind = match property.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    };
    match property.get("items").and_then(|items| items.get("type")).and_then(Value::as_str) {
        Some(items) if kind == "array" => format!("array of {items}"),
        _ => kind,
    }
}

/// Returns the schema's bounds of a value.
fn bounds_of(property: &Value) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("minimum", "≥"),
        ("exclusiveMinimum", ">"),
        ("maximum", "≤"),
        ("exclusiveMaximum", "<"),
        ("minLength", "length ≥"),
        ("maxLength", "length ≤"),
        ("minItems", "items ≥"),
        ("maxItems", "items ≤"),
    ];
    let bounds = WORDS.iter().filter_map(|(word, sign)| property.get(word).map(|value| format!("{sign} {value}")));
    bounds.collect::<Vec<_>>().join(", ")
}
