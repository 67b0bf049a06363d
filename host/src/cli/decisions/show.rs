//! `doproxy decisions show`.

use doproxy_core::domain::{ObservedDroplet, RecordId, Series, TickRecord};
use doproxy_decision_log::{RecordSelector, StoredRecord, format_number};
use serde::Serialize;

use crate::cli::decisions::{Source, select_one};
use crate::cli::describe::describe;
use crate::cli::output;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy decisions show last\n  doproxy decisions show 12 --json")]
pub(super) struct Args {
    /// Record to show.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    record: RecordSelector,
    /// Print as JSON, with every sample.
    #[arg(long)]
    json: bool,
}

/// The output of `--json`.
#[derive(Debug, Serialize)]
struct RecordOutput<'a> {
    id: RecordId,
    doproxy: &'a str,
    #[serde(flatten)]
    record: &'a TickRecord,
}

pub(super) fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.open_log()?;
    let recorded = archive.get(select_one(&archive, args.record)?)?;
    if args.json {
        let shown = RecordOutput { id: recorded.id, doproxy: &recorded.doproxy_version, record: &recorded.record };
        out!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    output::untrusted(&text(&recorded)?);
    Ok(())
}

fn text(recorded: &StoredRecord) -> anyhow::Result<String> {
    let record = &recorded.record;
    let observation = &record.observation;
    let mut lines = vec![
        format!("record {} of {}, {}", recorded.id, record.at, serde_yaml::to_string(&record.trigger)?.trim()),
        format!("fleet {}, tick {}, doproxy {}", observation.fleet_name, observation.tick, recorded.doproxy_version),
        String::new(),
        describe(record),
        String::new(),
        "fleet".to_owned(),
    ];
    lines.extend(observation.fleet.iter().map(|one| droplet(one, record)));
    lines.extend([String::new(), "series".to_owned()]);
    lines.extend(observation.metrics.iter().map(series));
    for evaluation in &record.evaluations {
        lines.extend([
            String::new(),
            format!("{}: {}", evaluation.policy, evaluation.reference),
            format!("  digest    {}", evaluation.digest),
            format!("  config    {}", evaluation.config),
            format!("  took      {} fuel, {} µs", evaluation.fuel, evaluation.duration_us),
            format!("  state     {}", state(&evaluation.state)),
            format!("  returned  {}", state(&evaluation.decision.state)),
        ]);
    }
    for (title, yaml) in [
        ("limits", serde_yaml::to_string(&observation.limits)?),
        ("guard rules", serde_yaml::to_string(&record.rules)?),
        ("guard inputs", serde_yaml::to_string(&record.facts)?),
        ("outcome", serde_yaml::to_string(&record.outcome)?),
    ] {
        lines.extend([String::new(), title.to_owned()]);
        lines.extend(yaml.trim_end().lines().map(|line| format!("  {line}")));
    }
    Ok(lines.join("\n"))
}

fn droplet(droplet: &ObservedDroplet, record: &TickRecord) -> String {
    let id = droplet.id.map(|id| format!(" ({id})")).unwrap_or_default();
    let since = record.at.since(droplet.phase_since).as_secs();
    let health = if droplet.healthy { "healthy" } else { "unhealthy" };
    let protected = if droplet.protected { ", protected" } else { "" };
    let load = droplet
        .load
        .map(|load| format!(", {} sessions, {} requests/s", load.sessions, format_number(load.requests_per_second)));
    let name = &droplet.name;
    format!("  {name}{id}: {} for {since} s, {health}{protected}{}", droplet.phase, load.unwrap_or_default())
}

fn series(series: &Series) -> String {
    let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let values = series.samples.iter().map(|sample| sample.value);
    let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
    let newest = match series.samples.last() {
        Some(newest) => format!("{} {}", format_number(newest.value), series.unit),
        None => "no samples".to_owned(),
    };
    let window = match series.samples.len() {
        0 | 1 => String::new(),
        many => format!(" ({many} samples, {} to {})", format_number(least), format_number(most)),
    };
    let stale = if series.stale { ", stale" } else { "" };
    format!("  {}{labels}: {newest}{window}{stale}", series.name)
}

/// Formats a policy's state, which is usually text.
fn state(state: &[u8]) -> String {
    /// Maximum number of characters shown.
    const MAX_CHARS: usize = 200;
    match std::str::from_utf8(state) {
        Ok("") => "none".to_owned(),
        Ok(text) => doproxy_support::sanitize_line(text, MAX_CHARS),
        Err(_) => format!("{} bytes", state.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_shows_the_whole_record() {
        let record =
            doproxy_test_support::decision_record::tick(doproxy_core::domain::Timestamp(1_800_000_000_000), 25.0);
        let recorded = StoredRecord { id: RecordId(7), doproxy_version: "0.1.0".to_owned(), record };

        let text = text(&recorded).unwrap();

        let (numbers, rest) = text.split_once("  max_hourly_cost").unwrap();
        for title in ["guard rules", "guard inputs", "outcome"] {
            assert!(rest.contains(&format!("\n\n{title}\n  ")), "{rest}");
        }
        insta::assert_snapshot!(numbers.trim_end(), @r#"
        record 7 of 2027-01-15T08:00:00Z, interval
        fleet www, tick 120000000, doproxy 0.1.0

        web
          decision  scale to 3: 25 sessions need 3 droplets
          signal    haproxy.sessions 25, target 10, recommends 3 droplets
          log       info: looked
          plan      2 → 3: create 1

        fleet
          web-0-k3f9tq (400000000): serving for 10000 s, healthy, 3 sessions, 39 requests/s
          web-1-k3f9tq (400000001): serving for 10000 s, healthy, 4 sessions, 19.5 requests/s

        series
          haproxy.sessions: 25 sessions (2 samples, 20 to 25)

        web: builtin:target-tracking
          digest    abababababababababababababababababababababababababababababababab
          config    {"metric":"haproxy.sessions","target_per_droplet":10}
          took      12345 fuel, 67 µs
          state     before
          returned  after

        limits
          min: 1
          max: 6
        "#);
    }
}
