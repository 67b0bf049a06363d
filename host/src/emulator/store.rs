//! The state file: JSON, written beside itself and renamed, so that it is whole at any moment.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::EmulatorError;
use super::api::Shared;
use crate::simulation::cloud::State;

/// The state file, where there is one.
#[derive(Debug)]
pub(super) struct Store {
    path: Option<PathBuf>,
    /// The world's revision that the file has; one writer at a time.
    written: tokio::sync::Mutex<u64>,
}

impl Store {
    /// Reads the state, where there is a file.
    pub(super) fn open(path: Option<PathBuf>) -> Result<(Self, Option<State>), EmulatorError> {
        let store = Self { path, written: tokio::sync::Mutex::new(0) };
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
    pub(super) async fn save(&self, shared: &Shared) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let wanted = shared.with_world(|world, _| world.revision());
        let mut written = self.written.lock().await;
        if *written >= wanted {
            return Ok(());
        }
        let (revision, json) = shared.with_world(|world, _| (world.revision(), serde_json::to_vec(world.state())));
        let (json, path) = (json?, path.clone());
        tokio::task::spawn_blocking(move || write_whole(&path, &json)).await??;
        *written = revision;
        Ok(())
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}
