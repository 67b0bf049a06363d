//! What was pulled, kept on this machine by content: manifests and components under their digests, and beside each
//! manifest the signatures on it. With it a plugin works without its registry.
//!
//! ```text
//! STORE/sha256/DIGEST            a manifest or a component
//! STORE/signatures/DIGEST.json   the signatures on that manifest
//! ```
//!
//! Nothing here is believed for lying here: every read checks the digest, and signatures are checked by whoever needs one.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::private_file::{self, current_uid};
use super::signatures::{self, Signature};

/// A directory that only this user can read or write.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

/// What is wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No directory is given, and this user has no home.
    #[error("there is no place to keep plugins from registries: name one with plugins.store")]
    NoDirectory,
    /// The directory is not fit.
    #[error("the plugin store {} {reason}", .directory.display())]
    UnsafeDirectory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("the plugin store: {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what was stored.
    #[error(
        "{} is not what was stored there: it was damaged or tampered with; `doproxy plugin pull` brings it anew",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Store {
    /// Makes the directories where they are missing, and refuses one that others have a hand in.
    pub(super) fn open(directory: &Path) -> Result<Self, StoreError> {
        let unfit = |reason: String| StoreError::UnsafeDirectory { directory: directory.to_owned(), reason };
        let cannot = |error: io::Error| unfit(format!("cannot be used: {error}"));
        for made in [directory.to_owned(), directory.join("sha256"), directory.join("signatures")] {
            DirBuilder::new().recursive(true).mode(0o700).create(&made).map_err(cannot)?;
            let metadata = fs::symlink_metadata(&made).map_err(cannot)?;
            let mode = metadata.mode() & 0o777;
            if !metadata.is_dir() {
                return Err(unfit("is not a directory; remove it, or name another one with plugins.store".to_owned()));
            }
            if metadata.uid() != current_uid() {
                let owner = metadata.uid();
                return Err(unfit(format!(
                    "belongs to user {owner}, not to {} who runs doproxy; name another one with plugins.store",
                    current_uid()
                )));
            }
            if mode & 0o077 != 0 {
                let made = made.display();
                return Err(unfit(format!("can be used by others ({made} has mode {mode:03o}): `chmod 700 {made}`")));
            }
            private_file::remove_stale(&made);
        }
        Ok(Self { directory: directory.to_owned() })
    }

    /// Where something of this digest is kept.
    pub(super) fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join("sha256").join(digest.hex())
    }

    /// What has this digest; `None` where it is not here.
    pub(super) fn get(&self, digest: Digest, most: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        match private_file::read(&path, most) {
            Ok(bytes) if Digest::of(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => Err(StoreError::Damaged { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Keeps something; answers what it is called.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        private_file::write(&path, bytes).map_err(|source| StoreError::File { path, source })?;
        Ok(digest)
    }

    /// The signatures that were found on a manifest when they were last looked for; `None` where they never were.
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

    /// Keeps the signatures on a manifest.
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
    use crate::plugin::signatures::PrivateKey;

    const MOST: usize = 1024 * 1024;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        (dir, store)
    }

    #[test]
    fn what_was_put_is_there_under_its_digest_and_for_this_user_alone() {
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
    fn what_was_changed_in_any_bit_or_cut_off_is_refused() {
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
    fn a_stored_signature_with_any_byte_changed_does_not_count() {
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
    fn a_store_that_others_have_a_hand_in_is_refused() {
        let (dir, store) = store();
        let digest = store.put(b"component").unwrap();
        let path = store.path(digest);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();

        let of_a_file = store.get(digest, MOST).unwrap_err().to_string();
        fs::set_permissions(dir.path().join("store/sha256"), fs::Permissions::from_mode(0o755)).unwrap();
        let of_a_directory = Store::open(&dir.path().join("store")).unwrap_err().to_string();

        let told = [of_a_file, of_a_directory].join("\n").replace(dir.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(told.replace(&digest.hex(), "DIGEST"), @"
        the plugin store: DIR/store/sha256/DIGEST: others could have written it
        the plugin store DIR/store can be used by others (DIR/store/sha256 has mode 755): `chmod 700 DIR/store/sha256`
        ");
    }
}
