//! A crash at each point of a change: the file that is left boots, and the next change carries on.

use std::io::Write as _;
use std::path::Path;

use super::part::{self, subtest};
use super::rig::{HaproxyHarness, local, occupied_address};
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::{HaProxy, Options, ReloadMethod};
use crate::balancer::{LoadBalancer as _, Server};

/// What the process that crashes is to know.
const PORT: &str = "DOPROXY_TEST_PART_PORT";
const BIND: &str = "DOPROXY_TEST_PART_BIND";

/// Crashes at each point of a change to two servers that listen at `bind`, each time after `before`; answers at how
/// many points.
async fn abort_at_each_failpoint(rig: &HaproxyHarness, bind: &str, before: impl AsyncFn(&HaproxyHarness)) -> usize {
    let trace = rig.dir.path().join("trace");
    let mut points = 0;
    loop {
        rig.haproxy.apply(&one()).await.unwrap();
        before(rig).await;
        points += 1;
        let mut change = subtest(&[], "crashes::part_that_changes", rig.dir.path());
        change.env(PORT, rig.options.server_port.to_string()).env(BIND, bind);
        change.env("DOPROXY_CRASH_AT", points.to_string()).env("DOPROXY_CRASH_TRACE", &trace);

        let output = change.output().unwrap();

        let at = std::fs::read_to_string(&trace).unwrap_or_default();
        let at = at.lines().last().unwrap_or_default().to_owned();
        assert!(rig.boots(), "after a crash {at}");
        assert_eq!(rig.get().await.0, 200, "after a crash {at}");
        // What it left is carried on, and is nothing that stays.
        rig.haproxy.apply(&two()).await.unwrap_or_else(|error| panic!("after a crash {at}: {error}"));
        assert_eq!(in_service(rig).await, [1, 2], "after a crash {at}");
        assert_eq!(staged_files(rig.dir.path()), [""; 0], "after a crash {at}");
        assert!(rig.boots(), "after a crash {at} and a change");
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

/// The droplets that HAProxy gives traffic.
async fn in_service(rig: &HaproxyHarness) -> Vec<u64> {
    let stats = rig.haproxy.stats().await.unwrap();
    let up = stats.servers.iter().filter(|server| server.status.starts_with("UP"));
    let mut up: Vec<u64> = up.map(|server| server.id.0).collect();
    up.sort_unstable();
    up
}

/// Files that are not in their place.
fn staged_files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".new.")).collect()
}

fn report(points: usize, what: &str) {
    let _ = writeln!(std::io::stderr(), "crash points of {what} survived by HAProxy's configuration: {points}");
}

#[tokio::test]
async fn a_change_over_an_edit_may_crash_at_each_point_and_the_edit_is_kept() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.boot(2).await;
    let bind = rig.options.bind[0].clone();

    let points = abort_at_each_failpoint(&rig, &bind, async |rig| {
        // Each time it is the first of its kind.
        let _ = std::fs::remove_file(rig.dir.path().join("haproxy.cfg.edited"));
        std::fs::write(&rig.options.config_file, rig.config() + "# mine\n").unwrap();
    });
    let points = points.await;

    report(points, "a change over an edit");
    assert!(points > 50, "{points}");
    assert!(rig.beside("edited").unwrap().ends_with("# mine\n"));
}

#[tokio::test]
async fn a_change_while_haproxy_runs_may_crash_between_any_two_commands() {
    let rig = HaproxyHarness::start().await;
    for id in 1..=3 {
        rig.boot(id).await;
    }
    let bind = rig.options.bind[0].clone();

    // One comes and one goes.
    let points = abort_at_each_failpoint(&rig, &bind, async |rig| {
        rig.haproxy.apply(&[local(Serving, 1), local(Serving, 3)]).await.unwrap();
    });
    let points = points.await;

    report(points, "a change while HAProxy runs");
    assert!(points > 50, "{points}");
    let reloads = rig.haproxy.counters().reloads;
    assert!(reloads < points as u64 / 4, "most of it is carried on without a reload: {reloads} of {points}");
}

#[tokio::test]
async fn a_change_that_fails_may_crash_at_each_point_of_going_back() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.boot(2).await;
    let (_listener, bind) = occupied_address().await;

    let points = abort_at_each_failpoint(&rig, &bind[0], async |_| {}).await;

    report(points, "a change that fails");
    assert!(points > 50, "{points}");
}

#[tokio::test]
#[ignore = "a part of the tests above"]
async fn part_that_changes() {
    let Some(dir) = part::subtest_dir() else { return };
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

    // Whether it works is not the question: that it ends is.
    let _ = HaProxy::new(options).unwrap().apply(&two()).await;
}
