//! Sources against real servers and real programs on this machine, and the collector on top of them.

mod agent;
mod collecting;
mod commands;
mod over_http;

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{Sample, Timestamp};

use super::*;
use crate::sources::poll::{Poll, PollResult};
use crate::store::time_series_store::TimeSeriesStore;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const INTERVAL: Duration = Duration::from_secs(15);

fn poll() -> Poll {
    Poll { now: NOW, newest: None, lookback: Duration::from_mins(1), interval: INTERVAL, droplets: Arc::default() }
}

/// Returns the samples of the only series in a result.
fn samples(polled: PollResult) -> Vec<(u64, f64)> {
    let PollResult::Series(readings) = polled else { panic!("no new samples") };
    let [reading] = readings.as_slice() else { panic!("{readings:?}") };
    reading.samples.iter().map(|Sample { at, value }| (at.0, *value)).collect()
}

fn source(name: &str, kind: SourceKind) -> SourceOptions {
    SourceOptions {
        name: name.to_owned(),
        unit: "things".to_owned(),
        interval: INTERVAL,
        timeout: Duration::from_secs(5),
        lookback: Duration::from_mins(5),
        kind,
    }
}

fn shell(script: &str) -> SourceKind {
    let arguments = vec!["-c".to_owned(), script.to_owned()];
    SourceKind::Command { program: "/bin/sh".into(), arguments, working_dir: std::env::temp_dir() }
}

fn collector(sources: Vec<SourceOptions>, store: &Arc<TimeSeriesStore>) -> Collector {
    let options = Options { sources, poll_wait: Duration::from_secs(30), ..Options::new(INTERVAL) };
    Collector::new(options, Arc::clone(store), None)
}
