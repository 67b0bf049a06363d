//! Guarantees of the contract besides decisions: a safe cache and a virtual WASI environment.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use doproxy_core::domain::Outcome;
use doproxy_plugin_host::{PluginHost, PluginSettings};
use doproxy_test_support::guests::{GuestText, HOLD};
use insta::assert_snapshot;

use super::observation;

fn host_with_cache(directory: &Path) -> PluginHost {
    PluginHost::new(PluginSettings { cache_dir: Some(directory.to_owned()), ..PluginSettings::default() }).unwrap()
}

fn cached(directory: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn compiled_plugin_is_cached_and_recompiled_if_corrupt() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    let reference = "builtin:target-tracking".parse().unwrap();

    host_with_cache(&directory).policy(&reference).await.unwrap();
    let files = cached(&directory);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);

    let kept = fs::metadata(&files[0]).unwrap().modified().unwrap();
    host_with_cache(&directory).policy(&reference).await.unwrap();
    assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), kept);

    fs::write(&files[0], "").unwrap();
    host_with_cache(&directory).policy(&reference).await.unwrap();
    assert!(fs::metadata(&files[0]).unwrap().len() > 0);
}

#[test]
fn cache_writable_by_others_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();

    let settings = PluginSettings { cache_dir: Some(directory.path().to_owned()), ..PluginSettings::default() };
    let error = PluginHost::new(settings).unwrap_err().to_string();

    assert!(error.contains("is accessible to other users (mode 777)"), "{error}");
    assert!(error.contains("who could inject code; remove"), "{error}");
}

#[tokio::test]
async fn component_clock_and_random_numbers_derive_from_the_tick() {
    // The requested size is the time in seconds, and the delay until the next evaluation is a random number.
    let decide = "(call $now (i32.const 2048)) (i32.store8 (i32.const 264) (i32.const 1))
        (i32.store (i32.const 268) (i32.wrap_i64 (i64.load (i32.const 2048))))
        (i32.store8 (i32.const 368) (i32.const 1)) (i64.store (i32.const 376) (call $random)) (i32.const 256)";
    let guest = GuestText::with_decide(decide)
        .extra(
            r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))
               (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#,
        )
        .imports(
            "import wasi:clocks/wall-clock@0.2.0; import wasi:random/random@0.2.0;",
            "package wasi:clocks@0.2.0 {
                interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
             }
             package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u64; } }",
        );
    let planted = guest.write();
    let host = PluginHost::new(PluginSettings::default()).unwrap();
    let policy = host.policy(&planted.reference()).await.unwrap();
    let observation = observation(2, "m", 1.0);

    let first = policy.decide("{}", &observation, b"").await.unwrap().value;
    let again = policy.decide("{}", &observation, b"").await.unwrap().value;

    let Outcome::ScaleTo(to) = &first.outcome else { panic!("{first:?}") };
    assert_eq!(u64::from(to.count), observation.now.0 / 1000);
    assert!(first.next_check_ms.is_some());
    assert_eq!(first, again);
}

#[test]
fn public_types_are_send_and_sync() {
    fn shared<T: std::fmt::Debug + Send + Sync>() {}

    shared::<PluginHost>();
    shared::<doproxy_plugin_host::Policy>();
    shared::<doproxy_plugin_host::Generator>();
}

#[tokio::test]
async fn corrupt_cache_entry_is_recompiled() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    let planted = GuestText::with_decide(HOLD).write();
    let host = host_with_cache(&directory);
    host.policy(&planted.reference()).await.unwrap();
    let entry = cached(&directory).remove(0);
    let whole = fs::read(&entry).unwrap();

    for at in (0..64).chain((64..whole.len()).step_by(whole.len() / 40)) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&entry, &flipped).unwrap();
        let policy = host.policy(&planted.reference()).await.unwrap();
        assert_eq!(policy.decide("{}", &observation(2, "m", 1.0), b"").await.unwrap().value.outcome, Outcome::Hold);
        assert_ne!(fs::read(&entry).unwrap(), flipped, "byte {at}");
    }
}

#[tokio::test]
async fn untrusted_cache_entry_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cache");
    let reference = "builtin:target-tracking".parse().unwrap();
    let host = host_with_cache(&directory);
    host.policy(&reference).await.unwrap();
    let entry = cached(&directory).remove(0);
    let elsewhere = home.path().join("elsewhere");

    let spoil: [(&str, &dyn Fn()); 4] = [
        // Only root can change the owner; for other users the entry remains valid.
        ("another owner", &|| {
            if nix::unistd::geteuid().is_root() {
                std::os::unix::fs::chown(&entry, Some(65_534), None).unwrap();
            }
        }),
        ("a mode for others", &|| fs::set_permissions(&entry, Permissions::from_mode(0o622)).unwrap()),
        ("a second name", &|| fs::hard_link(&entry, &elsewhere).unwrap()),
        ("a link", &|| {
            fs::rename(&entry, &elsewhere).unwrap();
            std::os::unix::fs::symlink(&elsewhere, &entry).unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        spoil();
        host.policy(&reference).await.unwrap();
        let metadata = fs::symlink_metadata(&entry).unwrap();
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{what}: {metadata:?}");
        assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw(), "{what}");
    }
}

#[test]
fn cache_below_a_writable_directory_is_rejected() {
    let home = tempfile::tempdir().unwrap();
    let open = home.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o775)).unwrap();

    let settings = PluginSettings { cache_dir: Some(open.join("own/cache")), ..PluginSettings::default() };
    let error = PluginHost::new(settings).unwrap_err().to_string();

    assert_snapshot!(error.replace(&home.path().display().to_string(), "HOME"), @"the plugin cache HOME/open/own/cache is inside HOME/open, where other users could replace it (mode 775) and inject code; run `chmod go-w HOME/open` or configure a different one with plugins.cache");
    // In a directory with the sticky bit, such as /tmp, write permission for others is harmless.
    fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
    host_with_cache(&open.join("own/cache"));
}

#[tokio::test]
async fn waiting_for_the_clock_is_instant_and_replays() {
    // It waits for an hour, twice: by duration and by instant. The requested size is the number of ready pollables.
    let decide = "(i32.store (i32.const 2048) (call $after (i64.const 3600000000000)))
        (i32.store (i32.const 2052) (call $at (i64.const -1)))
        (call $poll (i32.const 2048) (i32.const 2) (i32.const 2056))
        (i32.store8 (i32.const 264) (i32.const 1))
        (i32.store (i32.const 268) (i32.load (i32.const 2060))) (i32.const 256)";
    let guest = GuestText::with_decide(decide)
        .extra(
            r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
               (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-instant" (func $at (param i64) (result i32)))
               (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))"#,
        )
        .imports(
            "import wasi:clocks/monotonic-clock@0.2.0; import wasi:io/poll@0.2.0;",
            "package wasi:io@0.2.0 {
                interface poll { resource pollable; poll: func(in: list<borrow<pollable>>) -> list<u32>; }
             }
             package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    subscribe-duration: func(when: u64) -> pollable;
                    subscribe-instant: func(when: u64) -> pollable;
                }
             }",
        );
    let planted = guest.write();
    let policy = PluginHost::new(PluginSettings::default()).unwrap().policy(&planted.reference()).await.unwrap();
    let observation = observation(2, "m", 1.0);

    let first = policy.decide("{}", &observation, b"").await.unwrap();
    let again = policy.decide("{}", &observation, b"").await.unwrap();

    let Outcome::ScaleTo(to) = &first.value.outcome else { panic!("{first:?}") };
    assert_eq!(to.count, 2);
    assert_eq!((&first.value, first.usage.fuel), (&again.value, again.usage.fuel));
}

#[tokio::test]
async fn component_of_the_frozen_version_still_loads() {
    // Built by the Rust starter when 0.1.0 was released, and never rebuilt.
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/contract-0.1.0/per-droplet.wasm");
    let host = PluginHost::new(PluginSettings::default()).unwrap();
    let policy = host.policy(&doproxy_plugin_registry::Reference::File(frozen)).await.unwrap();
    let config = r#"{"target_per_droplet": 10}"#;

    policy.validate(config).await.unwrap();
    let decision = policy.decide(config, &observation(3, "haproxy.sessions", 60.0), b"").await.unwrap().value;

    assert_eq!(policy.manifest().name, "per-droplet");
    assert_snapshot!(decision.reason, @"haproxy.sessions is 60 over a fleet of 3: a fleet of 6 would do");
    assert_eq!((decision.outcome.size(3), decision.state.as_slice()), (6, b"1:0".as_slice()));
    assert_eq!(decision.signals[0].wants, Some(6));
}

#[test]
fn released_contract_version_is_frozen() {
    use sha2::{Digest as _, Sha256};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/doproxy-plugin@0.1.0");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut digest = Sha256::new();
    for file in &files {
        digest.update(file.file_name().unwrap().as_encoded_bytes());
        digest.update(fs::read(file).unwrap());
    }

    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();

    // Changes require a new version in a new folder; see wit/README.md.
    assert_snapshot!(digest, @"3363310b8ebe1b7fbe7fa60fd78f95bed8215becda37a7597a80e31b0fb012f6");
}
