//! A crash at each point of a change: the file that is left boots, and the next change carries on.

use std::io::Write as _;
use std::path::Path;

use super::part::{self, part};
use super::rig::{Rig, local, taken};
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::{HaProxy, Options, Reload};
use crate::balancer::{Balancer as _, Server};

/// What the process that crashes is to know.
const PORT: &str = "DOPROXY_TEST_PART_PORT";
const BIND: &str = "DOPROXY_TEST_PART_BIND";

/// Crashes at each point of a change to two servers that listen at `bind`, each time after `before`; answers at how
/// many points.
async fn crash_at_each(rig: &Rig, bind: &str, before: impl Fn(&Rig)) -> usize {
    let trace = rig.dir.path().join("trace");
    let mut points = 0;
    loop {
        rig.haproxy.apply(&one()).await.unwrap();
        before(rig);
        points += 1;
        let mut change = part(&[], "crashes::part_that_changes", rig.dir.path());
        change.env(PORT, rig.options.server_port.to_string()).env(BIND, bind);
        change.env("DOPROXY_CRASH_AT", points.to_string()).env("DOPROXY_CRASH_TRACE", &trace);

        let output = change.output().unwrap();

        let at = std::fs::read_to_string(&trace).unwrap_or_default();
        let at = at.lines().last().unwrap_or_default().to_owned();
        assert!(rig.boots(), "after a crash {at}");
        assert_eq!(rig.get().await.0, 200, "after a crash {at}");
        // What it left is carried on, and is nothing that stays.
        rig.haproxy.apply(&two()).await.unwrap_or_else(|error| panic!("after a crash {at}: {error}"));
        assert_eq!(drafts(rig.dir.path()), [""; 0], "after a crash {at}");
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

/// Files that are not in their place.
fn drafts(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".new.")).collect()
}

fn report(points: usize, what: &str) {
    let _ = writeln!(std::io::stderr(), "crash points of {what} survived by HAProxy's configuration: {points}");
}

#[tokio::test]
async fn a_change_over_an_edit_may_crash_at_each_point_and_the_edit_is_kept() {
    let rig = Rig::start().await;
    rig.boot(1).await;
    rig.boot(2).await;
    let bind = rig.options.bind[0].clone();

    let points = crash_at_each(&rig, &bind, |rig| {
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
async fn a_change_that_fails_may_crash_at_each_point_of_going_back() {
    let rig = Rig::start().await;
    rig.boot(1).await;
    rig.boot(2).await;
    let (_listener, bind) = taken().await;

    let points = crash_at_each(&rig, &bind[0], |_| {}).await;

    report(points, "a change that fails");
    assert!(points > 50, "{points}");
}

#[tokio::test]
#[ignore = "a part of the tests above"]
async fn part_that_changes() {
    let Some(dir) = part::dir() else { return };
    let options = Options {
        bind: vec![std::env::var(BIND).unwrap()],
        server_port: std::env::var(PORT).unwrap().parse().unwrap(),
        check_interval: std::time::Duration::from_millis(100),
        stats_socket: dir.join("stats.sock"),
        log: None,
        run_as: None,
        reload: Reload::MasterSocket(dir.join("master.sock")),
        ..Options::new(dir.join("haproxy.cfg"))
    };

    // Whether it works is not the question: that it ends is.
    let _ = HaProxy::new(options).unwrap().apply(&two()).await;
}
