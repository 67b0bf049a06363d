//! Loads policies from `--policy REF[=CONFIG]`.

use std::path::Path;

use doproxy_config::user_cache_dir;
use doproxy_core::domain::Mode;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;
use doproxy_simulation::{PRESETS, Preset};

use crate::cli::context::CommandContext;
use crate::cli::{UsageError, plugin};

/// Loads the policies of the command line, or those of doproxy.yml if none are given.
pub(super) async fn load(
    context: Option<&CommandContext>,
    written: &[String],
    capacity: f64,
) -> anyhow::Result<Vec<ConfiguredPolicy>> {
    if written.is_empty() {
        let policies = match context {
            Some(context) => context.policies().await?,
            None => Vec::new(),
        };
        if policies.is_empty() {
            return Err(
                UsageError("no policy given; pass one with --policy, or add one to doproxy.yml".to_owned()).into()
            );
        }
        return Ok(policies);
    }
    let host = host(context)?;
    let mut policies: Vec<ConfiguredPolicy> = Vec::new();
    for text in written {
        let PolicyArg { name, reference, config } = parse(text, capacity)?;
        let policy = host.policy(&reference).await?;
        policy.validate(&config).await?;
        let same =
            policies.iter().filter(|other| other.name == name || other.name.starts_with(&format!("{name} ("))).count();
        let name = if same == 0 { name } else { format!("{name} ({})", same + 1) };
        policies.push(ConfiguredPolicy { name, mode: Mode::Active, policy, config });
    }
    Ok(policies)
}

fn host(context: Option<&CommandContext>) -> anyhow::Result<PluginHost> {
    match context {
        Some(context) => context.plugins(),
        None => plugin::host(PluginSettings { cache_dir: user_cache_dir(), ..PluginSettings::default() }),
    }
}

/// A parsed `--policy` argument.
#[derive(Debug, PartialEq)]
struct PolicyArg {
    name: String,
    reference: Reference,
    /// The configuration as JSON text.
    config: String,
}

fn parse(text: &str, capacity: f64) -> Result<PolicyArg, UsageError> {
    let (before, after) = match text.split_once('=') {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    if let Some(preset) = Preset::find(before) {
        let utilization = match after {
            None => preset.utilization,
            Some(text) => text
                .parse()
                .ok()
                .filter(|utilization: &f64| *utilization > 0.0 && *utilization <= 1.0)
                .ok_or_else(|| {
                    UsageError(format!("{before}={text}: the utilization of a preset must be above 0 and at most 1"))
                })?,
        };
        let config = preset.config(capacity, utilization).to_string();
        return Ok(PolicyArg {
            name: text.to_owned(),
            reference: Reference::Builtin("target-tracking".to_owned()),
            config,
        });
    }
    let reference = before.parse::<Reference>().map_err(|error| {
        let presets = PRESETS.map(|preset| preset.name).join(", ");
        UsageError(format!("--policy: {error}, or a preset: {presets}"))
    })?;
    let config = after.map_or_else(|| Ok("{}".to_owned()), read_config)?;
    Ok(PolicyArg { name: before.to_owned(), reference, config })
}

/// Returns a configuration given inline or in a file as JSON text.
fn read_config(text: &str) -> Result<String, UsageError> {
    let yaml = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        std::fs::read_to_string(Path::new(text))
            .map_err(|error| UsageError(format!("failed to read the configuration {text}: {error}")))?
    };
    let value: serde_json::Value =
        serde_yaml::from_str(&yaml).map_err(|error| UsageError(format!("invalid configuration {text}: {error}")))?;
    Ok(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_preset_with_utilization() {
        let written = parse("hpa=0.85", 100.0).unwrap();

        assert_eq!(written.name, "hpa=0.85");
        assert_eq!(written.reference.to_string(), "builtin:target-tracking");
        assert_eq!(
            written.config,
            r#"{"preset":"hpa","metric":"haproxy.requests_per_second","target_per_droplet":85.0}"#
        );
    }

    #[test]
    fn parse_accepts_inline_yaml() {
        let written = parse("file:a.wasm={target: 70}", 100.0).unwrap();

        assert_eq!((written.name.as_str(), written.config.as_str()), ("file:a.wasm", r#"{"target":70}"#));
    }

    #[test]
    fn parse_reports_valid_choices() {
        let error = |text| parse(text, 1.0).unwrap_err().to_string();

        assert_eq!(error("hpa=2"), "hpa=2: the utilization of a preset must be above 0 and at most 1");
        assert_eq!(
            error("target-tracking"),
            "--policy: \"target-tracking\" is not a plugin reference; write builtin:target-tracking, or a preset: hpa, gce, aws, kpa, ski-rental, reactive"
        );
    }
}
