//! A server added at run time has the same settings as the one in the file.

use std::time::Duration;

use doproxy_core::seams::ServerState::{Serving, Warming};
use doproxy_core::seams::{ApplyResult, LoadBalancer as _};

use crate::haproxy::HaProxy;
use crate::runtime_api::{Command, Socket};
use crate::table::Table;
use crate::template::BUILT_IN_TEMPLATE;
use crate::tests::harness::{HaproxyHarness, local, server_stats};

/// The columns with a server's settings in the two tables that show them; its state is in others.
const STATE: [&str; 11] = [
    "srv_id",
    "srv_addr",
    "srv_port",
    "srv_admin_state",
    "srv_uweight",
    "srv_check_state",
    "srv_agent_state",
    "srv_fqdn",
    "srv_use_ssl",
    "srv_check_port",
    "srv_check_addr",
];
const STAT: [&str; 14] = [
    "slim",
    "qlimit",
    "weight",
    "act",
    "bck",
    "iid",
    "sid",
    "tracked",
    "type",
    "check_rise",
    "check_fall",
    "check_health",
    "cookie",
    "agent_rise",
];

/// Returns the settings of droplet 2 as HAProxy reports them.
async fn settings(harness: &HaproxyHarness) -> Vec<String> {
    let socket = Socket::new(&harness.options.stats_socket, Duration::from_secs(5));
    let [state, stat] = socket.query([Command::ShowServersState, Command::ShowStat]).await.unwrap();
    let (state, stat) = (Table::state(&state).unwrap(), Table::csv(&stat).unwrap());
    let mut settings = Vec::new();
    for (table, name, columns) in [(&state, "srv_name", &STATE[..]), (&stat, "svname", &STAT[..])] {
        let row = table.rows().find(|row| row.text(name) == Some("web-2")).unwrap();
        settings.extend(columns.iter().map(|column| format!("{column}={}", row.text(column).unwrap_or_default())));
    }
    settings
}

/// Waits until droplet 2 is up with its whole weight: even the shortest slow start takes a moment.
async fn up(harness: &HaproxyHarness) {
    harness
        .wait_for_stats(|stats| server_stats(stats, 2).is_some_and(|server| server.status.starts_with("UP, L7OK")))
        .await;
    while !settings(harness).await.contains(&"weight=100".to_owned()) {
        tokio::task::yield_now().await;
    }
}

async fn is_the_same_either_way(harness: &HaproxyHarness, haproxy: &HaProxy) {
    haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let applied = haproxy.apply(&[local(Serving, 1), local(Warming, 2)]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Dynamic { added: 1, .. }), "{applied:?}");
    harness.wait_for_stats(|stats| server_stats(stats, 2).is_some_and(|server| server.check_passed)).await;
    haproxy.apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();
    up(harness).await;
    let added = settings(harness).await;

    haproxy.reload(&[local(Serving, 1), local(Serving, 2)]).await.unwrap();
    up(harness).await;

    assert_eq!(added, settings(harness).await);
}

/// Disables slow start, so that the server has its full weight immediately.
fn without_slow_start(options: &mut crate::options::Options) {
    options.slow_start = Duration::from_millis(1);
}

#[tokio::test]
async fn added_server_matches_the_built_in_template() {
    let harness = HaproxyHarness::start_with(without_slow_start).await;
    harness.boot(1).await;
    harness.boot(2).await;

    is_the_same_either_way(&harness, &harness.haproxy).await;
}

#[tokio::test]
async fn added_server_matches_a_custom_template() {
    let harness = HaproxyHarness::start_with(without_slow_start).await;
    harness.boot(1).await;
    harness.boot(2).await;
    let file = harness.dir.path().join("own.cfg.tera");
    let own = BUILT_IN_TEMPLATE.replace("maxconn {{ maxconn }}", "maxconn 7 maxqueue 5 pool-max-conn 3 # few");
    std::fs::write(&file, own.replace("fall 3 rise 2", "fall 5 rise 3")).unwrap();

    is_the_same_either_way(&harness, &harness.with(|options| options.template = Some(file))).await;
}
