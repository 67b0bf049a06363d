//! The wall clock goes back by an hour or jumps a day ahead: in the midst of a command, and between a crash and the
//! recovery. Nothing is lost or doubled, and nobody waits for it.
//!
//! libfaketime moves the clock of the program alone, and leaves the monotonic one as it is.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::invariants::{assert_recovers, print_line};
use crate::stage::{TestEnvironment, run, wait_until};

const JUMPS: [&str; 2] = ["-1h", "+24h"];

/// About so many of the points at which a create can be stopped are tried; `DOPROXY_EVERY=1` tries all of them.
const RUNS: usize = 10;

/// Short waits, so that one that goes by the wall clock is told from one that does not.
const TIMEOUTS: &str = "poll: 20ms, drain: 1s, visible: 500ms, boot: 20s, warm_up: 20s, delete: 20s";

/// Where Debian puts it, which depends on the processor.
fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?;
    folders.filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketime.so.1"))).find(|path| path.exists())
}

fn is_installed() -> bool {
    let is_there = libfaketime().is_some();
    if !is_there {
        print_line("SKIPPED, the wall clock: libfaketime is not there; tests/prerequisites.sh faketime installs it");
    }
    is_there
}

/// The command with a clock that goes by the file `clock`.
fn with_fake_time(stage: &TestEnvironment, arguments: &[&str]) -> Command {
    let mut command = stage.command(arguments);
    command
        .env("LD_PRELOAD", libfaketime().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", stage.path("clock"))
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

async fn set(boot_time: Duration) -> TestEnvironment {
    let stage = TestEnvironment::with_options(boot_time, 25).await;
    stage.configure_timeouts(TIMEOUTS);
    stage.write("clock", "+0");
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_in_the_midst_of_a_command_does_not_matter() {
    if !is_installed() {
        return;
    }
    for jump in JUMPS {
        let stage = set(Duration::from_millis(50)).await;
        let mut create = with_fake_time(&stage, &["create", "--count", "2"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the droplets are asked for", async || stage.billed().len() == 2).await;
        stage.write("clock", jump);

        assert!(create.wait().await.unwrap().success(), "create with {jump}");
        let mut delete = with_fake_time(&stage, &["delete", "0", "--yes"]);
        stage.write("clock", "+0");
        let deleted = run(&mut delete).await;

        assert_eq!(deleted.code, 0, "delete after {jump}: {}", deleted.stderr);
        let fleet = assert_recovers(&stage, jump).await;
        assert_eq!(fleet.billed.len(), 1, "{jump}");
        stage.tear_down().await;
    }
}

/// A create is stopped at its points in turn.
async fn carried_on_after_a_jump(jump: &str) {
    let stage = set(Duration::from_millis(50)).await;
    let trace = stage.path("trace");
    let mut counted = stage.command(&["create", "--count", "2"]);
    run(counted.env("DOPROXY_CRASH_TRACE", &trace)).await;
    let points = std::fs::read_to_string(trace).unwrap().lines().count();
    stage.tear_down().await;
    assert!(points > 10, "{points}");

    let every = std::env::var("DOPROXY_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(points / RUNS);
    for point in (1..=points).step_by(every) {
        let what = format!("stopped at point {point} of {points}, then {jump}");
        // Long enough that droplets still boot when the next command finds them.
        let stage = set(Duration::from_secs(1)).await;
        let mut create = with_fake_time(&stage, &["create", "--count", "2"]);
        run(create.env("DOPROXY_CRASH_AT", point.to_string())).await;
        let asked_for = stage.billed();
        stage.write("clock", jump);

        let carried_on = run(&mut with_fake_time(&stage, &["reload"])).await;

        assert_eq!(carried_on.code, 0, "{what}: {}", carried_on.stderr);
        stage.write("clock", "+0");
        let fleet = assert_recovers(&stage, &what).await;
        for name in asked_for {
            assert!(fleet.billed.iter().any(|(_, billed)| *billed == name), "{what}: {name} was given up");
        }
        stage.tear_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_between_a_crash_and_the_recovery_loses_and_doubles_nothing() {
    if is_installed() {
        carried_on_after_a_jump("-1h").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_between_a_crash_and_the_recovery_loses_and_doubles_nothing() {
    if is_installed() {
        carried_on_after_a_jump("+24h").await;
    }
}
