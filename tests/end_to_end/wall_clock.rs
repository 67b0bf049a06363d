//! The wall clock jumps back by an hour or ahead by a day: during a command, and between a crash and the recovery. No
//! droplet is lost or duplicated, and no wait is prolonged.
//!
//! libfaketime changes only the program's wall clock, not its monotonic clock.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::invariants::{assert_recovers, print_line};
use doproxy_test_support::environment::{TestEnvironment, run, wait_until};

const JUMPS: [&str; 2] = ["-1h", "+24h"];

/// The approximate number of create crash points that are tested; `DOPROXY_EVERY=1` tests all of them.
const RUNS: usize = 10;

/// Short timeouts, so that a wait based on the wall clock is detected.
const TIMEOUTS: &str = "drain: 1s, create_visibility: 500ms, boot: 20s, warm_up: 20s, delete: 20s";

/// Returns Debian's path of libfaketime, which depends on the processor architecture.
fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders.filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketime.so.1"))).find(|path| path.exists())
}

fn is_installed() -> bool {
    let is_there = libfaketime().is_some();
    if !is_there {
        print_line("SKIPPED, the wall clock: libfaketime is not installed; run `tests/prerequisites.sh faketime`");
    }
    is_there
}

/// Returns a command with a clock controlled by the file `clock`.
fn with_fake_time(env: &TestEnvironment, arguments: &[&str]) -> Command {
    let mut command = env.command(arguments);
    command
        .env("LD_PRELOAD", libfaketime().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", env.path("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

async fn set(boot_time: Duration) -> TestEnvironment {
    let env = TestEnvironment::with_options(boot_time, 25).await;
    env.configure_timeouts("20ms", TIMEOUTS);
    env.write("clock", "+0");
    env
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump_during_command_does_not_matter() {
    if !is_installed() {
        return;
    }
    for jump in JUMPS {
        let env = set(Duration::from_millis(50)).await;
        let mut create = with_fake_time(&env, &["create", "--count", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the create requests", async || env.billed().len() == 2).await;
        env.write("clock", jump);

        assert!(create.wait().await.unwrap().success(), "create with {jump}");
        let mut delete = with_fake_time(&env, &["delete", "0", "--yes"]);
        env.write("clock", "+0");
        let deleted = run(&mut delete).await;

        assert_eq!(deleted.code, 0, "delete after {jump}: {}", deleted.stderr);
        let fleet = assert_recovers(&env, jump).await;
        assert_eq!(fleet.billed.len(), 1, "{jump}");
        env.tear_down().await;
    }
}

/// Crashes a create at each of its crash points in turn.
async fn carried_on_after_a_jump(jump: &str) {
    let env = set(Duration::from_millis(50)).await;
    let trace = env.path("trace");
    let mut counted = env.command(&["create", "--count", "2"]);
    run(counted.env("DOPROXY_FAILPOINT_TRACE", &trace)).await;
    let points = std::fs::read_to_string(trace).unwrap().lines().count();
    env.tear_down().await;
    assert!(points > 10, "{points}");

    let every = std::env::var("DOPROXY_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(points / RUNS);
    for point in (1..=points).step_by(every) {
        let what = format!("stopped at point {point} of {points}, then {jump}");
        // Long enough that droplets are still booting when the next command finds them.
        let env = set(Duration::from_secs(1)).await;
        let mut create = with_fake_time(&env, &["create", "--count", "2"]);
        run(create.env("DOPROXY_FAILPOINT", point.to_string())).await;
        let asked_for = env.billed();
        env.write("clock", jump);

        let carried_on = run(&mut with_fake_time(&env, &["reload"])).await;

        assert_eq!(carried_on.code, 0, "{what}: {}", carried_on.stderr);
        env.write("clock", "+0");
        let fleet = assert_recovers(&env, &what).await;
        for name in asked_for {
            assert!(fleet.billed.iter().any(|(_, billed)| *billed == name), "{what}: {name} was abandoned");
        }
        env.tear_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump_back_after_crash_loses_nothing() {
    if is_installed() {
        carried_on_after_a_jump("-1h").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_jump_ahead_after_crash_loses_nothing() {
    if is_installed() {
        carried_on_after_a_jump("+24h").await;
    }
}
