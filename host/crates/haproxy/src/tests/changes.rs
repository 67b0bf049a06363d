//! Successful updates.

use std::os::unix::fs::MetadataExt;

use doproxy_core::seams::ServerState::{Draining, Serving, Warming};
use doproxy_core::seams::{ApplyResult, LoadBalancer};

use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod, UpdateMode};
use crate::tests::harness::{HaproxyHarness, local, server_stats};

#[tokio::test]
async fn droplet_receives_traffic_from_first_check_until_drain() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.boot(2).await;

    let applied = harness.haproxy.apply(&[local(Warming, 1)]).await.unwrap();
    assert!(
        matches!(applied, ApplyResult::Reloaded { .. }),
        "the configuration of that worker is unknown: {applied:?}"
    );
    harness
        .wait_for_stats(|stats| server_stats(stats, 1).is_some_and(|server| server.check_passed && server.healthy))
        .await;
    assert_eq!(harness.get().await.0, 503, "a warming droplet receives no traffic");

    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    assert_eq!(harness.get().await, (200, "1".into()));

    harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();
    assert_eq!(harness.get().await, (200, "2".into()));
    assert_eq!(harness.get().await, (200, "2".into()));

    harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let stats = harness.haproxy.stats().await.unwrap();
    assert_eq!(stats.servers.iter().map(|server| server.id.0).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn apply_is_a_no_op_when_up_to_date() {
    let harness = HaproxyHarness::start().await;
    let servers = [local(Serving, 2), local(Serving, 1)];
    harness.haproxy.apply(&servers).await.unwrap();
    let inode = std::fs::metadata(&harness.options.config_file).unwrap().ino();
    // Running the HAProxy binary makes the difference between milliseconds and seconds.
    let without_binary = Options { binary: "/nowhere/haproxy".into(), ..harness.options.clone() };

    let applied = HaProxy::new(without_binary).unwrap().apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();

    assert_eq!(applied, ApplyResult::Unchanged);
    assert_eq!(std::fs::metadata(&harness.options.config_file).unwrap().ino(), inode);
}

#[tokio::test]
async fn process_differing_from_the_file_is_reloaded() {
    let harness = HaproxyHarness::start().await;
    let servers = [local(Serving, 1)];
    std::fs::write(&harness.options.config_file, harness.haproxy.render(&servers).unwrap()).unwrap();

    let applied = harness.haproxy.apply(&servers).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&harness.haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn update_interrupted_before_its_reload_is_resumed() {
    let harness = HaproxyHarness::start().await;
    // The servers are unchanged, so the process alone does not reveal the pending update.
    std::fs::write(harness.dir.path().join("haproxy.cfg.pending"), "").unwrap();

    let (first, second) = (harness.haproxy.apply(&[]).await.unwrap(), harness.haproxy.apply(&[]).await.unwrap());

    assert!(matches!(first, ApplyResult::Reloaded { .. }), "{first:?}");
    assert_eq!(second, ApplyResult::Unchanged);
}

#[tokio::test]
async fn requested_reload_is_unconditional() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    harness.get().await;
    harness.wait_for_stats(|stats| stats.requests_total > 0).await;

    harness.haproxy.reload(&[local(Serving, 1)]).await.unwrap();

    assert_eq!(harness.haproxy.stats().await.unwrap().requests_total, 0, "the counters belong to a new worker");
}

#[tokio::test]
async fn sessions_in_old_worker_count_until_they_end() {
    let harness = HaproxyHarness::start_with(|options| options.update_mode = UpdateMode::ReloadOnly).await;
    harness.boot(1).await;
    harness.boot(2).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let _client = harness.hold_request().await;

    harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();

    assert_eq!(server_stats(&harness.haproxy.stats().await.unwrap(), 1).unwrap().sessions, 1);
    harness.release.notify_waiters();
    harness.wait_for_stats(|stats| server_stats(stats, 1).unwrap().sessions == 0).await;
}

#[tokio::test]
async fn down_server_stays_down_across_reload() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    let nobody_listens = local(Serving, 9);
    harness.haproxy.apply(&[local(Serving, 1), nobody_listens.clone()]).await.unwrap();
    harness.wait_for_stats(|stats| server_stats(stats, 9).unwrap().status.starts_with("DOWN")).await;

    harness.haproxy.reload(&[local(Serving, 1), local(Warming, 2), nobody_listens]).await.unwrap();

    let stats = harness.haproxy.stats().await.unwrap();
    assert!(server_stats(&stats, 9).unwrap().status.starts_with("DOWN"), "{stats:?}");
    assert!(server_stats(&stats, 1).unwrap().healthy, "a server that was up stays up: {stats:?}");
    assert_eq!(std::fs::read_to_string(&harness.options.state_file).unwrap(), "1\n", "only for that one worker");
}

#[tokio::test]
async fn command_reloads_without_master_socket() {
    let harness = HaproxyHarness::start().await;
    let master = harness.process.pid().unwrap().to_string();
    let reload = ReloadMethod::Command(vec!["kill".into(), "-USR2".into(), master]);
    let haproxy = HaProxy::new(Options { reload, ..harness.options.clone() }).unwrap();

    let applied = haproxy.apply(&[local(Serving, 1)]).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn process_stops_on_request() {
    let harness = HaproxyHarness::start().await;
    let stats_socket = harness.options.stats_socket.clone();

    harness.process.stop().await;

    assert!(std::os::unix::net::UnixStream::connect(stats_socket).is_err());
}
