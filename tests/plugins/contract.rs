//! What the contract promises besides answers: a cache that is safe, a WASI that is empty.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::guests::GuestText;
use super::observation;
use doproxy::model::Outcome;
use doproxy::plugin::{PluginHost, PluginSettings};

fn host_with_cache(directory: &Path) -> PluginHost {
    PluginHost::new(PluginSettings { cache_dir: Some(directory.to_owned()), ..PluginSettings::default() }).unwrap()
}

fn cached(directory: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
async fn a_compiled_plugin_is_kept_and_a_spoilt_one_is_compiled_again() {
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
fn a_cache_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();

    let settings = PluginSettings { cache_dir: Some(directory.path().to_owned()), ..PluginSettings::default() };
    let error = PluginHost::new(settings).unwrap_err().to_string();

    assert!(error.contains("can be used by others (mode 777)"), "{error}");
    assert!(error.contains("its code would be run: remove"), "{error}");
}

#[tokio::test]
async fn the_clock_of_a_component_stands_at_the_tick_and_its_random_numbers_come_from_it() {
    // The size that it wants is the time in seconds, and when to ask again is a random number.
    let decide = "(call $now (i32.const 2048)) (i32.store8 (i32.const 264) (i32.const 1))
        (i32.store (i32.const 268) (i32.wrap_i64 (i64.load (i32.const 2048))))
        (i32.store8 (i32.const 368) (i32.const 1)) (i64.store (i32.const 376) (call $random)) (i32.const 256)";
    let guest = GuestText::deciding(decide)
        .with(
            r#"(import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))
               (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#,
        )
        .importing(
            "import wasi:clocks/wall-clock@0.2.0; import wasi:random/random@0.2.0;",
            "package wasi:clocks@0.2.0 {
                interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
             }
             package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u64; } }",
        );
    let planted = guest.plant();
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
fn what_others_build_on_can_be_shared_between_threads() {
    fn shared<T: std::fmt::Debug + Send + Sync>() {}

    shared::<PluginHost>();
    shared::<doproxy::plugin::Policy>();
    shared::<doproxy::plugin::Generator>();
}
