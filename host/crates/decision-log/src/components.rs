//! Finds components by digest: in the database, among the built-in ones, or at their original path.

use std::collections::HashMap;
use std::sync::Arc;

use doproxy_core::domain::Timestamp;
use doproxy_metrics::TimeSeriesStore;
use doproxy_plugin_host::{PluginHost, Policy, builtins};
use doproxy_plugin_registry::{Digest, Reference};
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use tokio::sync::Mutex;

use crate::error::RecordError;
use crate::reader::LogReader;
use crate::sqlite;

/// Maximum size of a component in bytes, independent of the plugin limits, because the database may come from an
/// untrusted source.
const MAX_COMPONENT_SIZE: usize = 512 * 1024 * 1024;

/// The compression level; components compress well and are written once.
const COMPRESSION_LEVEL: u8 = 6;

/// Writes a component into the database.
pub(super) fn store_component(
    store: &TimeSeriesStore,
    digest: &str,
    bytes: &[u8],
    now: Timestamp,
) -> Result<(), RecordError> {
    let body = compress_to_vec(bytes, COMPRESSION_LEVEL);
    Ok(store.write(|transaction| sqlite::insert_component(transaction, digest, now, bytes.len(), &body))?)
}

/// Reads a component from the database; `None` if it is missing or corrupt.
pub fn load_component(store: &TimeSeriesStore, digest: &str) -> Result<Option<Vec<u8>>, RecordError> {
    let Some((size, body)) = store.read(|connection| {
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

/// The result of loading a component.
type LoadResult = Result<Arc<Policy>, Arc<RecordError>>;

/// Loads the components that records refer to.
#[derive(Debug)]
pub struct Components {
    host: PluginHost,
    reader: Arc<LogReader>,
    loaded: Mutex<HashMap<String, LoadResult>>,
}

impl Components {
    /// Creates a loader for the components of a log, which `host` runs.
    pub fn new(host: PluginHost, archive: Arc<LogReader>) -> Self {
        Self { host, reader: archive, loaded: Mutex::default() }
    }

    /// Returns the component with this digest, which had the reference `reference` when it was evaluated. Failures are
    /// cached too.
    pub async fn policy(&self, digest: &str, reference: &str) -> Result<Arc<Policy>, Arc<RecordError>> {
        let mut loaded = self.loaded.lock().await;
        if let Some(policy) = loaded.get(digest) {
            return policy.clone();
        }
        let policy = self.load(digest, reference).await.map(Arc::new).map_err(Arc::new);
        loaded.insert(digest.to_owned(), policy.clone());
        policy
    }

    /// Returns the bytes of a component.
    pub(super) async fn bytes(&self, digest: &str, reference: &str) -> Result<Vec<u8>, RecordError> {
        if let Some(bytes) = load_component(self.reader.store(), digest)? {
            return Ok(bytes);
        }
        // Never contacts a registry: a bundle may come from an untrusted source and can contain any reference.
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
