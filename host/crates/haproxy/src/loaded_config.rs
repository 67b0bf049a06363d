//! Tracks which configuration the running HAProxy worker has loaded.
//!
//! A worker does not report the configuration it was started with. doproxy records it: the worker by its process ID and
//! start time, which no other worker shares, and the configuration by its digest. For a worker started outside doproxy
//! it is known only if the file was in place before the start, because HAProxy reads the file after that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config_file::{ConfigFile, digest};
use crate::reload::Worker;

/// Tolerance when comparing two start times, each known to the second in both directions.
const START_TOLERANCE: Duration = Duration::from_secs(3);

/// Margin by which a start must be later than another event to be certainly after it.
const CLOCK_MARGIN: Duration = Duration::from_secs(1);

/// A worker and the configuration that it has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadedConfig {
    pid: u32,
    started: SystemTime,
    digest: String,
}

impl LoadedConfig {
    /// Records that the worker has loaded `text`.
    pub(super) fn new(worker: &Worker, text: &str) -> Self {
        Self { pid: worker.pid, started: worker.started, digest: digest(text.as_bytes()) }
    }

    /// Parses the output of [`LoadedConfig::serialize`].
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let pid = words.next()?.parse().ok()?;
        let started = UNIX_EPOCH.checked_add(Duration::from_secs(words.next()?.parse().ok()?))?;
        Some(Self { pid, started, digest: words.next()?.to_owned() })
    }

    pub(super) fn serialize(&self) -> String {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        format!("{} {started} {}\n", self.pid, self.digest)
    }

    /// Reports whether this record belongs to the worker.
    pub(super) fn matches_worker(&self, worker: &Worker) -> bool {
        let apart = self.started.duration_since(worker.started).unwrap_or_else(|before| before.duration());
        self.pid == worker.pid && apart <= START_TOLERANCE
    }
}

/// Returns the text of the configuration that the worker has loaded, or the reason that it is unknown. `noted` is this
/// process's own record, for the case that it could not be written to disk; the record on disk may be from another
/// process, and newer.
pub(super) fn loaded_by(
    worker: &Worker,
    noted: Option<&LoadedConfig>,
    place: &ConfigFile,
) -> Result<String, &'static str> {
    let written =
        || place.read_loaded().as_deref().and_then(LoadedConfig::parse).filter(|loaded| loaded.matches_worker(worker));
    if let Some(loaded) = written().or_else(|| noted.filter(|loaded| loaded.matches_worker(worker)).cloned()) {
        return place
            .text_with_digest(&loaded.digest)
            .ok_or("the file that HAProxy was started with has been replaced");
    }
    let since = place.changed_at().ok_or("the file that HAProxy was started with no longer exists")?;
    if worker.started.duration_since(since).is_ok_and(|later| later > CLOCK_MARGIN) {
        tracing::info!("HAProxy was started outside doproxy, with the installed file");
        return place
            .read()
            .ok()
            .flatten()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or("the file that HAProxy was started with cannot be read");
    }
    Err("the file that HAProxy was started with is unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pid: u32, started_s: u64) -> Worker {
        Worker::for_test(pid, UNIX_EPOCH + Duration::from_secs(started_s))
    }

    fn config_file(text: &str) -> (tempfile::TempDir, ConfigFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, text).unwrap();
        (dir, ConfigFile::new(&file))
    }

    fn now_s() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn record_round_trips() {
        let loaded = LoadedConfig::new(&worker(7, 1_000), "text");

        assert_eq!(LoadedConfig::parse(&loaded.serialize()), Some(loaded));
        assert_eq!(LoadedConfig::parse(""), None);
    }

    #[test]
    fn recorded_configuration_is_returned_while_it_exists() {
        let (dir, place) = config_file("old");
        let (started, other) = (worker(7, now_s()), worker(8, now_s()));
        let noted = LoadedConfig::new(&started, "old");
        place.write_loaded(&noted.serialize()).unwrap();

        assert_eq!(loaded_by(&started, None, &place), Ok("old".into()));
        assert_eq!(loaded_by(&worker(7, now_s() + 1), Some(&noted), &place), Ok("old".into()));
        assert!(loaded_by(&other, Some(&noted), &place).is_err(), "a different worker");
        assert!(
            loaded_by(&worker(7, now_s() - 60), Some(&noted), &place).is_err(),
            "a different worker with the same ID"
        );
        std::fs::write(dir.path().join("haproxy.cfg"), "new").unwrap();
        assert!(loaded_by(&started, Some(&noted), &place).is_err(), "the loaded configuration no longer exists");
        std::fs::write(dir.path().join("haproxy.cfg.last-good"), "old").unwrap();
        assert_eq!(loaded_by(&started, Some(&noted), &place), Ok("old".into()));
    }

    #[test]
    fn externally_started_worker_has_the_earlier_file() {
        let (_dir, place) = config_file("text");

        assert_eq!(loaded_by(&worker(7, now_s() + 60), None, &place), Ok("text".into()));
        assert!(loaded_by(&worker(7, now_s()), None, &place).is_err());
    }
}
