//! Autoscaling with real components: the load rises and falls, the fleet follows, and no request fails.

use std::time::{Duration, Instant};

use doproxy_core::domain::Phase;
use doproxy_core::seams::Inventory;
use doproxy_inventory_sqlite::SqliteInventory;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::invariants::print_line;
use crate::load::Load;
use doproxy_test_support::environment::{TestEnvironment, http, wait_until};

const LOOP: &str = "  min: 1
  max: 5
  max_delete_per_tick: 2
  interval: 1s
  policies:
    - plugin: builtin:target-tracking
      config: {metric: haproxy.sessions, target_per_droplet: 5, scale_in_stabilization_s: 2}
telemetry: {listen: none}
";

/// The response time of a page, so that the number of clients equals the number of sessions.
const PAGE: Duration = Duration::from_millis(150);

fn inventory(env: &TestEnvironment) -> SqliteInventory {
    SqliteInventory::open(env.path("doproxy.db")).unwrap()
}

async fn serving(inventory: &SqliteInventory) -> usize {
    let droplets = inventory.load().await.unwrap().droplets;
    droplets.iter().filter(|droplet| droplet.phase == Phase::Serving).count()
}

/// Stops a service as systemd does, and returns its log.
pub async fn stop(mut service: Child) -> String {
    let pid = Pid::from_raw(i32::try_from(service.id().unwrap()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(10), service.wait()).await;
    let mut output = String::new();
    if let Some(mut err) = service.stderr.take() {
        tokio::io::AsyncReadExt::read_to_string(&mut err, &mut output).await.unwrap();
    }
    assert!(status.expect("it did not stop in time").unwrap().success(), "{output}");
    output
}

/// Raises and lowers the load; returns the number of requests.
async fn wait_for_sizes(env: &TestEnvironment) -> usize {
    let inventory = inventory(env);
    let service = env.start(&["run"]);
    // The site responds only once its first droplet serves.
    wait_until("the first response", async || {
        http().get(env.site()).send().await.is_ok_and(|it| it.status().is_success())
    })
    .await;

    let low = Load::start(env.port(), 1, PAGE);
    wait_until("answers", async || low.responses() > 10).await;
    let high = Load::start(env.port(), 10, PAGE);
    wait_until("the fleet to grow", async || serving(&inventory).await >= 4).await;
    let at_the_top = high.responses();
    wait_until("more responses", async || high.responses() > at_the_top + 200).await;
    let high = high.stop().await;
    wait_until("the fleet to shrink", async || serving(&inventory).await == 1 && env.billed().len() == 1).await;
    let low = low.stop().await;

    let output = stop(service).await;
    assert!(low.errors.is_empty() && high.errors.is_empty(), "{:?} {:?}\n{output}", low.errors, high.errors);
    low.responses + high.responses
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_follows_load_without_failed_requests() {
    let env = TestEnvironment::new().await;
    env.configure(LOOP);

    let requests = wait_for_sizes(&env).await;

    print_line(&format!("scaling through the runtime API: {requests} requests, 0 failed"));
    env.tear_down_and_replay().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_follows_load_with_reload_per_change() {
    let env = TestEnvironment::new().await;
    env.configure(LOOP).edit("  log: none\n", "  log: none\n  reload: always\n  min_reload_interval: 0s\n");

    let requests = wait_for_sizes(&env).await;

    print_line(&format!("scaling with reloads: {requests} requests, 0 failed"));
    env.tear_down_and_replay().await;
}

/// Prints the time from the request to the first response, together with the boot time.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_droplets_take_two_calls_and_boot_concurrently() {
    let boot_time = Duration::from_secs(1);
    let env = TestEnvironment::with_options(boot_time, 50).await;
    env.configure("  min: 20\n  max: 20\n  max_create_per_tick: 20\n  interval: 1s\ntelemetry: {listen: none}\n");
    env.with_state(|cloud, _| cloud.reset_calls());

    let inventory = inventory(&env);
    let started = Instant::now();
    let service = env.start(&["run"]);
    wait_until("the requests", async || env.billed().len() == 20).await;
    let asked = started.elapsed();
    let mut first = None;
    wait_until("all droplets to serve", async || {
        let count = serving(&inventory).await;
        first = first.or_else(|| (count > 0).then(|| started.elapsed()));
        count == 20
    })
    .await;
    let all = started.elapsed();

    let calls = env.with_state(|cloud, _| cloud.calls().get("POST /v2/droplets").copied());
    assert_eq!(calls, Some(2));
    let after = |time: Duration| time.saturating_sub(asked).saturating_sub(boot_time);
    print_line(&format!(
        "20 droplets: the first served {:?} after its boot, the last {:?}",
        after(first.unwrap()),
        after(all)
    ));
    stop(service).await;
    env.tear_down_and_replay().await;
}
