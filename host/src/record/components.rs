//! Components by digest: those of the database, those that are built in, and those that are still where they came from.

use std::collections::HashMap;
use std::sync::Arc;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use tokio::sync::Mutex;

use super::reader::LogReader;
use super::{RecordError, sqlite};
use crate::history::TimeSeriesStore;
use crate::model::Timestamp;
use crate::plugin::{Digest, PluginHost, Policy, Reference, builtins};

/// Most bytes of a component, whatever the limits of plugins say: the database may be anybody's.
const MAX_COMPONENT_SIZE: usize = 512 * 1024 * 1024;

/// Components compress well and are written once.
const COMPRESSION_LEVEL: u8 = 6;

/// Writes a component into the database.
pub(super) fn store_component(
    history: &TimeSeriesStore,
    digest: &str,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), RecordError> {
    let body = compress_to_vec(bytes, COMPRESSION_LEVEL);
    Ok(history.write(|transaction| sqlite::insert_component(transaction, digest, now, bytes.len(), &body))?)
}

/// Reads a component from the database; `None` where it is not there, or is not what was written.
pub fn load_component(history: &TimeSeriesStore, digest: &str) -> Result<Option<Vec<u8>>, RecordError> {
    let Some((size, body)) = history.read(|connection| {
        if sqlite::has_records_table(connection)? { sqlite::component(connection, digest) } else { Ok(None) }
    })?
    else {
        return Ok(None);
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_COMPONENT_SIZE {
        return Ok(None);
    }
    Ok(decompress_to_vec_with_limit(&body, size).ok().filter(|bytes| Digest::of(bytes).hex() == digest))
}

/// What came of loading a component.
type LoadResult = Result<Arc<Policy>, Arc<RecordError>>;

/// Loads the components that records name.
#[derive(Debug)]
pub struct Components {
    host: PluginHost,
    reader: Arc<LogReader>,
    loaded: Mutex<HashMap<String, LoadResult>>,
}

impl Components {
    /// Those of an archive, run by `host`.
    pub fn new(host: PluginHost, archive: Arc<LogReader>) -> Self {
        Self { host, reader: archive, loaded: Mutex::default() }
    }

    /// The component of this digest, which was called `reference` when it answered. One that cannot be had is not looked
    /// for again.
    pub async fn policy(&self, digest: &str, reference: &str) -> Result<Arc<Policy>, Arc<RecordError>> {
        let mut loaded = self.loaded.lock().await;
        if let Some(policy) = loaded.get(digest) {
            return policy.clone();
        }
        let policy = self.load(digest, reference).await.map(Arc::new).map_err(Arc::new);
        loaded.insert(digest.to_owned(), policy.clone());
        policy
    }

    /// The bytes of a component.
    pub(super) async fn bytes(&self, digest: &str, reference: &str) -> Result<Vec<u8>, RecordError> {
        if let Some(bytes) = load_component(self.reader.store(), digest)? {
            return Ok(bytes);
        }
        // No registry is asked: a bundle may be anybody's, and names what it likes.
        let recorded = reference.parse().ok().filter(|recorded| matches!(recorded, Reference::File(_)));
        let builtins = builtins().map(|name| Reference::Builtin(name.to_owned()));
        for candidate in builtins.chain(recorded) {
            match self.host.component_bytes(&candidate).await {
                Ok(bytes) if Digest::of(&bytes).hex() == digest => return Ok(bytes),
                _ => {}
            }
        }
        Err(RecordError::NoComponent { digest: digest.to_owned(), reference: reference.to_owned() })
    }

    async fn load(&self, digest: &str, reference: &str) -> Result<Policy, RecordError> {
        let bytes = self.bytes(digest, reference).await?;
        let called = reference.parse().unwrap_or_else(|_| Reference::File(reference.into()));
        Ok(self.host.policy_from_bytes(&called, bytes).await?)
    }
}
