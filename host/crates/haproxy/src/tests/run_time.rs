//! Servers added and removed at run time.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doproxy_core::seams::ServerState::{Draining, Serving, Warming};
use doproxy_core::seams::{ApplyResult, LoadBalancer as _, Server};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::options::UpdateMode;
use crate::process::Process;
use crate::runtime_api::{ServerCommand, Socket};
use crate::template::BUILT_IN_TEMPLATE;
use crate::test_support::server_in_state;
use crate::tests::harness::{HaproxyHarness, local, server_stats};

/// Returns a harness that serves with droplet 1, whose worker's configuration is known, and in which these droplets are
/// up.
async fn serving_with(others: &[u8]) -> HaproxyHarness {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    for id in others {
        harness.boot(*id).await;
    }
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    harness
}

fn dynamic(added: usize, removed: usize, changed: usize) -> ApplyResult {
    ApplyResult::Dynamic { added, removed, changed }
}

fn reload_reason(applied: ApplyResult) -> String {
    match applied {
        ApplyResult::Reloaded { reason, .. } => reason,
        other => panic!("not reloaded: {other:?}"),
    }
}

fn socket(harness: &HaproxyHarness) -> Socket {
    Socket::new(&harness.options.stats_socket, Duration::from_secs(5))
}

async fn execute_commands(harness: &HaproxyHarness, orders: &[ServerCommand<'_>]) {
    socket(harness).execute(orders).await.unwrap();
}

#[tokio::test]
async fn droplet_goes_through_all_phases_in_one_worker() {
    let harness = serving_with(&[2]).await;
    let worker = harness.worker().await;

    let mut applied = vec![harness.haproxy.apply(&[local(Serving, 1), local(Warming, 2)]).await.unwrap()];
    harness.wait_for_stats(|stats| server_stats(stats, 2).unwrap().check_passed).await;
    assert_eq!(server_stats(&harness.haproxy.stats().await.unwrap(), 2).unwrap().requests_total, 0);
    applied.push(harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap());
    assert_eq!(harness.get().await, (200, "2".into()));
    applied.push(harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap());
    applied.push(harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap());

    assert_eq!(applied, [dynamic(1, 0, 0), dynamic(0, 0, 2), dynamic(0, 1, 0), ApplyResult::Unchanged]);
    let stats = harness.haproxy.stats().await.unwrap();
    assert_eq!(stats.servers.iter().map(|server| server.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!((harness.worker().await, stats.process.generation), (worker, Some(1)), "reloaded once, at the start");
    assert!(
        harness.boots() && harness.config().contains("server web-2 ") && !harness.config().contains("server web-1 ")
    );
    let counters = harness.haproxy.counters();
    assert_eq!((counters.reloads, counters.runtime_updates), (1, 3));
    assert_eq!((counters.servers_added, counters.servers_removed, counters.servers_changed), (1, 1, 2));
}

#[tokio::test]
async fn recovering_droplet_receives_traffic_within_a_second() {
    let harness = HaproxyHarness::start_with(|options| options.check_interval = Duration::from_secs(2)).await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let unhealthy = harness.boot_unhealthy(2).await;
    harness.haproxy.apply(&[local(Serving, 1), local(Warming, 2)]).await.unwrap();
    let stats = harness.wait_for_stats(|stats| server_stats(stats, 2).unwrap().status.contains("L7STS")).await;
    assert!(!server_stats(&stats, 2).unwrap().check_passed);
    for _ in 0..5 {
        assert_eq!(harness.get().await, (200, "1".into()));
    }

    unhealthy.store(false, Ordering::Relaxed);
    let well = Instant::now();
    let stats = harness.wait_for_stats(|stats| server_stats(stats, 2).unwrap().check_passed).await;
    let seen = well.elapsed();
    assert_eq!(server_stats(&stats, 2).unwrap().requests_total, 0);
    harness.haproxy.apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();
    while harness.get().await.1 != "2" {}
    let served = well.elapsed();

    let _ = writeln!(
        std::io::stderr(),
        "a droplet that starts responding: L7OK after {seen:?}, first request after {served:?}"
    );
    assert!(seen < Duration::from_secs(2), "{seen:?}");
}

#[tokio::test]
async fn download_survives_the_drain() {
    let harness = serving_with(&[2]).await;
    let mut client = harness.hold_request().await;

    harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();
    assert_eq!(server_stats(&harness.haproxy.stats().await.unwrap(), 1).unwrap().sessions, 1);
    harness.release.notify_waiters();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();

    assert!(rest.ends_with("begin+end"), "{rest}");
    harness.wait_for_stats(|stats| server_stats(stats, 1).unwrap().sessions == 0).await;
}

#[tokio::test]
async fn download_still_open_after_the_drain_is_cut() {
    let harness = serving_with(&[2]).await;
    let mut client = harness.hold_request().await;
    harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();

    let applied = harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;

    assert_eq!(applied, dynamic(0, 1, 0));
    assert!(!rest.ends_with(b"+end"), "{:?}", String::from_utf8_lossy(&rest));
    harness.wait_for_stats(|stats| server_stats(stats, 1).is_none()).await;
}

#[tokio::test]
async fn server_with_idle_connections_is_deleted() {
    let harness = serving_with(&[2]).await;
    for _ in 0..10 {
        harness.get().await;
    }

    let applied = harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();

    assert_eq!(applied, dynamic(1, 1, 0));
    let stats = harness.haproxy.stats().await.unwrap();
    assert!(server_stats(&stats, 1).is_none(), "{stats:?}");
}

#[tokio::test]
async fn undeletable_server_is_ignored_and_deleted_later() {
    let harness = serving_with(&[2]).await;
    harness.haproxy.apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    // The state after HAProxy has refused `del server`.
    execute_commands(&harness, &[ServerCommand::Add("web-2", "127.0.1.2:1 id 2 weight 0")]).await;

    let applied = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();

    assert_eq!(applied, ApplyResult::Unchanged);
    assert!(server_stats(&harness.haproxy.stats().await.unwrap(), 2).is_none());
}

#[tokio::test]
async fn undeletable_server_makes_way_for_one_of_the_same_name() {
    let harness = serving_with(&[2]).await;
    execute_commands(&harness, &[ServerCommand::Add("web-2", "127.0.1.2:1 id 2 weight 0")]).await;

    let applied = harness.haproxy.apply(&[local(Serving, 1), local(Warming, 2)]).await.unwrap();

    assert_eq!(applied, dynamic(1, 0, 0));
    harness.wait_for_stats(|stats| server_stats(stats, 2).unwrap().check_passed).await;
}

#[tokio::test]
async fn external_change_is_corrected_without_reload() {
    let harness = serving_with(&[2]).await;
    let servers = [local(Serving, 1), local(Serving, 2)];
    harness.haproxy.apply(&servers).await.unwrap();
    execute_commands(
        &harness,
        &[ServerCommand::SetWeight("web-1", 0), ServerCommand::Maintenance("web-2"), ServerCommand::Delete("web-2")],
    )
    .await;

    let applied = harness.haproxy.apply(&servers).await.unwrap();

    assert_eq!(applied, dynamic(1, 0, 1));
    harness
        .wait_for_stats(|stats| [1, 2].iter().all(|id| server_stats(stats, *id).is_some_and(|server| server.healthy)))
        .await;
}

#[tokio::test]
async fn operator_drain_is_preserved() {
    let harness = serving_with(&[2]).await;
    execute_commands(&harness, &[ServerCommand::Drain("web-1")]).await;

    let applied =
        [harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap(), harness.haproxy.apply(&both()).await.unwrap()];

    assert_eq!(applied, [ApplyResult::Unchanged, dynamic(1, 0, 0)]);
    assert_eq!(harness.get().await, (200, "2".into()));
}

fn both() -> [Server; 2] {
    [local(Serving, 1), local(Serving, 2)]
}

#[tokio::test]
async fn change_beyond_servers_reloads_with_a_reason() {
    let harness = serving_with(&[2]).await;
    let higher = harness.with(|options| options.timeouts.queue = Duration::from_secs(7));
    let more = harness.with(|options| (options.timeouts.queue, options.maxconn) = (Duration::from_secs(7), 7));

    insta::assert_snapshot!(reload_reason(higher.apply(&[local(Serving, 1)]).await.unwrap()), @"`timeout` in `defaults` changed");
    insta::assert_snapshot!(reload_reason(more.apply(&both()).await.unwrap()), @"the line of web-1 changed");
    insta::assert_snapshot!(reload_reason(more.reload(&both()).await.unwrap()), @"reload was requested");
    assert_eq!(more.apply(&[local(Serving, 1)]).await.unwrap(), dynamic(0, 1, 0));
}

#[tokio::test]
async fn template_with_unaddable_servers_is_reloaded() {
    let harness = serving_with(&[2]).await;
    let with = |old: &str, new: &str| {
        let file = harness.dir.path().join("own.cfg.tera");
        std::fs::write(&file, BUILT_IN_TEMPLATE.replace(old, new)).unwrap();
        harness.with(|options| options.template = Some(file))
    };

    let refused = with("balance leastconn", "balance static-rr");
    refused.apply(&[local(Serving, 1)]).await.unwrap();
    let reason = harness.normalize_error(&reload_reason(refused.apply(&both()).await.unwrap()));
    assert!(reason.contains("Backend must use a dynamic load balancing"), "{reason}");

    let default = with("option httpchk", "default-server maxqueue 7\n    option httpchk");
    default.apply(&[local(Serving, 1)]).await.unwrap();
    insta::assert_snapshot!(reload_reason(default.apply(&both()).await.unwrap()), @"`default-server` does not apply to servers added at run time");
    assert_eq!(default.apply(&[local(Serving, 1), local(Draining, 2)]).await.unwrap(), dynamic(0, 0, 1));
}

#[tokio::test]
async fn haproxy_started_with_an_older_file_is_updated() {
    let mut harness = serving_with(&[2, 3]).await;
    let older = harness.config();
    harness.haproxy.apply(&[local(Serving, 2), local(Serving, 3)]).await.unwrap();
    harness.process.stop().await;
    std::fs::write(&harness.options.config_file, older).unwrap();
    harness.process =
        Process::start(&harness.options.binary, &harness.options.config_file, &harness.dir.path().join("master.sock"))
            .await
            .unwrap();
    assert_eq!(harness.get().await, (200, "1".into()));

    harness.haproxy.apply(&[local(Serving, 2), local(Serving, 3)]).await.unwrap();
    let again = harness.haproxy.apply(&[local(Serving, 2), local(Serving, 3)]).await.unwrap();

    assert_eq!(again, ApplyResult::Unchanged);
    let stats = harness.haproxy.stats().await.unwrap();
    assert_eq!(stats.servers.iter().map(|server| server.id.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(stats.process.version.split('.').next(), Some("2"));
    assert_eq!(Some(stats.process.pid), u32::try_from(harness.worker().await.as_raw()).ok());
    assert_ne!(harness.worker().await, Pid::from_raw(0));
}

#[tokio::test]
async fn externally_started_haproxy_with_a_different_file_is_reloaded() {
    let mut harness = serving_with(&[]).await;
    let ours = harness.config();
    harness.process.stop().await;
    std::fs::write(&harness.options.config_file, ours.replace("timeout queue 10s", "timeout queue 7s")).unwrap();
    harness.process =
        Process::start(&harness.options.binary, &harness.options.config_file, &harness.dir.path().join("master.sock"))
            .await
            .unwrap();
    std::fs::write(&harness.options.config_file, ours).unwrap();

    let reason = reload_reason(harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap());

    insta::assert_snapshot!(reason, @"the file that HAProxy was started with is unknown");
    assert_eq!(harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap(), ApplyResult::Unchanged);
}

#[tokio::test]
async fn download_in_old_worker_is_cut_when_its_server_is_removed() {
    let harness = HaproxyHarness::start_with(|options| options.update_mode = UpdateMode::ReloadOnly).await;
    harness.boot(1).await;
    harness.boot(2).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let mut client = harness.hold_request().await;
    harness.haproxy.apply(&[local(Draining, 1), local(Serving, 2)]).await.unwrap();
    assert_eq!(harness.haproxy.stats().await.unwrap().process.old_workers, 1);

    harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;

    assert!(!rest.ends_with(b"+end"), "{:?}", String::from_utf8_lossy(&rest));
    harness.wait_for_stats(|stats| stats.process.old_workers == 0).await;
}

#[tokio::test]
async fn first_reload_is_immediate_and_later_ones_wait() {
    let harness = HaproxyHarness::start_with(|options| {
        options.update_mode = UpdateMode::ReloadOnly;
        options.min_reload_interval = Duration::from_secs(1);
    })
    .await;
    let began = Instant::now();

    insta::assert_snapshot!(reload_reason(harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap()), @"`haproxy.reload` is `always`");
    let first = began.elapsed();
    harness.haproxy.apply(&both()).await.unwrap();

    assert!(began.elapsed() >= Duration::from_secs(1), "{first:?}, {:?}", began.elapsed());
    assert_eq!(harness.haproxy.counters().reloads, 2);
}

#[tokio::test]
async fn worker_that_rejects_a_command_is_replaced() {
    let harness = serving_with(&[2]).await;
    // A server with that number exists under a different name, which the check of the file cannot detect.
    execute_commands(&harness, &[ServerCommand::Add("other", "127.0.1.9:1 id 2")]).await;

    let reason = reload_reason(harness.haproxy.apply(&both()).await.unwrap());

    assert!(reason.starts_with("the run-time update failed: HAProxy responded to `add server"), "{reason}");
    assert_eq!(harness.haproxy.apply(&both()).await.unwrap(), ApplyResult::Unchanged);
}

#[tokio::test]
async fn five_hundred_servers_are_updated_quickly() {
    let harness = HaproxyHarness::start_with(|options| options.check_interval = Duration::from_mins(1)).await;
    harness.haproxy.apply(&[]).await.unwrap();
    harness.haproxy.reload(&[]).await.unwrap();
    let fleet: Vec<Server> = (1..=500_u16)
        .map(|id| {
            let [high, low] = id.to_be_bytes();
            Server { address: [127, 0, 2 + high, low].into(), ..server_in_state(Warming, id.into()) }
        })
        .collect();
    let mut figures = Vec::new();
    let mut timed = async |what: &str, servers: &[Server], expected: ApplyResult| {
        let began = Instant::now();
        assert_eq!(harness.haproxy.apply(servers).await.unwrap(), expected, "{what}");
        figures.push(format!("{what} {:.1?}", began.elapsed()));
    };

    timed("add all", &fleet, dynamic(500, 0, 0)).await;
    timed("no change", &fleet, ApplyResult::Unchanged).await;
    timed("remove one", &fleet[..499], dynamic(0, 1, 0)).await;
    timed("remove all", &[], dynamic(0, 499, 0)).await;

    let _ = writeln!(std::io::stderr(), "500 servers: {}", figures.join(", "));
    assert_eq!(harness.haproxy.counters().reloads, 1);
}
