//! `doproxy decisions explain`.

use doproxy_decision_log::{RecordSelector, explain};

use crate::cli::decisions::{Source, select_one};
use crate::cli::output;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The tipping points are found by re-running the recorded components with some hundred different metric values.\n\nExamples:\n  doproxy decisions explain last\n  doproxy decisions explain -2"
)]
pub(super) struct Args {
    /// Record to explain.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    record: RecordSelector,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.open_log()?;
    let recorded = archive.get(select_one(&archive, args.record)?)?;
    let components = source.components(&archive)?;
    let explanation = explain(&recorded, &components).await;
    if args.json {
        out!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        output::untrusted(explanation.to_string().trim());
    }
    Ok(())
}
