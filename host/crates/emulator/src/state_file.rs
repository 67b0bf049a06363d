//! The state file: JSON, written to a temporary file and renamed, so that it is always complete.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use doproxy_support::sync::lock;

use crate::cloud::PersistedState;
use crate::emulator::EmulatorError;
use crate::http::state::Shared;

/// The state file, if one is configured.
#[derive(Debug)]
pub(super) struct StateFile {
    path: Option<PathBuf>,
    /// The cloud state's revision in the file; the lock admits one writer at a time.
    written_revision: Mutex<u64>,
}

impl StateFile {
    /// Reads the state if the file exists.
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

    /// Returns an error about this file.
    pub(super) fn error(&self, reason: String) -> EmulatorError {
        EmulatorError::State { path: self.path.clone().unwrap_or_default(), reason }
    }

    /// Returns once the file contains at least the cloud state at the time of the call. One write serves all waiting
    /// calls.
    ///
    /// The write continues even if the caller is dropped: a client that disconnects must not keep its change out of the
    /// file. The state is read under the lock, so an older state never overwrites a newer one.
    pub(super) async fn save(shared: &Arc<Shared>) -> io::Result<()> {
        if shared.store.path.is_none() {
            return Ok(());
        }
        let wanted = shared.with_state(|cloud, _| cloud.revision());
        let shared = Arc::clone(shared);
        tokio::task::spawn_blocking(move || shared.store.write(&shared, wanted)).await?
    }

    /// Writes the cloud state unless the file already has revision `wanted`.
    fn write(&self, shared: &Shared, wanted: u64) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut written = lock(&self.written_revision);
        if *written >= wanted {
            return Ok(());
        }
        let (revision, json) = shared.with_state(|cloud, _| (cloud.revision(), serde_json::to_vec(cloud.persisted())));
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
mod tests;
