use super::*;

fn reference(text: &str) -> OciReference {
    text.parse().unwrap()
}

fn lock(dir: &Path, references: &[&str]) -> LockFile {
    let references = references.iter().map(|text| reference(text)).collect();
    LockFile { path: dir.join("doproxy.lock"), references }
}

#[test]
fn set_sorts_entries_and_removes_unreferenced_ones() {
    let dir = tempfile::tempdir().unwrap();
    let both =
        lock(dir.path(), &["oci://registry.example.com/acme/queue:1", "oci://registry.example.com/acme/hello:2"]);

    both.set(&reference("oci://registry.example.com/acme/queue:1"), Digest::of(b"one")).unwrap();
    both.set(&reference("oci://registry.example.com/acme/hello:2"), Digest::of(b"two")).unwrap();

    assert_eq!(both.get(&reference("oci://registry.example.com/acme/queue:1")).unwrap(), Some(Digest::of(b"one")));
    insta::assert_snapshot!(std::fs::read_to_string(&both.path).unwrap(), @r#"
        # Digests of the plugin tags in doproxy.yml. Managed by doproxy; keep this file together with doproxy.yml.
        # Only `doproxy plugin update` changes an entry, even if the tag moves in its registry.
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
fn digests_and_unknown_references_are_not_managed() {
    let lock = lock(Path::new("/srv"), &["oci://registry.example.com/acme/queue:1"]);

    assert!(lock.manages(&reference("oci://registry.example.com/acme/queue:1")));
    assert!(!lock.manages(&reference("oci://registry.example.com/acme/queue:1").with_digest(Digest::of(b"x"))));
    assert!(!lock.manages(&reference("oci://registry.example.com/acme/hello:1")));
}

#[test]
fn invalid_file_is_reported_with_location() {
    let dir = tempfile::tempdir().unwrap();
    let lock = lock(dir.path(), &[]);
    let mut messages = Vec::new();
    for text in [
        "version: 2\n",
        "version: 1\nplugins:\n  \"oci://registry.example.com/acme/queue:1\": sha256:12\n",
        "version: 1\nplugins:\n  builtin:hold: sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
        "version: 1\npolicies: {}\n",
        "<<<<<<< HEAD\n",
    ] {
        std::fs::write(&lock.path, text).unwrap();
        messages.push(lock.get(&reference("oci://registry.example.com/acme/queue:1")).unwrap_err().to_string());
    }

    insta::assert_snapshot!(messages.join("\n").replace(dir.path().to_str().unwrap(), "DIR"), @r#"
        DIR/doproxy.lock: unsupported version 2; this doproxy supports version 1; fix the file, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:3:3: plugins: a digest must be sha256: followed by 64 lower-case hexadecimal digits; other algorithms are not supported; fix the file, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock: "builtin:hold" is not a plugin reference: not in a registry; write oci://REGISTRY/REPOSITORY:TAG; fix the file, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:2:1: unknown field `policies`, expected `version` or `plugins`; fix the file, or remove it and run `doproxy plugin update`
        DIR/doproxy.lock:1:1: invalid type: string "<<<<<<< HEAD", expected `version` and `plugins`; fix the file, or remove it and run `doproxy plugin update`
        "#);
}
