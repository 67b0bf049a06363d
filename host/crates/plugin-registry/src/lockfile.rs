//! The lock file `doproxy.lock`, beside `doproxy.yml`, which pins each tag to a digest. Moving a tag in a registry
//! changes nothing for a fleet until `doproxy plugin update` updates the lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

use crate::digest::Digest;
use crate::oci::OciReference;

/// Maximum size of a lock file in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Version of the file format.
const VERSION: u32 = 1;

const HEADER: &str = "\
# Digests of the plugin tags in doproxy.yml. Managed by doproxy; keep this file together with doproxy.yml.
# Only `doproxy plugin update` changes an entry, even if the tag moves in its registry.\n";

/// A lock file, and the references that it pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// Path of the file.
    pub path: PathBuf,
    /// The plugin references in `doproxy.yml`.
    pub references: BTreeSet<OciReference>,
}

/// Lock file errors.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock file cannot be read.
    #[error("failed to read {}: {source}", .path.display())]
    Read {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The lock file cannot be written.
    #[error(
        "failed to pin {reference} in {path}: {source}; run `doproxy plugin pull` as a user with write access, or use the digest in the configuration: {reference}@{digest}",
        path = .path.display()
    )]
    Write {
        /// The lock file.
        path: PathBuf,
        /// The reference to pin.
        reference: String,
        /// The digest that the reference resolves to.
        digest: Digest,
        /// The cause.
        source: io::Error,
    },
    /// The lock file is malformed.
    #[error("{path}{location}: {reason}; fix the file, or remove it and run `doproxy plugin update`", path = .path.display())]
    Invalid {
        /// The lock file.
        path: PathBuf,
        /// Line and column, each with a leading colon.
        location: String,
        /// The problem.
        reason: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "`version` and `plugins`")]
struct Contents {
    version: u32,
    #[serde(default)]
    plugins: BTreeMap<String, Digest>,
}

impl LockFile {
    /// Reports whether this lock file pins a reference: one from `doproxy.yml` without a digest of its own.
    pub(super) fn manages(&self, reference: &OciReference) -> bool {
        reference.digest().is_none() && self.references.contains(reference)
    }

    /// Returns the pinned digest of a reference, if any.
    pub(super) fn get(&self, reference: &OciReference) -> Result<Option<Digest>, LockError> {
        Ok(read(&self.path)?.get(&reference.to_string()).copied())
    }

    /// Pins a reference to a digest, and removes entries that are no longer in `doproxy.yml`.
    pub(super) fn set(&self, reference: &OciReference, digest: Digest) -> Result<(), LockError> {
        let failed =
            |source| LockError::Write { path: self.path.clone(), reference: reference.to_string(), digest, source };
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Lock the directory instead of the file, because the file is replaced.
        let _alone = File::open(directory)
            .and_then(|directory| Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, errno)| errno.into()))
            .map_err(failed)?;
        let named: BTreeSet<String> = self.references.iter().map(ToString::to_string).collect();
        let mut entries = read(&self.path)?;
        entries.insert(reference.to_string(), digest);
        entries.retain(|entry, _| named.contains(entry));
        write(&self.path, &entries).map_err(failed)
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Digest>, LockError> {
    let failed = |source| LockError::Read { path: path.to_owned(), source };
    let invalid = |place: String, reason: String| LockError::Invalid { path: path.to_owned(), location: place, reason };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(failed(source)),
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let written: Contents = serde_yaml::from_str(&text).map_err(|error| {
        let place = error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
        let words = error.to_string();
        invalid(place, words.split(" at line ").next().unwrap_or_default().to_owned())
    })?;
    if written.version != VERSION {
        return Err(invalid(
            String::new(),
            format!("unsupported version {}; this doproxy supports version {VERSION}", written.version),
        ));
    }
    for entry in written.plugins.keys() {
        if let Err(error) = entry.parse::<OciReference>() {
            return Err(invalid(String::new(), error.to_string()));
        }
    }
    Ok(written.plugins)
}

fn write(path: &Path, entries: &BTreeMap<String, Digest>) -> io::Result<()> {
    let mut text = format!("{HEADER}version: {VERSION}\nplugins:\n");
    if entries.is_empty() {
        text = text.replace("plugins:\n", "plugins: {}\n");
    }
    // The colon is the only character in a reference that YAML would interpret; hence the quotes.
    text.extend(entries.iter().map(|(reference, digest)| format!("  \"{reference}\": {digest}\n")));
    let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
