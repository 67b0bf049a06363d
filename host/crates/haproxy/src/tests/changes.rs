//! Successful updates.

use std::os::unix::fs::MetadataExt;

use doproxy_core::seams::ServerState::{Draining, Serving, Warming};
use doproxy_core::seams::{ApplyResult, LoadBalancer};

use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod, UpdateMode};
use crate::tests::rig::{HaproxyHarness, local, server_stats};

#[tokio::test]
async fn droplet_receives_traffic_from_first_check_until_drain() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.boot(2).await;

    let applied = rig.haproxy.apply(&[local(Warming, 1)]).await.unwrap();
    assert!(
        matches!(applied, ApplyResult::Reloaded { .. }),
        "the configuration of that worker is unknown: {applied:?}"
    );
    rig.wait_for_stats(|stats| server_stats(stats, 1).is_some_and(|server| server.check_passed && server.healthy))
        .await;
    assert_eq!(rig.get().await.0, 503, "a warming droplet receives no traffic");

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
async fn apply_is_a_no_op_when_up_to_date() {
    let rig = HaproxyHarness::start().await;
    let servers = [local(Serving, 2), local(Serving, 1)];
    rig.haproxy.apply(&servers).await.unwrap();
    let inode = std::fs::metadata(&rig.options.config_file).unwrap().ino();
    // Running the HAProxy binary makes the difference between milliseconds and seconds.
    let without_binary = Options { binary: "/nowhere/haproxy".into(), ..rig.options.clone() };

    let applied = HaProxy::new(without_binary).unwrap().apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();

    assert_eq!(applied, ApplyResult::Unchanged);
    assert_eq!(std::fs::metadata(&rig.options.config_file).unwrap().ino(), inode);
}

#[tokio::test]
async fn process_differing_from_the_file_is_reloaded() {
    let rig = HaproxyHarness::start().await;
    let servers = [local(Serving, 1)];
    std::fs::write(&rig.options.config_file, rig.haproxy.render(&servers).unwrap()).unwrap();

    let applied = rig.haproxy.apply(&servers).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&rig.haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn update_interrupted_before_its_reload_is_resumed() {
    let rig = HaproxyHarness::start().await;
    // The servers are unchanged, so the process alone does not reveal the pending update.
    std::fs::write(rig.dir.path().join("haproxy.cfg.pending"), "").unwrap();

    let (first, second) = (rig.haproxy.apply(&[]).await.unwrap(), rig.haproxy.apply(&[]).await.unwrap());

    assert!(matches!(first, ApplyResult::Reloaded { .. }), "{first:?}");
    assert_eq!(second, ApplyResult::Unchanged);
}

#[tokio::test]
async fn requested_reload_is_unconditional() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    rig.get().await;
    rig.wait_for_stats(|stats| stats.requests_total > 0).await;

    rig.haproxy.reload(&[local(Serving, 1)]).await.unwrap();

    assert_eq!(rig.haproxy.stats().await.unwrap().requests_total, 0, "the counters belong to a new worker");
}

#[tokio::test]
async fn sessions_in_old_worker_count_until_they_end() {
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
async fn down_server_stays_down_across_reload() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    let nobody_listens = local(Serving, 9);
    rig.haproxy.apply(&[local(Serving, 1), nobody_listens.clone()]).await.unwrap();
    rig.wait_for_stats(|stats| server_stats(stats, 9).unwrap().status.starts_with("DOWN")).await;

    rig.haproxy.reload(&[local(Serving, 1), local(Warming, 2), nobody_listens]).await.unwrap();

    let stats = rig.haproxy.stats().await.unwrap();
    assert!(server_stats(&stats, 9).unwrap().status.starts_with("DOWN"), "{stats:?}");
    assert!(server_stats(&stats, 1).unwrap().healthy, "a server that was up stays up: {stats:?}");
    assert_eq!(std::fs::read_to_string(&rig.options.state_file).unwrap(), "1\n", "only for that one worker");
}

#[tokio::test]
async fn command_reloads_without_master_socket() {
    let rig = HaproxyHarness::start().await;
    let master = rig.process.pid().unwrap().to_string();
    let reload = ReloadMethod::Command(vec!["kill".into(), "-USR2".into(), master]);
    let haproxy = HaProxy::new(Options { reload, ..rig.options.clone() }).unwrap();

    let applied = haproxy.apply(&[local(Serving, 1)]).await.unwrap();

    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
    assert!(server_stats(&haproxy.stats().await.unwrap(), 1).is_some());
}

#[tokio::test]
async fn process_stops_on_request() {
    let rig = HaproxyHarness::start().await;
    let stats_socket = rig.options.stats_socket.clone();

    rig.process.stop().await;

    assert!(std::os::unix::net::UnixStream::connect(stats_socket).is_err());
}
