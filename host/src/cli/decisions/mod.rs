//! `doproxy decisions`: why the fleet has the size that it has. One file a verb; what they do is in `crate::record`.

mod explain;
mod export;
mod list;
mod replay;
mod show;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::context::CommandContext;
use super::{Global, plugin};
use crate::clock::Clock;
use crate::config::user_cache_dir;
use crate::model::{RecordId, Timestamp};
use crate::plugin::{Limits, PluginHost, PluginSettings};
use crate::record::{Components, LogReader, RecordError, RecordRange, RecordSelector};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Records are named by number, `last`, `-2` for the one before the last, `10..20`, or `all`.\n\nExamples:\n  doproxy decisions list --since 2h\n  doproxy decisions explain last\n  doproxy decisions replay all\n  doproxy decisions export -100..last night.bundle\n  doproxy decisions replay night.bundle"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// A bundle of `export`, or a history, in place of the fleet's own; no configuration is needed then.
    #[arg(long, global = true, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Ticks at which something was decided or changed, a line each.
    List(list::Args),
    /// Everything of a record.
    Show(show::Args),
    /// A record in sentences, with what would have had to be different.
    Explain(explain::Args),
    /// Do recorded ticks again: the same to the bit, or what another policy would have decided.
    Replay(replay::Args),
    /// Put records, what they refer to and their components into one file.
    Export(export::Args),
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let source = Source { global, from: args.from.as_deref() };
    match &args.command {
        Command::List(args) => list::run(&source, args),
        Command::Show(args) => show::run(&source, args),
        Command::Explain(args) => explain::run(&source, args).await,
        Command::Replay(args) => replay::run(&source, args).await,
        Command::Export(args) => export::run(&source, args).await,
    }
}

/// How long a component may take that is asked again: what a busy machine made late then is no difference.
const REPLAY_CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where records come from.
struct Source<'a> {
    global: &'a Global,
    from: Option<&'a Path>,
}

impl Source<'_> {
    fn now() -> Timestamp {
        Clock::from_wall_clock().now()
    }

    /// The records; an empty archive where the fleet was never run.
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

    /// What runs components.
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

/// The one record that is meant.
fn select_one(archive: &LogReader, which: RecordSelector) -> Result<RecordId, RecordError> {
    let found = archive.select(RecordRange::One(which))?;
    found.first().copied().ok_or(RecordError::Empty)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::cli::{AlreadyReported, run};
    use crate::config::Environment;
    use crate::history::TimeSeriesStore;
    use crate::model::Timestamp;
    use crate::record::{DEFAULT_RETENTION, LogWriter, RecordError, decision_record};

    #[tokio::test]
    async fn each_verb_takes_a_file_in_place_of_a_configuration() {
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
        // No component gave these answers.
        assert!(doproxy(&["replay", "all", "--from", file]).await.unwrap_err().is::<AlreadyReported>());
        assert!(doproxy(&["replay", bundle]).await.unwrap_err().is::<AlreadyReported>());
        assert!(doproxy(&["show", "1", "--from", bundle]).await.unwrap_err().is::<RecordError>());
        assert!(doproxy(&["replay", "nothing"]).await.unwrap_err().to_string().contains("names no record"));
        // Without a configuration there is nothing to look at.
        assert!(doproxy(&["list"]).await.is_err());
    }
}
