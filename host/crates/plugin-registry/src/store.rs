//! Local content-addressed store of pulled plugins: manifests and components under their digests, and the signatures of
//! each
//! manifest. With it, a plugin works without its registry.
//!
//! ```text
//! STORE/sha256/DIGEST            a manifest or a component
//! STORE/signatures/DIGEST.json   the signatures on that manifest
//! ```
//!
//! The content is not trusted implicitly: every read verifies the digest, and consumers verify the signatures.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use doproxy_support::{current_uid, private_file};

use crate::digest::Digest;
use crate::signatures;
use crate::signatures::Signature;

/// A directory that only the current user can read and write.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

/// Store errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No directory is configured, and the user has no home directory.
    #[error("no directory for plugins from registries; set plugins.store")]
    NoDirectory,
    /// The directory is not safe.
    #[error("the plugin store {} {reason}", .directory.display())]
    UnsafeDirectory {
        /// The directory.
        directory: PathBuf,
        /// The problem, and the remedy.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("the plugin store: {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file differs from the stored content.
    #[error(
        "{} was damaged or tampered with; run `doproxy plugin pull` to fetch it again",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Store {
    /// Creates the directories if they are missing, and rejects one that other users can access.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let unfit = |reason: String| StoreError::UnsafeDirectory { directory: directory.to_owned(), reason };
        let cannot = |error: io::Error| unfit(format!("cannot be used: {error}"));
        for made in [directory.to_owned(), directory.join("sha256"), directory.join("signatures")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&made).map_err(cannot)?;
            let metadata = fs::symlink_metadata(&made).map_err(cannot)?;
            let mode = metadata.mode() & 0o777;
            if !metadata.is_dir() {
                return Err(unfit(
                    "is not a directory; remove it or configure a different one with plugins.store".to_owned(),
                ));
            }
            if metadata.uid() != current_uid() {
                let owner = metadata.uid();
                return Err(unfit(format!(
                    "belongs to user {owner}, but doproxy runs as user {}; configure a different one with plugins.store",
                    current_uid()
                )));
            }
            if mode & 0o077 != 0 {
                let made = made.display();
                return Err(unfit(format!(
                    "is accessible to other users ({made} has mode {mode:03o}); run `chmod 700 {made}`"
                )));
            }
            private_file::remove_stale(&made);
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Returns the path of the content with this digest.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join("sha256").join(digest.hex())
    }

    /// Returns the content with this digest; `None` if it is not stored.
    pub(super) fn get(&self, digest: Digest, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        match private_file::read(&path, most) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => Err(StoreError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Stores content, and returns its digest.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        private_file::write(&path, bytes).map_err(|source| StoreError::File { path, source })?;
        Ok(digest)
    }

    /// Returns the signatures found on a manifest at the last lookup; `None` if there was no lookup.
    pub(super) fn signatures(&self, manifest: Digest) -> Result<Option<Vec<Signature>>, StoreError> {
        let path = self.signatures_path(manifest);
        let most =
            usize::try_from(signatures::MAX_BYTES).unwrap_or(usize::MAX).saturating_mul(2 * signatures::MAX_SIGNATURES);
        match private_file::read(&path, most) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| StoreError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Stores the signatures on a manifest.
    pub(super) fn put_signatures(&self, manifest: Digest, found: &[Signature]) -> Result<(), StoreError> {
        let path = self.signatures_path(manifest);
        let written =
            serde_json::to_vec(found).map_err(io::Error::other).and_then(|text| private_file::write(&path, &text));
        written.map_err(|source| StoreError::File { path, source })
    }

    fn signatures_path(&self, manifest: Digest) -> PathBuf {
        self.directory.join("signatures").join(format!("{}.json", manifest.hex()))
    }
}

#[cfg(test)]
mod tests;
