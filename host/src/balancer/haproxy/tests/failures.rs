//! What goes wrong is said, and what was live stays live.

use super::rig::{HaproxyHarness, local, occupied_address, options};
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::{
    BUILT_IN_TEMPLATE, DiskState, FailedUpdate, HaProxy, HaProxyError, Options, Process, ReloadMethod,
};
use crate::balancer::{ApplyResult, LoadBalancer};

/// The user's own template in the rig's directory.
fn haproxy_with_template(rig: &HaproxyHarness, text: &str) -> HaProxy {
    let file = rig.dir.path().join("own.cfg.tera");
    std::fs::write(&file, text).unwrap();
    HaProxy::new(Options { template: Some(file), ..rig.options.clone() }).unwrap()
}

#[tokio::test]
async fn a_template_that_haproxy_refuses_changes_nothing() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();
    let old_style = BUILT_IN_TEMPLATE.replace(
        "    option idle-close-on-response\n",
        "    option idle-close-on-response\n    reqadd X-Forwarded-Proto:\\ http\n",
    );

    let error =
        haproxy_with_template(&rig, &old_style).apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @r"
    HAProxy refuses the configuration made by DIR/own.cfg.tera: line 41 is `reqadd X-Forwarded-Proto:\ http`
    [ALERT] config : parsing [DIR/haproxy.cfg:41] : The 'reqadd' directive is not supported anymore since HAProxy 2.1. Use 'http-request add-header' instead.
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy.cfg
    nothing was changed, neither DIR/haproxy.cfg nor what is live
    ");
    assert_eq!(rig.config(), before);
    assert_eq!(rig.get().await, (200, "1".into()));
}

#[tokio::test]
async fn a_template_without_the_servers_never_reaches_haproxy() {
    let rig = HaproxyHarness::start().await;
    let truncated = BUILT_IN_TEMPLATE.split("{%- for server").next().unwrap();

    let error = haproxy_with_template(&rig, truncated).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"DIR/own.cfg.tera does not give a configuration of this fleet: the last line must be `# doproxy: end`: it may be truncated; nothing was changed, neither DIR/haproxy.cfg nor what is live");
}

#[tokio::test]
async fn a_reload_that_fails_brings_the_configuration_of_before_back() {
    let rig = HaproxyHarness::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();
    let (_listener, bind) = occupied_address().await;
    let elsewhere = HaProxy::new(Options { bind, ..rig.options.clone() }).unwrap();

    let error = elsewhere.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy did not take the new DIR/haproxy.cfg: the reload failed: the new worker could not start, for example since an address is in use; HAProxy's log says more; the configuration of before is back on disk and live");
    assert_eq!(rig.config(), before);
    assert_eq!(rig.get().await, (200, "1".into()));
    assert_eq!(rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap(), ApplyResult::Unchanged);
}

#[tokio::test]
async fn a_reload_command_that_fails_is_quoted_and_tried_again_the_next_time() {
    let rig = HaproxyHarness::start().await;
    let before = rig.config();
    let reload = ReloadMethod::Command(["sh", "-c", "echo no such unit >&2; exit 5"].map(String::from).into());
    let haproxy = HaProxy::new(Options { reload, ..rig.options.clone() }).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.normalize_error(&error), @"HAProxy did not take the new DIR/haproxy.cfg: `sh -c echo no such unit >&2; exit 5` failed (exit status: 5): no such unit; the configuration of before is back on disk; live is the worker of before, with what it had");
    assert!(matches!(error, HaProxyError::UpdateFailed { live: FailedUpdate { file: DiskState::Previous, .. }, .. }));
    assert_eq!(rig.config(), before);
    let applied = rig.haproxy.apply(&[]).await.unwrap();
    assert!(matches!(applied, ApplyResult::Reloaded { .. }), "{applied:?}");
}

#[tokio::test]
async fn a_process_that_reads_another_file_is_found_out() {
    let rig = HaproxyHarness::start().await;
    let config_file = rig.dir.path().join("other.cfg");

    let error = HaProxy::new(Options { config_file, ..rig.options.clone() }).unwrap().apply(&[local(Serving, 1)]).await;

    insta::assert_snapshot!(rig.normalize_error(&error.unwrap_err()), @"HAProxy did not take the new DIR/other.cfg: the new worker does not have the servers of the file: web-1 is missing; was HAProxy started with `-f` another file?; the new configuration stays on disk, since there was none before; live is a worker without the new servers: web-1 is missing");
}

#[tokio::test]
async fn an_haproxy_that_does_not_run_is_left_alone() {
    let (dir, options) = options().await;
    let haproxy = HaProxy::new(options.clone()).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @"HAProxy does not answer on DIR/master.sock: No such file or directory (os error 2); is HAProxy running (`systemctl start haproxy`), and is its socket there?; nothing was changed, neither DIR/haproxy.cfg nor what is live");
    assert!(!options.config_file.exists());
}

#[tokio::test]
async fn an_haproxy_that_is_not_installed_comes_with_a_remedy() {
    let (_dir, options) = options().await;

    let error = HaProxy::new(Options { binary: "/nowhere/haproxy".into(), ..options }).unwrap().check(&[]).await;

    insta::assert_snapshot!(error.unwrap_err(), @"there is no HAProxy at /nowhere/haproxy; install it (`apt-get install haproxy`) or configure where it is");
}

#[tokio::test]
async fn an_haproxy_that_ends_at_once_says_why() {
    let (dir, options) = options().await;
    std::fs::write(&options.config_file, "global\n  nonsense\n").unwrap();

    let error =
        Process::start(&options.binary, &options.config_file, &dir.path().join("master.sock")).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @r#"
    /usr/sbin/haproxy ended at once (exit status: 1):
    [ALERT] config : parsing [DIR/haproxy.cfg:2] : unknown keyword 'nonsense' in 'global' section
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy.cfg
    "#);
}
