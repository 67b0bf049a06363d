//! An HAProxy that hangs, dies, or is uninstalled during an update.

use std::time::Duration;

use doproxy_core::seams::ServerState::Serving;
use doproxy_core::seams::{ApplyResult, LoadBalancer as _};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod};
use crate::tests::rig::{HaproxyHarness, local};

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

fn master_pid(rig: &HaproxyHarness) -> Pid {
    Pid::from_raw(rig.process.pid().unwrap().try_into().unwrap())
}

#[tokio::test]
async fn hung_check_changes_nothing() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();
    let binary = rig.script("exec sleep 1000");
    let haproxy = rig.with(|options| {
        options.binary = binary;
        options.deadlines.check = Duration::from_millis(300);
    });

    let error = haproxy.apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap_err();

    let told = rig.normalize_error(&error).replace(&std::process::id().to_string(), "PID");
    insta::assert_snapshot!(told, @"`DIR/script -c -dW -f DIR/haproxy.cfg.new.PID` did not finish within 300ms and was killed; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!((rig.config(), rig.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn killed_check_changes_nothing() {
    let rig = HaproxyHarness::start().await;
    let before = rig.config();
    let binary = rig.script("kill -9 $$");

    let error = rig.with(|options| options.binary = binary).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"
    HAProxy rejects the configuration rendered from the built-in template:
    signal: 9 (SIGKILL)
    nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before
    ");
    assert_eq!(rig.config(), before);
}

#[tokio::test]
async fn uninstalled_haproxy_keeps_serving() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    let error = rig.with(|options| options.binary = "/nowhere/haproxy".into()).apply(&[]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy not found at /nowhere/haproxy; install it (`apt-get install haproxy`) or set `haproxy.binary`; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!((rig.config(), rig.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn hung_worker_is_replaced_only_if_an_update_is_needed() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.boot(2).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let frozen = StoppedProcess::new(rig.worker().await);

    let unchanged = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    let changed = rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap();

    insta::assert_snapshot!(rig.normalize_error(&unchanged), @"HAProxy did not respond to `show servers state droplets` on DIR/stats.sock within 1s; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert!(matches!(changed, ApplyResult::Reloaded { .. }), "{changed:?}");
    // A connection could reach the listener of the suspended worker, so the query goes to the new one.
    assert_eq!(rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap(), ApplyResult::Unchanged);
    drop(frozen);
}

#[tokio::test]
async fn hung_worker_is_not_mistaken_for_a_new_one() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    let before = rig.config();
    // HAProxy counts whole seconds, too coarse to identify a worker that has just started.
    rig.wait_for_stats(|stats| stats.uptime_s >= 2).await;
    let worker = rig.worker().await;
    let _frozen = StoppedProcess::new(worker);
    // Does not reload, and makes the previous worker respond again.
    let reload = ReloadMethod::Command(["sh", "-c", &format!("kill -CONT {worker}")].map(String::from).into());
    let haproxy = rig.with(|options| options.reload = reload);

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error).replace(&worker.to_string(), "PID"), @"HAProxy failed to load the new DIR/haproxy.cfg: no new worker started within 3s; the previous configuration is back on disk; a worker without the new servers is live: web-1 is missing");
    assert_eq!(rig.config(), before);
}

#[tokio::test]
async fn hung_master_is_detected_before_any_change() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    let before = rig.config();
    let frozen = StoppedProcess::new(master_pid(&rig));

    let error = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    drop(frozen);

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy did not respond to `show proc` on DIR/master.sock within 1s; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!(rig.config(), before);
    let applied = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
}

#[tokio::test]
async fn killed_worker_stops_haproxy_and_the_file_stays_valid() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    kill(rig.worker().await, Signal::SIGKILL).unwrap();
    rig.wait_until_unreachable().await;
    let stats = rig.haproxy.stats().await.unwrap_err();
    let error = rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&stats), @"HAProxy is unreachable on DIR/stats.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`)");
    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy is unreachable on DIR/master.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`); nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert_eq!(rig.config(), before);
    assert!(rig.boots());
}

/// Returns an HAProxy whose worker is killed after the new configuration was checked and before it is installed.
async fn haproxy_losing_its_worker(rig: &HaproxyHarness) -> HaProxy {
    let kill = format!("case $* in *new.*) kill -9 {};; esac", rig.worker().await);
    let binary = rig.script(&format!("{kill}; exec /usr/sbin/haproxy \"$@\""));
    rig.with(|options| options.binary = binary)
}

#[tokio::test]
async fn worker_killed_during_update_rolls_the_file_back() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    let error = haproxy_losing_its_worker(&rig).await.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy failed to load the new DIR/haproxy.cfg: HAProxy is unreachable on DIR/master.sock: Connection refused (os error 111); HAProxy is not running; start it (`systemctl start haproxy`); the previous configuration is back on disk; HAProxy is not running; start it with that file (`systemctl start haproxy`)");
    assert_eq!(rig.config(), before);
    assert!(rig.boots());
}
