//! `doproxy decisions`: explains the size of the fleet. One file per verb; the implementation is in `doproxy_decision_log`.

mod explain;
mod export;
mod list;
mod replay;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use doproxy_config::user_cache_dir;
use doproxy_core::domain::{RecordId, Timestamp};
use doproxy_decision_log::{Components, LogReader, RecordError, RecordRange, RecordSelector};
use doproxy_plugin_host::{Limits, PluginHost, PluginSettings};
use doproxy_support::Clock;

use crate::cli::context::CommandContext;
use crate::cli::{Global, plugin};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A record is a number, `last`, or `-2` for the one before the last; a range is `10..20` or `all`.\n\nExamples:\n  doproxy decisions list --since 2h\n  doproxy decisions explain last\n  doproxy decisions replay all\n  doproxy decisions export -100..last night.bundle\n  doproxy decisions replay night.bundle"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Exported bundle or metrics database to read instead of the fleet's own; requires no configuration.
    #[arg(long, global = true, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the ticks with a decision or a change, one per line.
    List(crate::cli::decisions::list::Args),
    /// Show all details of a record.
    Show(crate::cli::decisions::show::Args),
    /// Explain a record in sentences, with the values that would have changed the decision.
    Explain(crate::cli::decisions::explain::Args),
    /// Replay recorded ticks and verify bit-identical decisions, or show what another policy would have decided.
    Replay(crate::cli::decisions::replay::Args),
    /// Export records, the samples they refer to and their components to a file.
    Export(crate::cli::decisions::export::Args),
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let source = Source { global, from: args.from.as_deref() };
    match &args.command {
        Command::List(args) => crate::cli::decisions::list::run(&source, args),
        Command::Show(args) => crate::cli::decisions::show::run(&source, args),
        Command::Explain(args) => crate::cli::decisions::explain::run(&source, args).await,
        Command::Replay(args) => crate::cli::decisions::replay::run(&source, args).await,
        Command::Export(args) => crate::cli::decisions::export::run(&source, args).await,
    }
}

/// Minimum call timeout for a replayed component, so that a busy machine does not cause a mismatch.
const REPLAY_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The source of the records.
struct Source<'a> {
    global: &'a Global,
    from: Option<&'a Path>,
}

impl Source<'_> {
    fn now() -> Timestamp {
        Clock::from_wall_clock().now()
    }

    /// Opens the decision log. Fails if the fleet never recorded a decision.
    fn open_log(&self) -> anyhow::Result<Arc<LogReader>> {
        let path = match self.from {
            Some(path) => path.to_owned(),
            None => CommandContext::load(self.global)?.metrics_database_file(),
        };
        if self.from.is_none() && !path.exists() {
            return Err(RecordError::Empty.into());
        }
        Ok(Arc::new(LogReader::open_read_only(&path, Self::now())?))
    }

    /// Returns the plugin host that runs the components.
    fn host(&self) -> anyhow::Result<PluginHost> {
        let settings = match self.from {
            None => CommandContext::load(self.global)?.config.plugins,
            Some(_) => PluginSettings { cache_dir: user_cache_dir(), ..PluginSettings::default() },
        };
        let deadline = settings.limits.call_timeout.max(REPLAY_CALL_TIMEOUT);
        plugin::host(PluginSettings { limits: Limits { call_timeout: deadline, ..settings.limits }, ..settings })
    }

    fn components(&self, archive: &Arc<LogReader>) -> anyhow::Result<Arc<Components>> {
        Ok(Arc::new(Components::new(self.host()?, archive.clone())))
    }
}

/// Returns the single selected record.
fn select_one(archive: &LogReader, which: RecordSelector) -> Result<RecordId, RecordError> {
    let found = archive.select(RecordRange::One(which))?;
    found.first().copied().ok_or(RecordError::Empty)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use doproxy_config::Environment;
    use doproxy_core::domain::Timestamp;
    use doproxy_decision_log::{DEFAULT_RETENTION, LogWriter, RecordError};
    use doproxy_metrics::TimeSeriesStore;
    use doproxy_test_support::decision_record;

    use crate::cli::{AlreadyReported, run};

    #[tokio::test]
    async fn verbs_accept_file_instead_of_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let (file, bundle) = (dir.path().join("doproxy.history.db"), dir.path().join("three.bundle"));
        let now = Timestamp(1_800_000_000_000);
        let recorder = LogWriter::new(Arc::new(TimeSeriesStore::open(&file, now)), DEFAULT_RETENTION);
        for sessions in [20.0, 25.0, 30.0] {
            recorder.append(&decision_record::tick(now, sessions)).unwrap();
        }
        let (file, bundle) = (file.to_str().unwrap(), bundle.to_str().unwrap());
        let config = dir.path().join("none.yml");
        let doproxy = async |rest: &[&str]| {
            let arguments = [&["doproxy", "--config", config.to_str().unwrap(), "decisions"], rest].concat();
            run(&arguments, Environment::default()).await
        };

        for rest in [
            &["list", "--all", "--from", file][..],
            &["list", "--json", "--since", "1h", "--limit", "3", "--from", file],
            &["show", "-1", "--from", file],
            &["--from", file, "show", "--json", "2"],
            &["explain", "last", "--from", file],
            &["explain", "-2", "--json", "--from", file],
            &["export", "-2..last", bundle, "--from", file],
            &["show", "3", "--from", bundle],
        ] {
            doproxy(rest).await.unwrap_or_else(|error| panic!("{rest:?}: {error:#}"));
        }
        // These evaluations did not come from a component.
        assert!(doproxy(&["replay", "all", "--from", file]).await.unwrap_err().is::<AlreadyReported>());
        assert!(doproxy(&["replay", bundle]).await.unwrap_err().is::<AlreadyReported>());
        assert!(doproxy(&["show", "1", "--from", bundle]).await.unwrap_err().is::<RecordError>());
        assert!(doproxy(&["replay", "nothing"]).await.unwrap_err().to_string().contains("is not a record selector"));
        // Without a configuration there is no decision log to read.
        assert!(doproxy(&["list"]).await.is_err());
    }
}
