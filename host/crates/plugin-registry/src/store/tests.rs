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
