//! A create ends with exactly the requested droplets, or with none and the reason.

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::tests::harness::{Harness, faults_for, request, tag};

const CREATE: &str = "POST /v2/droplets";

#[tokio::test(start_paused = true)]
async fn batches_droplets_and_waits_until_they_serve() {
    let harness = Harness::new();

    let summary = harness.controller().create(&request(3)).await.unwrap();

    assert_eq!(summary.created.len(), 3);
    assert_eq!(harness.calls(CREATE), 1);
    assert!(harness.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving));
    assert_eq!(harness.balancer.servers().len(), 3);
    assert_eq!(harness.billed().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn splits_more_than_ten_droplets_into_requests() {
    let harness = Harness::new();

    harness.controller().create(&request(12)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 2);
    assert_eq!(harness.billed().await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn lost_response_creates_no_duplicate() {
    let harness = Harness::with_faults(faults_for("POST", Frequency::Next(1), Effect::DropResponse));

    harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 1);
    assert_eq!(harness.billed().await.len(), 1);
    assert_eq!(harness.count_events(|event| matches!(event, Event::Created { found: true, .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_response_with_list_lag_creates_no_duplicate() {
    let faults = faults_for("POST", Frequency::Next(1), Effect::DropResponse);
    let harness = Harness::with_faults(Faults { list_lag_ms: 60_000, not_found_after_create_ms: 60_000, ..faults });

    harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 1);
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn server_error_after_execution_creates_no_duplicate() {
    let applied = Effect::Status { code: 502, message: None, retry_after_s: None, applied: true };
    let harness = Harness::with_faults(faults_for("POST", Frequency::Next(1), applied));

    harness.controller().create(&request(2)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 1);
    assert_eq!(harness.billed().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn undelivered_request_is_retried_with_same_name() {
    let harness = Harness::with_faults(faults_for("POST", Frequency::Next(1), Effect::Reset));

    let summary = harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 2);
    assert_eq!(harness.billed().await[0].name, summary.created[0].name.as_str());
}

#[tokio::test(start_paused = true)]
async fn rate_limit_is_waited_out() {
    let busy = Effect::Status { code: 429, message: None, retry_after_s: Some(30), applied: false };
    let harness = Harness::with_faults(faults_for("POST", Frequency::Next(3), busy));

    harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(harness.calls(CREATE), 4);
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn droplet_limit_leaves_nothing_behind() {
    let harness = Harness::with_faults(Faults { droplet_limit: Some(0), ..Faults::default() });

    let error = harness.controller().create(&request(1)).await.unwrap().into_result().unwrap_err().to_string();

    assert!(error.contains("droplet limit") && error.contains("delete droplets, or ask DigitalOcean"), "{error}");
    assert_eq!((harness.inventory().await.operations, harness.droplets().await), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn droplet_stuck_in_new_is_abandoned_and_deleted() {
    let harness = Harness::with_faults(Faults { stuck_in_new: Frequency::Next(1), ..Faults::default() });

    let summary = harness.controller().create(&request(2)).await.unwrap();

    assert_eq!((summary.created.len(), summary.abandoned.len()), (1, 1));
    assert!(
        summary.abandoned[0].1.contains("was booting for 600 s: it is new without an address"),
        "{:?}",
        summary.abandoned
    );
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn droplet_without_address_never_reaches_haproxy() {
    let harness = Harness::with_faults(Faults { active_without_address: Frequency::Always, ..Faults::default() });

    let summary = harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(summary.abandoned.len(), 1);
    assert_eq!(harness.balancer.servers(), []);
    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn droplet_failing_its_check_is_abandoned_and_deleted() {
    let harness = Harness::new();
    harness.balancer.set_all_unhealthy(true);

    let summary = harness.controller().create(&request(1)).await.unwrap();

    assert!(summary.abandoned[0].1.contains("its health check fails: DOWN, L4CON"), "{:?}", summary.abandoned);
    assert_eq!(harness.balancer.servers(), []);
    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn accepted_but_lost_create_is_abandoned() {
    let harness = Harness::with_faults(Faults { lost_creates: Frequency::Always, ..Faults::default() });

    let summary = harness.controller().create(&request(1)).await.unwrap();

    assert_eq!((summary.created.len(), summary.abandoned.len()), (0, 1));
    assert_eq!(harness.inventory().await.operations, []);
}

#[tokio::test(start_paused = true)]
async fn unknown_size_is_rejected_before_journaling() {
    let harness = Harness::new();
    let request = doproxy_core::domain::DropletRequest { size: Some("s-1vcpu-1bg".into()), ..request(1) };

    let error = harness.controller().create(&request).await.unwrap_err();

    assert!(matches!(error, ControllerError::UnknownSize { .. }));
    insta::assert_snapshot!(error, @r#"DigitalOcean has no size "s-1vcpu-1bg" (did you mean "s-1vcpu-1gb"?); run `doproxy check` to list the available sizes"#);
    assert_eq!(harness.calls(CREATE), 0);
}

#[tokio::test(start_paused = true)]
async fn orphan_is_reported_once_and_left_alone() {
    let harness = Harness::new();
    let unknown = harness.create_externally("www-by-hand", &[tag()]).await;

    harness.controller().create(&request(1)).await.unwrap();

    assert_eq!(harness.count_events(|event| matches!(event, Event::OrphanFound { id, .. } if *id == unknown)), 1);
    assert_eq!(harness.billed().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn create_with_unknown_outcome_ends_in_time() {
    let broken = Effect::Status { code: 500, message: None, retry_after_s: None, applied: false };
    let harness = Harness::with_faults(faults_for("POST", Frequency::Always, broken));

    let summary = harness.controller().create(&request(1)).await.unwrap();

    assert!(summary.abandoned[0].1.starts_with("the outcome of the create request for"), "{:?}", summary.abandoned);
    assert_eq!(harness.inventory().await.operations, []);
}
