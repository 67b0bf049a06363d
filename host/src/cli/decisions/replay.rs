//! `doproxy decisions replay`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use doproxy_core::domain::RecordId;
use doproxy_decision_log::{Comparison, LogReader, RecordError, RecordRange, ReplaySummary, WhatIf, replay_all};
use doproxy_plugin_registry::Reference;
use serde::Serialize;

use crate::cli::decisions::Source;
use crate::cli::output::{Progress, out};
use crate::cli::{AlreadyReported, UsageError, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each policy is re-run with its recorded component and must produce a bit-identical decision; so must the guard.\nThe exit code is 1 on any mismatch.\n\nExamples:\n  doproxy decisions replay last\n  doproxy decisions replay all\n  doproxy decisions replay night.bundle\n  doproxy decisions replay -500..last --policy file:policy.wasm --config policy.json"
)]
pub(super) struct Args {
    /// Records to replay, or a file written by `export`.
    #[arg(value_name = "ID|A..B|all|FILE", allow_hyphen_values = true)]
    records: String,
    /// Show what this policy would have decided instead of the recorded ones, on the recorded fleet and load.
    #[arg(long, value_name = "REF")]
    policy: Option<Reference>,
    /// Configuration of that policy, as YAML or JSON; the recorded policy's if omitted.
    #[arg(long, value_name = "FILE", requires = "policy")]
    policy_config: Option<PathBuf>,
    /// Include ticks with the same result (with --policy).
    #[arg(long, requires = "policy")]
    all: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let selected = args.records.parse::<RecordRange>();
    let path = Path::new(&args.records);
    let (source, selection) = match selected {
        Ok(selection) => (Source { ..*source }, selection),
        Err(_) if path.is_file() => (Source { from: Some(path), ..*source }, RecordRange::All),
        Err(error) => return Err(UsageError(format!("{error}, or a file written by `export`")).into()),
    };
    let archive = source.open_log()?;
    let ids = archive.select(selection)?;
    match &args.policy {
        None => verify(&source, &archive, &ids, args.json).await,
        Some(policy) => what_if(&source, &archive, &ids, policy, args).await,
    }
}

async fn verify(source: &Source<'_>, archive: &Arc<LogReader>, ids: &[RecordId], json: bool) -> anyhow::Result<()> {
    let components = source.components(archive)?;
    let progress = Progress::new();
    let summary = replay_all(archive, &components, ids, |done| progress.set_progress(done, ids.len())).await;
    progress.finish();
    let summary = summary?;
    if json {
        out!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        for line in summary_lines(&summary) {
            output::untrusted(&line);
        }
    }
    if summary.differing.is_empty() { Ok(()) } else { Err(AlreadyReported.into()) }
}

fn summary_lines(summary: &ReplaySummary) -> Vec<String> {
    let mut lines: Vec<String> = summary
        .differing
        .iter()
        .flat_map(|verdict| verdict.mismatches.iter().map(|what| format!("{}: {what}", verdict.id)))
        .collect();
    let replayed = output::count(usize::try_from(summary.replayed).unwrap_or(usize::MAX), "record");
    lines.push(match summary.differing.len() {
        0 => format!("{replayed} replayed, bit-identical"),
        differing => format!("{replayed} replayed, {differing} mismatched"),
    });
    lines
}

/// The output of `--policy --json`.
#[derive(Debug, Serialize)]
struct WhatIfOutput {
    replayed: usize,
    differing: usize,
    ticks: Vec<Comparison>,
}

async fn what_if(
    source: &Source<'_>,
    archive: &Arc<LogReader>,
    ids: &[RecordId],
    reference: &Reference,
    args: &Args,
) -> anyhow::Result<()> {
    let policy = source.host()?.policy(reference).await?;
    let config = match &args.policy_config {
        Some(path) => read_config(path)?,
        None => recorded_config(archive, ids)?,
    };
    policy.validate(&config).await.with_context(|| match args.policy_config {
        Some(_) => "the alternative policy rejects this configuration",
        None => "the alternative policy rejects the recorded configuration; pass its own with --policy-config",
    })?;
    let mut other = WhatIf::new(policy, config);
    let mut diff = WhatIfOutput { replayed: 0, differing: 0, ticks: Vec::new() };
    for chunk in ids.chunks(256) {
        for recorded in archive.get_many(chunk)? {
            let compared = other.evaluate(&recorded?).await;
            diff.replayed += 1;
            diff.differing += usize::from(compared.differs());
            if args.all || compared.differs() || compared.failure.is_some() {
                diff.ticks.push(compared);
            }
        }
    }
    if args.json {
        out!("{}", serde_json::to_string_pretty(&diff)?);
        return Ok(());
    }
    for tick in &diff.ticks {
        output::untrusted(&describe_comparison(tick));
    }
    let replayed = output::count(diff.replayed, "record");
    out!("{replayed}: {} would have resulted in a different size with {reference}", diff.differing);
    Ok(())
}

fn describe_comparison(tick: &Comparison) -> String {
    let detail = tick.failure.as_deref().unwrap_or(&tick.reason);
    format!(
        "{}  {}  recorded {} → {}, alternative {} → {}: {} ({detail})",
        tick.id, tick.at, tick.from, tick.recorded, tick.from, tick.alternative, tick.outcome
    )
}

/// Reads YAML or JSON and returns it as JSON text.
fn read_config(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| UsageError(format!("failed to read --policy-config {}: {error}", path.display())))?;
    let value: serde_json::Value =
        serde_yaml::from_str(&text).map_err(|error| UsageError(format!("{}: {error}", path.display())))?;
    Ok(value.to_string())
}

/// Returns the configuration of the policy that was selected in the first record.
fn recorded_config(archive: &LogReader, ids: &[RecordId]) -> Result<String, RecordError> {
    let Some(first) = ids.first() else { return Err(RecordError::Empty) };
    let record = archive.get_without_series(*first)?.record;
    let selected =
        record.selected.and_then(|index| record.evaluations.get(index as usize)).or(record.evaluations.first());
    Ok(selected.map_or_else(|| "{}".to_owned(), |evaluation| evaluation.config.clone()))
}

#[cfg(test)]
mod tests {
    use doproxy_decision_log::{ReplayMismatch, ReplayResult};

    use super::*;

    #[test]
    fn summary_lists_mismatches() {
        let fuel = ReplayMismatch::Fuel { policy: "web".to_owned(), recorded: 100, now: 101 };
        let differing = vec![ReplayResult { id: RecordId(4), mismatches: vec![fuel] }];

        assert_eq!(
            summary_lines(&ReplaySummary { replayed: 9, differing }),
            ["4: web uses 101 fuel; the record has 100", "9 records replayed, 1 mismatched"]
        );
        assert_eq!(
            summary_lines(&ReplaySummary { replayed: 1, differing: vec![] }),
            ["1 record replayed, bit-identical"]
        );
    }
}
