//! An HAProxy that hangs, that dies, or that is taken away in the middle of a change.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::rig::{HaproxyHarness, local};
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::{HaProxy, Options, ReloadMethod};
use crate::balancer::{ApplyResult, LoadBalancer as _};

/// Deadlines that a test can wait for, and that a machine under load keeps where nothing is wrong.
fn short_deadlines(options: &mut Options) {
    options.deadlines.response = Duration::from_secs(1);
    options.deadlines.reload = Duration::from_secs(3);
}

/// Stops a process for as long as this value lives.
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
async fn a_check_that_hangs_changes_nothing() {
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
    insta::assert_snapshot!(told, @"`DIR/script -c -dW -f DIR/haproxy.cfg.new.PID` did not end within 300ms and was killed; nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert_eq!((rig.config(), rig.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn a_check_that_is_killed_changes_nothing() {
    let rig = HaproxyHarness::start().await;
    let before = rig.config();
    let binary = rig.script("kill -9 $$");

    let error = rig.with(|options| options.binary = binary).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"
    HAProxy refuses the configuration made by the built-in template:
    signal: 9 (SIGKILL)
    nothing was changed, neither DIR/haproxy.cfg nor what is live
    ");
    assert_eq!(rig.config(), before);
}

#[tokio::test]
async fn an_haproxy_that_was_uninstalled_serves_what_it_served() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    let error = rig.with(|options| options.binary = "/nowhere/haproxy".into()).apply(&[]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"there is no HAProxy at /nowhere/haproxy; install it (`apt-get install haproxy`) or configure where it is; nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert_eq!((rig.config(), rig.get().await), (before, (200, "1".into())));
}

#[tokio::test]
async fn a_worker_that_hangs_is_left_alone_when_nothing_is_to_be_done_and_replaced_otherwise() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.boot(2).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let frozen = StoppedProcess::new(rig.worker().await);

    let unchanged = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    let changed = rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap();

    insta::assert_snapshot!(rig.normalize_error(&unchanged), @"HAProxy did not answer `show servers state droplets` on DIR/stats.sock within 1s; nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert!(matches!(changed, ApplyResult::Reloaded { .. }), "{changed:?}");
    // A connection could be given to the listener of the frozen one, so the new worker is asked instead.
    assert_eq!(rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap(), ApplyResult::Unchanged);
    drop(frozen);
}

#[tokio::test]
async fn a_worker_that_hangs_is_not_taken_for_the_one_that_a_command_was_to_start() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    let before = rig.config();
    // HAProxy counts in whole seconds, by which a worker that was only just started cannot be told.
    rig.wait_for_stats(|stats| stats.uptime_s >= 2).await;
    let worker = rig.worker().await;
    let _frozen = StoppedProcess::new(worker);
    // Reloads nothing, and the worker of before answers again.
    let reload = ReloadMethod::Command(["sh", "-c", &format!("kill -CONT {worker}")].map(String::from).into());
    let haproxy = rig.with(|options| options.reload = reload);

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error).replace(&worker.to_string(), "PID"), @"HAProxy did not take the new DIR/haproxy.cfg: no new worker came up within 3s; the configuration of before is back on disk; live is a worker without the new servers: web-1 is missing");
    assert_eq!(rig.config(), before);
}

#[tokio::test]
async fn a_master_that_hangs_is_found_out_before_anything_is_changed() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    let before = rig.config();
    let frozen = StoppedProcess::new(master_pid(&rig));

    let error = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();
    drop(frozen);

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy did not answer `show proc` on DIR/master.sock within 1s; nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert_eq!(rig.config(), before);
    let applied = rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
}

#[tokio::test]
async fn a_worker_that_was_killed_takes_haproxy_with_it_and_the_file_boots() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    kill(rig.worker().await, Signal::SIGKILL).unwrap();
    rig.wait_until_unreachable().await;
    let stats = rig.haproxy.stats().await.unwrap_err();
    let error = rig.haproxy.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&stats), @"HAProxy does not answer on DIR/stats.sock: Connection refused (os error 111); HAProxy is not running: start it (`systemctl start haproxy`)");
    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy does not answer on DIR/master.sock: Connection refused (os error 111); HAProxy is not running: start it (`systemctl start haproxy`); nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert_eq!(rig.config(), before);
    assert!(rig.boots());
}

/// HAProxy whose worker is killed when the new configuration was checked and is not installed yet.
async fn haproxy_losing_its_worker(rig: &HaproxyHarness) -> HaProxy {
    let kill = format!("case $* in *new.*) kill -9 {};; esac", rig.worker().await);
    let binary = rig.script(&format!("{kill}; exec /usr/sbin/haproxy \"$@\""));
    rig.with(|options| options.binary = binary)
}

#[tokio::test]
async fn a_worker_that_is_killed_during_a_change_leaves_the_configuration_of_before_and_says_that_nothing_is_live() {
    let rig = HaproxyHarness::start_with(short_deadlines).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();

    let error = haproxy_losing_its_worker(&rig).await.apply(&[local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy did not take the new DIR/haproxy.cfg: HAProxy does not answer on DIR/master.sock: Connection refused (os error 111); HAProxy is not running: start it (`systemctl start haproxy`); the configuration of before is back on disk; live is nothing: HAProxy does not run, and starts with that file (`systemctl start haproxy`)");
    assert_eq!(rig.config(), before);
    assert!(rig.boots());
}
