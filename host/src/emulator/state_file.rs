//! The state file: JSON, written beside itself and renamed, so that it is whole at any moment.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::EmulatorError;
use super::router::Shared;
use crate::simulation::cloud::PersistedState;

/// The state file, where there is one.
#[derive(Debug)]
pub(super) struct StateFile {
    path: Option<PathBuf>,
    /// The world's revision that the file has; one writer at a time.
    written_revision: Mutex<u64>,
}

impl StateFile {
    /// Reads the state, where there is a file.
    pub(super) fn open(path: Option<PathBuf>) -> Result<(Self, Option<PersistedState>), EmulatorError> {
        let store = Self { path, written_revision: Mutex::new(0) };
        let Some(path) = &store.path else { return Ok((store, None)) };
        let state = match std::fs::read(path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| store.error(error.to_string()))?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(store.error(error.to_string())),
        };
        Ok((store, state))
    }

    /// An error about this file.
    pub(super) fn error(&self, reason: String) -> EmulatorError {
        EmulatorError::State { path: self.path.clone().unwrap_or_default(), reason }
    }

    /// Returns when the file has everything that the world had when this was called. One write serves all who wait.
    ///
    /// The work goes on when nobody waits for it any more: a client that leaves must not keep what it changed from the
    /// file. What is written is looked at under the lock, so that no older state follows a newer one.
    pub(super) async fn save(shared: &Arc<Shared>) -> io::Result<()> {
        if shared.store.path.is_none() {
            return Ok(());
        }
        let wanted = shared.with_state(|world, _| world.revision());
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || shared.store.write(&shared, wanted)).await?
    }

    /// Writes the world, unless the file has `wanted` already.
    fn write(&self, shared: &Shared, wanted: u64) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut written = self.written_revision.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= wanted {
            return Ok(());
        }
        let (revision, json) = shared.with_state(|world, _| (world.revision(), serde_json::to_vec(world.persisted())));
        write_atomically(path, &json?)?;
        *written = revision;
        Ok(())
    }
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::Clock;
    use crate::simulation::cloud::{CloudState, Settings};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_save_that_nobody_waits_for_is_done_and_none_takes_the_file_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cloud.json");
        let (store, _) = StateFile::open(Some(path.clone())).unwrap();
        let world = CloudState::new(Settings::default());
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let shared = Arc::new(Shared::new(world, Clock::from_wall_clock(), address, None, store));

        for round in 0..50 {
            shared.with_state(|world, now| world.create_tag(now, &format!("left-{round}"))).unwrap();
            {
                // As when a client leaves: the save has begun, and its future is dropped.
                let mut left = pin!(StateFile::save(&shared));
                let begun = left.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(begun, Poll::Pending | Poll::Ready(Ok(()))));
            }
            shared.with_state(|world, now| world.create_tag(now, &format!("stayed-{round}"))).unwrap();
            StateFile::save(&shared).await.unwrap();

            let written: PersistedState = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(written, shared.with_state(|world, _| world.persisted().clone()));
        }
    }
}
