//! `doproxy decisions export`.

use std::path::PathBuf;

use doproxy_decision_log::{RecordRange, export};

use crate::cli::decisions::Source;
use crate::cli::output;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The file contains the observations and policy configurations, but no token. Inspect it with\n`doproxy decisions list --all --from FILE` and replay it with `doproxy decisions replay FILE`, on any machine.\n\nExample:\n  doproxy decisions export -100..last night.bundle"
)]
pub(super) struct Args {
    /// Records to export.
    #[arg(value_name = "ID|A..B|all", allow_hyphen_values = true)]
    records: RecordRange,
    /// File to write.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(source: &Source<'_>, args: &Args) -> anyhow::Result<()> {
    let archive = source.open_log()?;
    let ids = archive.select(args.records)?;
    let components = source.components(&archive)?;
    let exported = export(&archive, &components, &ids, &args.file, Source::now()).await?;
    for missing in &exported.missing {
        output::warn(missing);
    }
    if args.json {
        out!("{}", serde_json::to_string_pretty(&exported)?);
        return Ok(());
    }
    out!(
        "{}: {} and {}, {} bytes",
        args.file.display(),
        output::count(exported.records, "record"),
        output::count(exported.components, "component"),
        exported.bytes
    );
    Ok(())
}
