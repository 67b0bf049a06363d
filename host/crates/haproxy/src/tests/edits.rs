//! A file that was edited outside doproxy, or that is no longer valid.

use doproxy_core::seams::ServerState::Serving;
use doproxy_core::seams::{ApplyResult, LoadBalancer as _};

use crate::error::HaProxyError;
use crate::failed_update::{DiskState, FailedUpdate};
use crate::tests::harness::{HaproxyHarness, local, occupied_address};

#[tokio::test]
async fn external_edit_is_replaced_and_saved() {
    let harness = HaproxyHarness::start().await;
    let first = harness.config() + "# a note of mine\n";
    let second = harness.config() + "# another\n";
    std::fs::write(&harness.options.config_file, &first).unwrap();

    let applied = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    std::fs::write(&harness.options.config_file, &second).unwrap();
    harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let untouched = harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();

    let kept = harness.dir.path().join("haproxy.cfg.replaced");
    assert!(
        matches!(&applied, ApplyResult::Reloaded { replaced_edit: Some(over), .. } if *over == kept),
        "{applied:?}"
    );
    assert_eq!(harness.beside("replaced").unwrap(), first);
    assert_eq!(harness.beside("replaced.2").unwrap(), second);
    assert_eq!(untouched, ApplyResult::Dynamic { added: 1, removed: 1, changed: 0 });
    assert!(harness.config().contains("server web-1 ") && !harness.config().contains("a note"));
}

#[tokio::test]
async fn valid_edit_is_restored_when_update_fails() {
    let harness = HaproxyHarness::start().await;
    let edited = harness.config() + "# a note of mine\n";
    std::fs::write(&harness.options.config_file, &edited).unwrap();
    let (_listener, bind) = occupied_address().await;

    harness.with(|options| options.bind = bind).apply(&[local(Serving, 1)]).await.unwrap_err();

    assert_eq!(harness.config(), edited);
}

#[tokio::test]
async fn invalid_edit_is_saved_but_not_restored() {
    let harness = HaproxyHarness::start().await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    harness.haproxy.apply(&[local(Serving, 2)]).await.unwrap();
    let good = harness.beside("last-good").unwrap();
    std::fs::write(&harness.options.config_file, "global\n  nonsense\n").unwrap();
    let (_listener, bind) = occupied_address().await;

    let error = harness.with(|options| options.bind = bind).apply(&[local(Serving, 2)]).await.unwrap_err();

    assert!(
        matches!(
            error,
            HaProxyError::UpdateFailed { failed_update: FailedUpdate { file: DiskState::Previous, .. }, .. }
        ),
        "{error}"
    );
    assert_eq!(harness.config(), good);
    assert_eq!(harness.beside("replaced").unwrap(), "global\n  nonsense\n");
    assert!(harness.boots());
}

#[tokio::test]
async fn invalid_last_good_configuration_is_not_restored() {
    let harness = HaproxyHarness::start().await;
    harness.boot(1).await;
    harness.haproxy.apply(&[local(Serving, 1)]).await.unwrap();
    let gone = "echo '[ALERT] (1) : config : unable to load SSL certificate' >&2; exit 1";
    let binary = harness.script(&format!("case $* in *last-good) {gone};; esac; exec /usr/sbin/haproxy \"$@\""));
    let (_listener, bind) = occupied_address().await;
    let haproxy = harness.with(|options| (options.bind, options.binary) = (bind, binary));

    let error = haproxy.apply(&[local(Serving, 1)]).await.unwrap_err();

    insta::assert_snapshot!(harness.normalize_error(&error), @"HAProxy failed to load the new DIR/haproxy.cfg: reload failed: the new worker could not start, for example because an address is in use; check HAProxy's log; the new configuration, which `haproxy -c` accepts, stays on disk because DIR/haproxy.cfg.last-good is no longer valid (HAProxy rejects DIR/haproxy.cfg.last-good: [ALERT] config : unable to load SSL certificate); fix the cause of the failed reload and run `doproxy reload`; the previous worker is live and unchanged");
    assert!(harness.boots());
    assert_eq!(harness.get().await, (200, "1".into()));
}
