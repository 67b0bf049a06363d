//! `doproxy decisions list`.

use serde::Serialize;

use super::Source;
use crate::cli::output::{self, say};
use crate::config::Span;
use crate::model::{RecordId, Rung, Timestamp};
use crate::record::{Gist, RecordError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Every tick, also those that were as the one before.
    #[arg(long)]
    all: bool,
    /// Only ticks of so long ago.
    #[arg(long, value_name = "TIME")]
    since: Option<Span>,
    /// Most ticks; the newest are shown.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u64,
    /// As a JSON array.
    #[arg(long)]
    json: bool,
}

/// A tick in a list.
#[derive(Debug, Serialize)]
struct Listed {
    id: RecordId,
    at: Timestamp,
    gist: Gist,
}

pub(super) fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.archive()?;
    let since = args.since.map_or(Timestamp(0), |span| Source::now().minus(span.0));
    let mut listed = Vec::new();
    for id in archive.list(since, args.all, args.limit)?.into_iter().rev() {
        match archive.without_series(id) {
            Ok(recorded) => {
                listed.push(Listed { id, at: recorded.record.at, gist: Gist::of(&recorded.record) });
            }
            Err(error @ RecordError::Damaged { .. }) => output::warn(error),
            Err(error) => return Err(error.into()),
        }
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&listed)?);
        return Ok(());
    }
    if listed.is_empty() {
        say!("{}", nothing(archive.count()?, args.all));
    }
    for line in lines(&listed) {
        output::foreign(&line);
    }
    Ok(())
}

fn nothing(count: u64, all: bool) -> String {
    if count == 0 {
        return "nothing was recorded yet".to_owned();
    }
    let more = if all { "" } else { "; --all shows every tick" };
    format!("nothing was decided or changed in that time{more}")
}

fn lines(listed: &[Listed]) -> Vec<String> {
    let width = |of: &dyn Fn(&Listed) -> usize| listed.iter().map(of).max().unwrap_or_default();
    let policy = |listed: &Listed| listed.gist.policy.clone().unwrap_or_else(|| "-".to_owned());
    let (ids, sizes) = (width(&|one| one.id.to_string().len()), width(&|one| sizes(&one.gist).chars().count()));
    let policies = width(&|one| policy(one).chars().count());
    listed
        .iter()
        .map(|one| {
            let said = said(&one.gist);
            let (sizes_of, policy) = (self::sizes(&one.gist), policy(one));
            format!("{:>ids$}  {}  {sizes_of:sizes$}  {policy:policies$}  {said}", one.id.to_string(), one.at)
        })
        .collect()
}

fn sizes(gist: &Gist) -> String {
    if gist.from == gist.to { format!("{}", gist.from) } else { format!("{} → {}", gist.from, gist.to) }
}

/// The reason, and what became of it.
fn said(gist: &Gist) -> String {
    let mut said = gist.reason.clone();
    if !gist.cuts.is_empty() {
        let wanted = if gist.wanted == gist.to { String::new() } else { format!("wanted {}, ", gist.wanted) };
        said += &format!("; guard: {wanted}cut by {}", gist.cuts.join(", "));
    }
    for (policy, rung) in &gist.failing {
        let stand_in = if *rung == Rung::LastGood { "its last good component answered" } else { "held" };
        said += &format!("; {policy} failed: {stand_in}");
    }
    if let Some(error) = &gist.error {
        said += &format!("; not begun: {error}");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: u64, gist: Gist) -> Listed {
        Listed { id: RecordId(id), at: Timestamp(1_800_000_000_000 + id * 15_000), gist }
    }

    #[test]
    fn a_tick_is_a_line_with_what_the_guard_made_of_it() {
        let quiet = Gist {
            from: 2,
            to: 2,
            wanted: 2,
            policy: Some("target-tracking".to_owned()),
            reason: "25 sessions are within 10 % of the target".to_owned(),
            cuts: vec![],
            failing: vec![],
            changes: 0,
            error: None,
        };
        let grows = Gist {
            to: 10,
            wanted: 12,
            reason: "120 sessions need 12".to_owned(),
            cuts: vec!["max".to_owned()],
            changes: 1,
            ..quiet.clone()
        };
        let fails = Gist {
            policy: None,
            reason: "it is held".to_owned(),
            failing: vec![("spare".to_owned(), Rung::Hold)],
            error: Some("no room".to_owned()),
            ..quiet.clone()
        };

        let lines = lines(&[listed(9, quiet), listed(10, grows), listed(11, fails)]).join("\n");

        insta::assert_snapshot!(lines, @r"
         9  2027-01-15T08:02:15Z  2       target-tracking  25 sessions are within 10 % of the target
        10  2027-01-15T08:02:30Z  2 → 10  target-tracking  120 sessions need 12; guard: wanted 12, cut by max
        11  2027-01-15T08:02:45Z  2       -                it is held; spare failed: held; not begun: no room
        ");
    }

    #[test]
    fn an_empty_list_says_why() {
        assert_eq!(nothing(0, false), "nothing was recorded yet");
        assert_eq!(nothing(7, false), "nothing was decided or changed in that time; --all shows every tick");
    }
}
