//! A crash at each failpoint of an update: the remaining file is valid, and the next update resumes the work.

use std::io::Write as _;
use std::path::Path;

use doproxy_core::seams::ServerState::Serving;
use doproxy_core::seams::{LoadBalancer as _, Server};

use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod};
use crate::tests::harness::{HaproxyHarness, local, occupied_address};
use crate::tests::subtest::{self, subtest};

/// Variables passed to the crashing process.
const PORT: &str = "DOPROXY_TEST_PART_PORT";
const BIND: &str = "DOPROXY_TEST_PART_BIND";

/// Crashes at each failpoint of an update to two servers listening at `bind`, running `before` ahead of each attempt;
/// returns the number of failpoints.
async fn abort_at_each_failpoint(harness: &HaproxyHarness, bind: &str, before: impl AsyncFn(&HaproxyHarness)) -> usize {
    let trace = harness.dir.path().join("trace");
    let mut points = 0;
    loop {
        harness.haproxy.apply(&one()).await.unwrap();
        before(harness).await;
        points += 1;
        let mut change = subtest(&[], "crashes::part_that_changes", harness.dir.path());
        change.env(PORT, harness.options.server_port.to_string()).env(BIND, bind);
        change.env("DOPROXY_FAILPOINT", points.to_string()).env("DOPROXY_FAILPOINT_TRACE", &trace);

        let output = change.output().unwrap();

        let at = std::fs::read_to_string(&trace).unwrap_or_default();
        let at = at.lines().last().unwrap_or_default().to_owned();
        assert!(harness.boots(), "after a crash {at}");
        assert_eq!(harness.get().await.0, 200, "after a crash {at}");
        // The interrupted update is resumed and leaves nothing behind.
        harness.haproxy.apply(&two()).await.unwrap_or_else(|error| panic!("after a crash {at}: {error}"));
        assert_eq!(in_service(harness).await, [1, 2], "after a crash {at}");
        assert_eq!(staged_files(harness.dir.path()), [""; 0], "after a crash {at}");
        assert!(harness.boots(), "after a crash {at} and a change");
        if output.status.code().is_some() {
            return points - 1;
        }
    }
}

fn one() -> [Server; 1] {
    [local(Serving, 1)]
}

fn two() -> [Server; 2] {
    [local(Serving, 1), local(Serving, 2)]
}

/// Returns the droplets that receive traffic.
async fn in_service(harness: &HaproxyHarness) -> Vec<u64> {
    let stats = harness.haproxy.stats().await.unwrap();
    let up = stats.servers.iter().filter(|server| server.status.starts_with("UP"));
    let mut up: Vec<u64> = up.map(|server| server.id.0).collect();
    up.sort_unstable();
    up
}

/// Returns the staged files left in `dir`.
fn staged_files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".new.")).collect()
}

fn report(points: usize, what: &str) {
    let _ = writeln!(std::io::stderr(), "failpoints of {what} survived by HAProxy's configuration: {points}");
}

#[tokio::test]
async fn edit_survives_crash_at_each_failpoint() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.boot(2).await;
    let bind = harness.options.bind[0].clone();

    let points = abort_at_each_failpoint(&harness, &bind, async |harness| {
        // Each time the edit is the first one.
        let _ = std::fs::remove_file(harness.dir.path().join("haproxy.cfg.replaced"));
        std::fs::write(&harness.options.config_file, harness.config() + "# mine\n").unwrap();
    });
    let points = points.await;

    report(points, "a change over an edit");
    assert!(points > 50, "{points}");
    assert!(harness.beside("replaced").unwrap().ends_with("# mine\n"));
}

#[tokio::test]
async fn run_time_update_survives_crash_between_commands() {
    let harness = HaproxyHarness::start().await;
    for id in 1..=3 {
        harness.boot(id).await;
    }
    let bind = harness.options.bind[0].clone();

    // One server is added and one removed.
    let points = abort_at_each_failpoint(&harness, &bind, async |harness| {
        harness.haproxy.apply(&[local(Serving, 1), local(Serving, 3)]).await.unwrap();
    });
    let points = points.await;

    report(points, "an update at run time");
    assert!(points > 50, "{points}");
    let reloads = harness.haproxy.counters().reloads;
    assert!(reloads < points as u64 / 4, "most updates are resumed without a reload: {reloads} of {points}");
}

#[tokio::test]
async fn rollback_survives_crash_at_each_failpoint() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.boot(2).await;
    let (_listener, bind) = occupied_address().await;

    let points = abort_at_each_failpoint(&harness, &bind[0], async |_| {}).await;

    report(points, "a failing update");
    assert!(points > 50, "{points}");
}

#[tokio::test]
#[ignore = "run by the tests above"]
async fn part_that_changes() {
    let Some(dir) = subtest::subtest_dir() else { return };
    let options = Options {
        bind: vec![std::env::var(BIND).unwrap()],
        server_port: std::env::var(PORT).unwrap().parse().unwrap(),
        check_interval: std::time::Duration::from_millis(100),
        stats_socket: dir.join("stats.sock"),
        log: None,
        run_as: None,
        reload: ReloadMethod::MasterSocket(dir.join("master.sock")),
        ..Options::new(dir.join("haproxy.cfg"))
    };

    // Success does not matter here, only that the process ends.
    let _ = HaProxy::new(options).unwrap().apply(&two()).await;
}
