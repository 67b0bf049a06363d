//! What goes wrong is said, and what was live stays live.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;

use super::rig::{Rig, local, options};
use crate::balancer::Balancer;
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::{BUILT_IN_TEMPLATE, HaProxy, HaProxyError, Live, Options, Process, Reload};

/// The user's own template in the rig's directory.
fn with_template(rig: &Rig, text: &str) -> HaProxy {
    let file = rig.dir.path().join("own.cfg.tera");
    std::fs::write(&file, text).unwrap();
    HaProxy::new(Options { template: Some(file), ..rig.options.clone() }).unwrap()
}

#[tokio::test]
async fn a_template_that_haproxy_refuses_changes_nothing() {
    let rig = Rig::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();
    let old_style = BUILT_IN_TEMPLATE.replace(
        "    option idle-close-on-response\n",
        "    option idle-close-on-response\n    reqadd X-Forwarded-Proto:\\ http\n",
    );

    let error = with_template(&rig, &old_style).apply(&[local(Serving, 1), local(Serving, 2)]).await.unwrap_err();

    insta::assert_snapshot!(rig.told(&error), @"");
    assert_eq!(rig.config(), before);
    assert_eq!(rig.get().await, (200, "1".into()));
}

#[tokio::test]
async fn a_template_without_the_servers_never_reaches_haproxy() {
    let rig = Rig::start().await;
    let truncated = BUILT_IN_TEMPLATE.split("{%- for server").next().unwrap();

    let error = with_template(&rig, truncated).apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.told(&error), @"");
}

#[tokio::test]
async fn a_reload_that_fails_brings_the_configuration_of_before_back() {
    let rig = Rig::start().await;
    rig.boot(1).await;
    rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let before = rig.config();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let bind = vec![taken.local_addr().unwrap().to_string()];
    let elsewhere = HaProxy::new(Options { bind, ..rig.options.clone() }).unwrap();

    let error = elsewhere.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.told(&error), @"");
    assert_eq!(rig.config(), before);
    assert_eq!(rig.get().await, (200, "1".into()));
    assert_eq!(rig.haproxy.apply(&[local(Serving, 1)]).await.unwrap(), crate::balancer::Applied::Unchanged);
}

#[tokio::test]
async fn a_reload_command_that_fails_is_quoted_and_tried_again_the_next_time() {
    let rig = Rig::start().await;
    let before = rig.config();
    let reload = Reload::Command(["sh", "-c", "echo no such unit >&2; exit 5"].map(String::from).into());
    let haproxy = HaProxy::new(Options { reload, ..rig.options.clone() }).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(rig.told(&error), @"");
    assert!(matches!(error, HaProxyError::NotTaken { live: Live::PreviousOnDisk(_), .. }));
    assert_eq!(rig.config(), before);
    assert_eq!(rig.haproxy.apply(&[]).await.unwrap(), crate::balancer::Applied::Reloaded);
}

#[tokio::test]
async fn a_process_that_reads_another_file_is_found_out() {
    let rig = Rig::start().await;
    let config_file = rig.dir.path().join("other.cfg");

    let error = HaProxy::new(Options { config_file, ..rig.options.clone() }).unwrap().apply(&[local(Serving, 1)]).await;

    insta::assert_snapshot!(rig.told(&error.unwrap_err()), @"");
}

#[tokio::test]
async fn an_haproxy_that_does_not_run_is_left_alone() {
    let (dir, options) = options().await;
    let haproxy = HaProxy::new(options.clone()).unwrap();

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @"");
    assert!(!options.config_file.exists());
}

#[tokio::test]
async fn an_haproxy_that_is_not_installed_comes_with_a_remedy() {
    let (_dir, options) = options().await;

    let error = HaProxy::new(Options { binary: "/nowhere/haproxy".into(), ..options }).unwrap().check(&[]).await;

    insta::assert_snapshot!(error.unwrap_err(), @"");
}

#[tokio::test]
async fn an_haproxy_that_ends_at_once_says_why() {
    let (dir, options) = options().await;
    std::fs::write(&options.config_file, "global\n  nonsense\n").unwrap();

    let error = Process::start(&options.binary, &options.config_file, &dir.path().join("master.sock")).await.unwrap_err();

    insta::assert_snapshot!(error.to_string().replace(&*dir.path().to_string_lossy(), "DIR"), @"");
}
