//! `doproxy decisions list`.

use doproxy_config::Span;
use doproxy_core::domain::{AnswerSource, RecordId, Timestamp};
use doproxy_decision_log::{RecordError, RecordSummary};
use serde::Serialize;

use crate::cli::decisions::Source;
use crate::cli::output;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy decisions list\n  doproxy decisions list --since 2h")]
pub(super) struct Args {
    /// Show every tick, including those identical to the previous one.
    #[arg(long)]
    all: bool,
    /// Show only ticks within this time before now.
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Maximum number of ticks, newest last.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u64,
    /// Print as a JSON array.
    #[arg(long)]
    json: bool,
}

/// A tick in the list.
#[derive(Debug, Serialize)]
struct ListEntry {
    id: RecordId,
    at: Timestamp,
    summary: RecordSummary,
}

pub(super) fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.open_log()?;
    let since = args.since.map_or(Timestamp(0), |span| Source::now().minus(span.0));
    let mut listed = Vec::new();
    for id in archive.list(since, args.all, args.limit)?.into_iter().rev() {
        match archive.get_without_series(id) {
            Ok(recorded) => {
                listed.push(ListEntry { id, at: recorded.record.at, summary: RecordSummary::new(&recorded.record) });
            }
            Err(error @ RecordError::Corrupt { .. }) => output::warn(error),
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        out!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    if listed.is_empty() {
        out!("{}", empty_message(archive.count()?, args.all));
    }
    for line in lines(&listed) {
        output::untrusted(&line);
    }
    Ok(())
}

fn empty_message(count: u64, all: bool) -> String {
    if count == 0 {
        return "no decisions recorded yet".to_owned();
    }
    let more = if all { "" } else { "; --all shows every tick" };
    format!("no decisions or changes in this period{more}")
}

fn lines(listed: &[ListEntry]) -> Vec<String> {
    let width = |of: &dyn Fn(&ListEntry) -> usize| listed.iter().map(of).max().unwrap_or_default();
    let policy = |listed: &ListEntry| listed.summary.policy.clone().unwrap_or_else(|| "-".to_owned());
    let (ids, sizes) = (width(&|one| one.id.to_string().len()), width(&|one| sizes(&one.summary).chars().count()));
    let policies = width(&|one| policy(one).chars().count());
    listed
        .iter()
        .map(|one| {
            let text = describe_summary(&one.summary);
            let (sizes_of, policy) = (self::sizes(&one.summary), policy(one));
            format!("{:>ids$}  {}  {sizes_of:sizes$}  {policy:policies$}  {text}", one.id.to_string(), one.at)
        })
        .collect()
}

fn sizes(summary: &RecordSummary) -> String {
    if summary.from == summary.to {
        format!("{}", summary.from)
    } else {
        format!("{} → {}", summary.from, summary.to)
    }
}

/// Describes the reason of the decision and its outcome.
fn describe_summary(summary: &RecordSummary) -> String {
    let mut text = summary.reason.clone();
    if !summary.restrictions.is_empty() {
        let recommended = if summary.recommended == summary.to {
            String::new()
        } else {
            format!("recommended {}, ", summary.recommended)
        };
        text += &format!("; guard: {recommended}limited by {}", summary.restrictions.join(", "));
    }
    for (policy, source) in &summary.failing {
        let stand_in = if *source == AnswerSource::LastGood { "used its last good component" } else { "held" };
        text += &format!("; {policy} failed: {stand_in}");
    }
    if let Some(error) = &summary.error {
        text += &format!("; not started: {error}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: u64, summary: RecordSummary) -> ListEntry {
        ListEntry { id: RecordId(id), at: Timestamp(1_800_000_000_000 + id * 15_000), summary }
    }

    #[test]
    fn lines_show_restrictions_and_failures() {
        let quiet = RecordSummary {
            from: 2,
            to: 2,
            recommended: 2,
            policy: Some("target-tracking".to_owned()),
            reason: "25 sessions are within 10 % of the target".to_owned(),
            restrictions: vec![],
            failing: vec![],
            changes: 0,
            error: None,
        };
        let grows = RecordSummary {
            to: 10,
            recommended: 12,
            reason: "120 sessions need 12".to_owned(),
            restrictions: vec!["max".to_owned()],
            changes: 1,
            ..quiet.clone()
        };
        let fails = RecordSummary {
            policy: None,
            reason: "holding".to_owned(),
            failing: vec![("spare".to_owned(), AnswerSource::Hold)],
            error: Some("no quota".to_owned()),
            ..quiet.clone()
        };

        let lines = lines(&[listed(9, quiet), listed(10, grows), listed(11, fails)]).join("\n");

        insta::assert_snapshot!(lines, @r"
         9  2027-01-15T08:02:15Z  2       target-tracking  25 sessions are within 10 % of the target
        10  2027-01-15T08:02:30Z  2 → 10  target-tracking  120 sessions need 12; guard: recommended 12, limited by max
        11  2027-01-15T08:02:45Z  2       -                holding; spare failed: held; not started: no quota
        ");
    }

    #[test]
    fn empty_message_gives_the_reason() {
        assert_eq!(empty_message(0, false), "no decisions recorded yet");
        assert_eq!(empty_message(7, false), "no decisions or changes in this period; --all shows every tick");
    }
}
