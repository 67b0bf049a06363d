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
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::signatures::PrivateKey;

    const MOST: usize = 1024 * 1024;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        (dir, store)
    }

    #[test]
    fn put_stores_private_file_under_digest() {
        let (dir, store) = store();

        let digest = store.put(b"component").unwrap();

        assert_eq!(digest, Digest::of(b"component"));
        assert_eq!(store.get(digest, MOST).unwrap().as_deref(), Some(b"component".as_slice()));
        assert_eq!(store.get(Digest::of(b"other"), MOST).unwrap(), None);
        for inside in ["store", "store/sha256", "store/signatures"] {
            assert_eq!(fs::metadata(dir.path().join(inside)).unwrap().mode() & 0o777, 0o700, "{inside}");
        }
        assert_eq!(fs::metadata(store.path(digest)).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn get_rejects_damaged_content() {
        let (_dir, store) = store();
        let digest = store.put(b"component").unwrap();
        let path = store.path(digest);

        for at in 0..b"component".len() {
            for bit in 0..8 {
                let mut changed = b"component".to_vec();
                changed[at] ^= 1 << bit;
                fs::write(&path, changed).unwrap();
                assert!(matches!(store.get(digest, MOST), Err(StoreError::Damaged { .. })), "byte {at}, bit {bit}");
            }
            fs::write(&path, &b"component"[..at]).unwrap();
            assert!(matches!(store.get(digest, MOST), Err(StoreError::Damaged { .. })), "{at} bytes");
        }
    }

    #[test]
    fn damaged_signature_is_not_valid() {
        let (_dir, store) = store();
        let (key, manifest) = (PrivateKey::generate(), Digest::of(b"manifest"));
        let signature = Signature::new("registry.example.com/acme/queue", manifest, &key);
        store.put_signatures(manifest, std::slice::from_ref(&signature)).unwrap();
        let path = store.signatures_path(manifest);
        let whole = fs::read(&path).unwrap();
        let counts = || {
            let found = store.signatures(manifest).ok().flatten().unwrap_or_default();
            found.iter().any(|one| one.verify(manifest, &key.public()).is_ok())
        };
        assert!(counts());

        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                fs::write(&path, &changed).unwrap();
                assert!(!counts(), "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&changed));
            }
        }
    }

    #[test]
    fn directory_accessible_to_others_is_rejected() {
        let (dir, store) = store();
        let digest = store.put(b"component").unwrap();
        let path = store.path(digest);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();

        let of_a_file = store.get(digest, MOST).unwrap_err().to_string();
        fs::set_permissions(dir.path().join("store/sha256"), fs::Permissions::from_mode(0o755)).unwrap();
        let of_a_directory = Store::open(&dir.path().join("store")).unwrap_err().to_string();

        let messages = [of_a_file, of_a_directory].join("\n").replace(dir.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(messages.replace(&digest.hex(), "DIGEST"), @"
        the plugin store: DIR/store/sha256/DIGEST: other users could have written the file
        the plugin store DIR/store is accessible to other users (DIR/store/sha256 has mode 755); run `chmod 700 DIR/store/sha256`
        ");
    }
}
