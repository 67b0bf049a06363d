//! Changes that work.

use std::os::unix::fs::MetadataExt;

use super::rig::{HaproxyHarness, local, server_stats};
use crate::balancer::ServerState::{Draining, Serving, Warming};
use crate::balancer::haproxy::{HaProxy, Options, ReloadMethod, UpdateMode};
use crate::balancer::{ApplyResult, LoadBalancer};

#[tokio::test]
async fn a_droplet_gets_traffic_from_its_first_good_check_until_it_drains() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.boot(2).await;

    let applied = rig.haproxy.apply(&[local(Warming, 1)]).await.unwrap();
    assert!(
        matches!(applied, ApplyResult::Reloaded { .. }),
        "nobody knows what that worker was started with: {applied:?}"
    );
    rig.wait_for_stats(|stats| server_stats(stats, 1).is_some_and(|server| server.check_passed && server.healthy))
        .await;
    assert_eq!(rig.get().await.0, 503, "a warming droplet gets no traffic");

    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    assert_eq!(rig.get().await, (200, "1".into()));

    rig.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();
    assert_eq!(rig.get().await, (200, "2".into()));
    assert_eq!(rig.get().await, (200, "2".into()));

    rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let stats = rig.haproxy.stats().await.unwrap();
    assert_eq!(stats.servers.iter().map(|server| server.id.0).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn nothing_is_done_when_file_and_process_are_so_already() {
    let rig = HaproxyHarness::start().await;
    let servers = [local(Serving, 2), local(Serving, 1)];
    rig.haproxy.apply(&servers).await.unwrap();
    let inode = std::fs::metadata(&rig.options.config_file).unwrap().ino();
    // Whether HAProxy is asked is the difference between milliseconds and seconds.
    let without_binary = Options { binary: "/nowhere/haproxy".into(), ..rig.options.clone() };

    let applied = HaProxy::new(without_binary).unwrap().apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();

    assert_eq!(applied, ApplyResult::Unchanged);
    assert_eq!(std::fs::metadata(&rig.options.config_file).unwrap().ino(), inode);
}

#[tokio::test]
async fn a_process_that_does_not_have_what_the_file_says_is_reloaded() {
    let rig = HaproxyHarness::start().await;
    let servers = [local(Serving, 1)];
    std::fs::write(&rig.options.config_file, rig.haproxy.render(&servers).unwrap()).unwrap();

    let applied = rig.haproxy.apply(&servers).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&rig.haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn a_change_that_was_cut_off_before_its_reload_is_carried_on() {
    let rig = HaproxyHarness::start().await;
    // The servers are the same, so that the process alone does not show it.
    std::fs::write(rig.dir.path().join("haproxy.cfg.pending"), "").unwrap();

    let (first, second) = (rig.haproxy.apply(&[]).await.unwrap(), rig.haproxy.apply(&[]).await.unwrap());

    assert!(matches!(first, ApplyResult::Reloaded { .. }), "{first:?}");
    assert_eq!(second, ApplyResult::Unchanged);
}

#[tokio::test]
async fn a_reload_that_is_asked_for_happens_in_any_case() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    rig.get().await;
    rig.wait_for_stats(|stats| stats.requests_total > 0).await;

    rig.haproxy.reload(&[local(Serving, 1)]).await.unwrap();

    assert_eq!(rig.haproxy.stats().await.unwrap().requests_total, 0, "the counters are a new worker's");
}

#[tokio::test]
async fn sessions_in_a_worker_of_before_count_until_they_end() {
    let rig = HaproxyHarness::start_with(|options| options.update_mode = UpdateMode::ReloadOnly).await;
    rig.boot(1).await;
    rig.boot(2).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let _client = rig.hold_request().await;

    rig.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();

    assert_eq!(server_stats(&rig.haproxy.stats().await.unwrap(), 1).unwrap().sessions, 1);
    rig.release.notify_waiters();
    rig.wait_for_stats(|stats| server_stats(stats, 1).unwrap().sessions == 0).await;
}

#[tokio::test]
async fn a_server_that_is_down_stays_down_over_a_reload() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    let nobody_listens = local(Serving, 9);
    rig.haproxy.apply(&[local(Serving, 1), nobody_listens.clone()]).await.unwrap();
    rig.wait_for_stats(|stats| server_stats(stats, 9).unwrap().status.starts_with("DOWN")).await;

    rig.haproxy.reload(&[local(Serving, 1), local(Warming, 2), nobody_listens]).await.unwrap();

    let stats = rig.haproxy.stats().await.unwrap();
    assert!(server_stats(&stats, 9).unwrap().status.starts_with("DOWN"), "{stats:?}");
    assert!(server_stats(&stats, 1).unwrap().healthy, "a server that was up stays up: {stats:?}");
    assert_eq!(std::fs::read_to_string(&rig.options.state_file).unwrap(), "1\n", "for that one worker only");
}

#[tokio::test]
async fn a_command_reloads_where_there_is_no_master_socket() {
    let rig = HaproxyHarness::start().await;
    let master = rig.process.pid().unwrap().to_string();
    let reload = ReloadMethod::Command(vec!["kill".into(), "-USR2".into(), master]);
    let haproxy = HaProxy::new(Options { reload, ..rig.options.clone() }).unwrap();

    let applied = haproxy.apply(&[local(Serving, 1)]).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn a_process_ends_when_it_is_told_to() {
    let rig = HaproxyHarness::start().await;
    let stats_socket = rig.options.stats_socket.clone();

    rig.process.stop().await;

    assert!(std::os::unix::net::UnixStream::connect(stats_socket).is_err());
}
