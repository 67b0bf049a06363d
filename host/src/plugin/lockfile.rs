//! `doproxy.lock`, beside `doproxy.yml`: which digest each tag there means. Whoever moves a tag changes nothing for a
//! fleet until `doproxy plugin update` moves the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

use super::digest::Digest;
use super::oci::OciReference;

/// Most bytes of a lock.
const MAX_BYTES: u64 = 1024 * 1024;

/// The version of the format.
const VERSION: u32 = 1;

const HEADER: &str = "\
# What each tag of a plugin in doproxy.yml means. Written by doproxy; keep it with doproxy.yml.
# Nothing but `doproxy plugin update` moves an entry, whatever its registry says.
";

/// A lock, and the references that have a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockFile {
    /// The file.
    pub path: PathBuf,
    /// The references of `doproxy.yml`.
    pub references: BTreeSet<OciReference>,
}

/// What is wrong with a lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The lock.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written.
    #[error(
        "cannot write {path}, where it is kept what {reference} means: {source}; run `doproxy plugin pull` once as somebody who may, or name the digest itself: {reference}@{digest}",
        path = .path.display()
    )]
    Write {
        /// The lock.
        path: PathBuf,
        /// What was to be written.
        reference: String,
        /// And what it means.
        digest: Digest,
        /// Why not.
        source: io::Error,
    },
    /// It is not what doproxy writes.
    #[error("{path}{location}: {reason}; mend it, or remove it and run `doproxy plugin update`", path = .path.display())]
    Invalid {
        /// The lock.
        path: PathBuf,
        /// Line and column, with colons.
        location: String,
        /// What is wrong there.
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
    /// Whether what a reference means is kept here: it is one of `doproxy.yml`, and does not say it itself.
    pub(super) fn manages(&self, reference: &OciReference) -> bool {
        reference.digest().is_none() && self.references.contains(reference)
    }

    /// What a reference means, where that is written down.
    pub(super) fn get(&self, reference: &OciReference) -> Result<Option<Digest>, LockError> {
        Ok(read(&self.path)?.get(&reference.to_string()).copied())
    }

    /// Writes down what a reference means. What `doproxy.yml` no longer names goes.
    pub(super) fn set(&self, reference: &OciReference, digest: Digest) -> Result<(), LockError> {
        let failed =
            |source| LockError::Write { path: self.path.clone(), reference: reference.to_string(), digest, source };
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // The directory, since the file itself is replaced.
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
            format!("its version is {}, and this doproxy writes {VERSION}", written.version),
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
    // A reference has no character that YAML would read otherwise, but for the colon within: so it is quoted.
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
mod tests {
    use super::*;

    fn reference(text: &str) -> OciReference {
        text.parse().unwrap()
    }

    fn lock(dir: &Path, references: &[&str]) -> LockFile {
        let references = references.iter().map(|text| reference(text)).collect();
        LockFile { path: dir.join("doproxy.lock"), references }
    }

    #[test]
    fn entries_are_in_order_and_those_that_nobody_names_go() {
        let dir = tempfile::tempdir().unwrap();
        let both =
            lock(dir.path(), &["oci://registry.example.com/acme/queue:1", "oci://registry.example.com/acme/hello:2"]);

        both.set(&reference("oci://registry.example.com/acme/queue:1"), Digest::of(b"one")).unwrap();
        both.set(&reference("oci://registry.example.com/acme/hello:2"), Digest::of(b"two")).unwrap();

        assert_eq!(both.get(&reference("oci://registry.example.com/acme/queue:1")).unwrap(), Some(Digest::of(b"one")));
        insta::assert_snapshot!(std::fs::read_to_string(&both.path).unwrap(), @r#"
        # What each tag of a plugin in doproxy.yml means. Written by doproxy; keep it with doproxy.yml.
        # Nothing but `doproxy plugin update` moves an entry, whatever its registry says.
        version: 1
        plugins:
          "oci://registry.example.com/acme/hello:2": sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3
          "oci://registry.example.com/acme/queue:1": sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed
        "#);
        let one = lock(dir.path(), &["oci://registry.example.com/acme/queue:1"]);
        one.set(&reference("oci://registry.example.com/acme/queue:1"), Digest::of(b"three")).unwrap();
        assert_eq!(
            read(&one.path).unwrap(),
            BTreeMap::from([("oci://registry.example.com/acme/queue:1".to_owned(), Digest::of(b"three"))])
        );
    }

    #[test]
    fn what_says_itself_what_it_means_and_what_is_not_named_have_no_place_in_it() {
        let lock = lock(Path::new("/srv"), &["oci://registry.example.com/acme/queue:1"]);

        assert!(lock.manages(&reference("oci://registry.example.com/acme/queue:1")));
        assert!(!lock.manages(&reference("oci://registry.example.com/acme/queue:1").with_digest(Digest::of(b"x"))));
        assert!(!lock.manages(&reference("oci://registry.example.com/acme/hello:1")));
    }

    #[test]
    fn a_lock_that_is_wrong_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock(dir.path(), &[]);
        let mut told = Vec::new();
        for text in [
            "version: 2\n",
            "version: 1\nplugins:\n  \"oci://registry.example.com/acme/queue:1\": sha256:12\n",
            "version: 1\nplugins:\n  builtin:hold: sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
            "version: 1\npolicies: {}\n",
            "<<<<<<< HEAD\n",
        ] {
            std::fs::write(&lock.path, text).unwrap();
            told.push(lock.get(&reference("oci://registry.example.com/acme/queue:1")).unwrap_err().to_string());
        }

        insta::assert_snapshot!(told.join("\n").replace(dir.path().to_str().unwrap(), "DIR"), @r#"
        DIR/doproxy.lock: its version is 2, and this doproxy writes 1; mend it, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:3:3: plugins: a digest is written sha256: and 64 lower-case hexadecimal digits; other algorithms are not supported; mend it, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock: "builtin:hold" is no plugin reference: it is not in a registry; write oci://REGISTRY/REPOSITORY:TAG; mend it, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:2:1: unknown field `policies`, expected `version` or `plugins`; mend it, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:1:1: invalid type: string "<<<<<<< HEAD", expected `version` and `plugins`; mend it, or remove it and run `doproxy plugin update`
        "#);
    }
}
