//! `doproxy decisions explain`.

use super::{Source, one};
use crate::cli::output::{self, say};
use crate::record::Which;
use crate::record::explain::explain;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "What would have been different is found by asking the recorded components some hundred times with other values."
)]
pub(super) struct Args {
    /// Which record.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    which: Which,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.archive()?;
    let recorded = archive.get(one(&archive, args.which)?)?;
    let components = source.components(&archive)?;
    let explanation = explain(&recorded, &components).await;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&explanation)?);
    } else {
        output::foreign(explanation.to_string().trim());
    }
    Ok(())
}
