//! Which configuration the running worker was made equal to.
//!
//! A worker does not say what it was started with. doproxy notes it: the worker by its process id and its start, which
//! no other worker shares, and the configuration by its digest. Of a worker that somebody else started it is known only
//! where the file was in its place before the start, since HAProxy reads it after that.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::config_file::{ConfigFile, digest};
use super::reload::Worker;

/// A start is known to the second, from both sides, and two are compared.
const START_TOLERANCE: Duration = Duration::from_secs(3);

/// A start is certainly after something else when it seems so by more than this.
const CLOCK_MARGIN: Duration = Duration::from_secs(1);

/// A worker, and the configuration that it was made equal to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadedConfig {
    pid: u32,
    started: SystemTime,
    digest: String,
}

impl LoadedConfig {
    /// The worker has what `text` says.
    pub(super) fn new(worker: &Worker, text: &str) -> Self {
        Self { pid: worker.pid, started: worker.started, digest: digest(text.as_bytes()) }
    }

    /// Reads what [`Taken::written`] wrote.
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

    /// Whether this is that worker.
    pub(super) fn matches_worker(&self, worker: &Worker) -> bool {
        let apart = self.started.duration_since(worker.started).unwrap_or_else(|before| before.duration());
        self.pid == worker.pid && apart <= START_TOLERANCE
    }
}

/// The text of the configuration that the worker was made equal to, or why it is not known. `noted` is what this
/// process knows of, for where it could not write it down: what is written may be another process's, and newer.
pub(super) fn loaded_by(
    worker: &Worker,
    noted: Option<&LoadedConfig>,
    place: &ConfigFile,
) -> Result<String, &'static str> {
    let written =
        || place.read_loaded().as_deref().and_then(LoadedConfig::parse).filter(|taken| taken.matches_worker(worker));
    if let Some(taken) = written().or_else(|| noted.filter(|taken| taken.matches_worker(worker)).cloned()) {
        return place.text_with_digest(&taken.digest).ok_or("the file that HAProxy was started with was replaced");
    }
    let since = place.changed_at().ok_or("HAProxy was started with a file that is not there any more")?;
    if worker.started.duration_since(since).is_ok_and(|later| later > CLOCK_MARGIN) {
        tracing::info!("HAProxy was started by somebody else, with the file that is in its place");
        return place
            .read()
            .ok()
            .flatten()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or("HAProxy was started with a file that cannot be read");
    }
    Err("it is not known which file HAProxy was started with")
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
    fn what_is_written_is_read() {
        let taken = LoadedConfig::new(&worker(7, 1_000), "text");

        assert_eq!(LoadedConfig::parse(&taken.serialize()), Some(taken));
        assert_eq!(LoadedConfig::parse(""), None);
    }

    #[test]
    fn a_worker_that_was_noted_has_what_was_noted_while_that_can_be_found() {
        let (dir, place) = config_file("old");
        let (started, other) = (worker(7, now_s()), worker(8, now_s()));
        let noted = LoadedConfig::new(&started, "old");
        place.write_loaded(&noted.serialize()).unwrap();

        assert_eq!(loaded_by(&started, None, &place), Ok("old".into()));
        assert_eq!(loaded_by(&worker(7, now_s() + 1), Some(&noted), &place), Ok("old".into()));
        assert!(loaded_by(&other, Some(&noted), &place).is_err(), "another worker");
        assert!(loaded_by(&worker(7, now_s() - 60), Some(&noted), &place).is_err(), "another worker of the same id");
        std::fs::write(dir.path().join("haproxy.cfg"), "new").unwrap();
        assert!(loaded_by(&started, Some(&noted), &place).is_err(), "what it had is not there any more");
        std::fs::write(dir.path().join("haproxy.cfg.last-good"), "old").unwrap();
        assert_eq!(loaded_by(&started, Some(&noted), &place), Ok("old".into()));
    }

    #[test]
    fn a_worker_that_somebody_else_started_has_the_file_that_was_there_before() {
        let (_dir, place) = config_file("text");

        assert_eq!(loaded_by(&worker(7, now_s() + 60), None, &place), Ok("text".into()));
        assert!(loaded_by(&worker(7, now_s()), None, &place).is_err());
    }
}
