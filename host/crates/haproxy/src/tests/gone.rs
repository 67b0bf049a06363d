//! An HAProxy that hangs, dies, or is uninstalled during an update.

use std::time::Duration;

use doproxy_core::seams::ServerState::Serving;
use doproxy_core::seams::{ApplyResult, LoadBalancer as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod};
use crate::tests::harness::{HaproxyHarness, local};

/// Sets deadlines short enough for a test, and long enough for a healthy HAProxy on a machine under load.
fn short_deadlines(options: &mut Options) {
    options.deadlines.response = Duration::from_secs(1);
    options.deadlines.reload = Duration::from_secs(3);
}

/// Suspends a process until dropped.
struct StoppedProcess(Pid);

impl StoppedProcess {
    fn new(pid: Pid) -> Self {
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for StoppedProcess {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

fn master_pid(harness: &HaproxyHarness) -> Pid {
    Pid::from_raw(harness.process.pid().unwrap().try_into().unwrap())
}

#[tokio::test]
async fn hung_check_changes_nothing() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();
    let binary = harness.script("exec sleep 1000");
    let haproxy = harness.with(|options| {
        options.binary = binary;
        options.deadlines.check = Duration::from_millis(300);
    });

    let error = haproxy.apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap_err();

    let message = harness.normalize_error(&error).replace(&std::process::id().to_string(), "PID");
    insta::assert_snapshot!(message, @"`DIR/script -c -dW -f DIR/haproxy.cfg.new.PID` did not finish within 300ms and was killed; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!((harness.config(), harness.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn killed_check_changes_nothing() {
    let harness = HaproxyHarness::start().await;
    let before = harness.config();
    let binary = harness.script("kill -9 $$");

    let error = harness.with(|options| options.binary = binary).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"
    HAProxy rejects the configuration rendered from the built-in template:
    signal: 9 (SIGKILL)
    nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before
    ");
    assert_eq!(harness.config(), before);
}

#[tokio::test]
async fn uninstalled_haproxy_keeps_serving() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();

    let error = harness.with(|options| options.binary = "/nowhere/haproxy".into()).apply(&[]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy not found at /nowhere/haproxy; install it (`apt-get install haproxy`) or set `haproxy.binary`; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!((harness.config(), harness.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn hung_worker_is_replaced_only_if_an_update_is_needed() {
    let harness = HaproxyHarness::start_with(short_deadlines).await;
    harness.boot(2).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let frozen = StoppedProcess::new(harness.worker().await);

    let unchanged = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    let changed = harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();

    insta::assert_snapshot!(harness.normalize_error(&unchanged), @"HAProxy did not respond to `show servers state droplets` on DIR/stats.sock within 1s; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert!(matches!(changed, ApplyResult::Reloaded { .. }), "{changed:?}");
    // A connection could reach the listener of the suspended worker, so the query goes to the new one.
    assert_eq!(harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap(), ApplyResult::Unchanged);
    drop(frozen);
}

#[tokio::test]
async fn hung_worker_is_not_mistaken_for_a_new_one() {
    let harness = HaproxyHarness::start_with(short_deadlines).await;
    let before = harness.config();
    // HAProxy counts whole seconds, too coarse to identify a worker that has just started.
    harness.wait_for_stats(|stats| stats.uptime_s >= 2).await;
    let worker = harness.worker().await;
    let _frozen = StoppedProcess::new(worker);
    // Does not reload, and makes the previous worker respond again.
    let reload = ReloadMethod::Command(["sh", "-c", &format!("kill -CONT {worker}")].map(String::from).into());
    let haproxy = harness.with(|options| options.reload = reload);

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error).replace(&worker.to_string(), "PID"), @"HAProxy failed to load the new DIR/haproxy.cfg: no new worker started within 3s; the previous configuration is back on disk; a worker without the new servers is live: web-1 is missing");
    assert_eq!(harness.config(), before);
}

#[tokio::test]
async fn hung_master_is_detected_before_any_change() {
    let harness = HaproxyHarness::start_with(short_deadlines).await;
    let before = harness.config();
    let frozen = StoppedProcess::new(master_pid(&harness));

    let error = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    drop(frozen);

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy did not respond to `show proc` on DIR/master.sock within 1s; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!(harness.config(), before);
    let applied = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
}

#[tokio::test]
async fn killed_worker_stops_haproxy_and_the_file_stays_valid() {
    let harness = HaproxyHarness::start_with(short_deadlines).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();

    kill(harness.worker().await, Signal::SIGKILL).unwrap();
    harness.wait_until_unreachable().await;
    let stats = harness.haproxy.stats().await.unwrap_err();
    let error = harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&stats), @"HAProxy is unreachable on DIR/stats.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`)");
    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy is unreachable on DIR/master.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`); nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!(harness.config(), before);
    assert!(harness.boots());
}

/// Returns an HAProxy whose worker is killed after the new configuration was checked and before it is installed.
async fn haproxy_losing_its_worker(harness: &HaproxyHarness) -> HaProxy {
    let kill = format!("case $* in *new.*) kill -9 {};; esac", harness.worker().await);
    let binary = harness.script(&format!("{kill}; exec /usr/sbin/haproxy \"$@\""));
    harness.with(|options| options.binary = binary)
}

#[tokio::test]
async fn worker_killed_during_update_rolls_the_file_back() {
    let harness = HaproxyHarness::start_with(short_deadlines).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();

    let error = haproxy_losing_its_worker(&harness).await.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy failed to load the new DIR/haproxy.cfg: HAProxy is unreachable on DIR/master.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`); the previous configuration is back on disk; HAProxy is not running; start it with that file (`systemctl start haproxy`)");
    assert_eq!(harness.config(), before);
    assert!(harness.boots());
}
