//! Failures are reported, and the live configuration stays live.

use doproxy_core::seams::ServerState::Serving;
use doproxy_core::seams::{ApplyResult, LoadBalancer};

use crate::error::HaProxyError;
use crate::failed_update::{DiskState, FailedUpdate};
use crate::haproxy::HaProxy;
use crate::options::{Options, ReloadMethod};
use crate::process::Process;
use crate::template::BUILT_IN_TEMPLATE;
use crate::tests::harness::{HaproxyHarness, local, occupied_address, options};

/// Returns an HAProxy with a custom template in the harness's directory.
fn haproxy_with_template(harness: &HaproxyHarness, text: &str) -> HaProxy {
    let file = harness.dir.path().join("own.cfg.tera");
    std::fs::write(&file, text).unwrap();
    HaProxy::new(Options { template: Some(file), ..harness.options.clone() }).unwrap()
}

#[tokio::test]
async fn rejected_template_changes_nothing() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();
    let old_style = BUILT_IN_TEMPLATE.replace(
        "    option idle-close-on-response\n",
        "    option idle-close-on-response\n    reqadd X-Forwarded-Proto:\\ http\n",
    );

    let error =
        haproxy_with_template(&harness, &old_style).apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @r"
    HAProxy rejects the configuration rendered from DIR/own.cfg.tera: line 41 is `reqadd X-Forwarded-Proto:\ http`
    [ALERT] config : parsing [DIR/haproxy.cfg:41] : The 'reqadd' directive is not supported anymore since HAProxy 2.1. Use 'http-request add-header' instead.
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy.cfg
    nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before
    ");
    assert_eq!(harness.config(), before);
    assert_eq!(harness.get().await, (200, "1".into()));
}

#[tokio::test]
async fn template_without_servers_never_reaches_haproxy() {
    let harness = HaproxyHarness::start().await;
    let truncated = BUILT_IN_TEMPLATE.split("{%- for server").next().unwrap();

    let error = haproxy_with_template(&harness, truncated).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"DIR/own.cfg.tera does not render a valid configuration of this fleet: the last line is not `# doproxy: end`; the file may be truncated; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
}

#[tokio::test]
async fn failed_reload_restores_previous_configuration() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = harness.config();
    let (_listener, bind) = occupied_address().await;
    let elsewhere = HaProxy::new(Options { bind, ..harness.options.clone() }).unwrap();

    let error = elsewhere.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy failed to load the new DIR/haproxy.cfg: reload failed: the new worker could not start, for example because an address is in use; check HAProxy's log; the previous configuration is back on disk and live");
    assert_eq!(harness.config(), before);
    assert_eq!(harness.get().await, (200, "1".into()));
    assert_eq!(harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap(), ApplyResult::Unchanged);
}

#[tokio::test]
async fn failed_reload_command_is_quoted_and_retried_next_time() {
    let harness = HaproxyHarness::start().await;
    let before = harness.config();
    let reload = ReloadMethod::Command(["sh", "-c", "echo no such unit >&2; exit 5"].map(String::from).into());
    let haproxy = HaProxy::new(Options { reload, ..harness.options.clone() }).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy failed to load the new DIR/haproxy.cfg: `sh -c echo no such unit >&2; exit 5` failed (exit status: 5): no such unit; the previous configuration is back on disk; the previous worker is live and unchanged");
    assert!(matches!(
        error,
        HaProxyError::UpdateFailed { failed_update: FailedUpdate { file: DiskState::Previous, .. }, .. }
    ));
    assert_eq!(harness.config(), before);
    let applied = harness.haproxy.apply(&[]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
}

#[tokio::test]
async fn process_reading_a_different_file_is_detected() {
    let harness = HaproxyHarness::start().await;
    let config_file = harness.dir.path().join("other.cfg");

    let error =
        HaProxy::new(Options { config_file, ..harness.options.clone() }).unwrap().apply(&[local(Serving, 1)]).await;

    insta::assert_snapshot!(harness.normalize_error(&error.unwrap_err()), @"HAProxy failed to load the new DIR/other.cfg: the new worker does not have the servers in the file: web-1 is missing; check that HAProxy was started with `-f` and this file; the new configuration stays on disk because there was no previous one; a worker without the new servers is live: web-1 is missing");
}

#[tokio::test]
async fn stopped_haproxy_is_left_alone() {
    let (dir, options) = options().await;
    let haproxy = HaProxy::new(options.clone()).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @"HAProxy is unreachable on DIR/master.sock: No such file or directory (os error 2); check that HAProxy is running (`systemctl start haproxy`) and that its socket exists; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before");
    assert!(!options.config_file.exists());
}

#[tokio::test]
async fn missing_binary_error_includes_remedy() {
    let (_dir, options) = options().await;

    let error = HaProxy::new(Options { binary: "/nowhere/haproxy".into(), ..options }).unwrap().check(&[]).await;

    insta::assert_snapshot!(error.unwrap_err(), @"HAProxy not found at /nowhere/haproxy; install it (`apt-get install haproxy`) or set `haproxy.binary`");
}

#[tokio::test]
async fn immediate_exit_is_reported_with_output() {
    let (dir, options) = options().await;
    std::fs::write(&options.config_file, "global\n  nonsense\n").unwrap();

    let error =
        Process::start(&options.binary, &options.config_file, &dir.path().join("master.sock")).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @r#"
    /usr/sbin/haproxy exited immediately (exit status: 1):
    [ALERT] config : parsing [DIR/haproxy.cfg:2] : unknown keyword 'nonsense' in 'global' section
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy.cfg
    "#);
}
