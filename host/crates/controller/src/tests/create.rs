//! A create ends with exactly the requested droplets, or with none and the reason.

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::tests::world::{Harness, faults_for, request, tag};

const CREATE: &str = "POST /v2/droplets";

#[tokio::test(start_paused = true)]
async fn batches_droplets_and_waits_until_they_serve() {
    let world = Harness::new();

    let acted = world.controller().create(&request(3)).await.unwrap();

    assert_eq!(acted.created.len(), 3);
    assert_eq!(world.calls(CREATE), 1);
    assert!(world.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving));
    assert_eq!(world.balancer.servers().len(), 3);
    assert_eq!(world.billed().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn splits_more_than_ten_droplets_into_requests() {
    let world = Harness::new();

    world.controller().create(&request(12)).await.unwrap();

    assert_eq!(world.calls(CREATE), 2);
    assert_eq!(world.billed().await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn lost_response_creates_no_duplicate() {
    let world = Harness::with_faults(faults_for("POST", Frequency::Next(1), Effect::DropResponse));

    world.controller().create(&request(1)).await.unwrap();

    assert_eq!(world.calls(CREATE), 1);
    assert_eq!(world.billed().await.len(), 1);
    assert_eq!(world.count_events(|event| matches!(event, Event::Created { found: true, .. })), 1);
}

#[tokio::test(start_paused = true)]
async fn lost_response_with_list_lag_creates_no_duplicate() {
    let faults = faults_for("POST", Frequency::Next(1), Effect::DropResponse);
    let world = Harness::with_faults(Faults { list_lag_ms: 60_000, not_found_after_create_ms: 60_000, ..faults });

    world.controller().create(&request(1)).await.unwrap();

    assert_eq!(world.calls(CREATE), 1);
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn server_error_after_execution_creates_no_duplicate() {
    let acted = Effect::Status { code: 502, message: None, retry_after_s: None, acted: true };
    let world = Harness::with_faults(faults_for("POST", Frequency::Next(1), acted));

    world.controller().create(&request(2)).await.unwrap();

    assert_eq!(world.calls(CREATE), 1);
    assert_eq!(world.billed().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn undelivered_request_is_retried_with_same_name() {
    let world = Harness::with_faults(faults_for("POST", Frequency::Next(1), Effect::Reset));

    let acted = world.controller().create(&request(1)).await.unwrap();

    assert_eq!(world.calls(CREATE), 2);
    assert_eq!(world.billed().await[0].name, acted.created[0].name.as_str());
}

#[tokio::test(start_paused = true)]
async fn rate_limit_is_waited_out() {
    let busy = Effect::Status { code: 429, message: None, retry_after_s: Some(30), acted: false };
    let world = Harness::with_faults(faults_for("POST", Frequency::Next(3), busy));

    world.controller().create(&request(1)).await.unwrap();

    assert_eq!(world.calls(CREATE), 4);
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn droplet_limit_leaves_nothing_behind() {
    let world = Harness::with_faults(Faults { droplet_limit: Some(0), ..Faults::default() });

    let error = world.controller().create(&request(1)).await.unwrap().into_result().unwrap_err().to_string();

    assert!(error.contains("droplet limit") && error.contains("delete droplets, or ask DigitalOcean"), "{error}");
    assert_eq!((world.inventory().await.operations, world.droplets().await), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn droplet_stuck_in_new_is_abandoned_and_deleted() {
    let world = Harness::with_faults(Faults { stuck_in_new: Frequency::Next(1), ..Faults::default() });

    let acted = world.controller().create(&request(2)).await.unwrap();

    assert_eq!((acted.created.len(), acted.abandoned.len()), (1, 1));
    assert!(
        acted.abandoned[0].1.contains("was booting for 600 s: it is new without an address"),
        "{:?}",
        acted.abandoned
    );
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn droplet_without_address_never_reaches_haproxy() {
    let world = Harness::with_faults(Faults { active_without_address: Frequency::Always, ..Faults::default() });

    let acted = world.controller().create(&request(1)).await.unwrap();

    assert_eq!(acted.abandoned.len(), 1);
    assert_eq!(world.balancer.servers(), []);
    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn droplet_failing_its_check_is_abandoned_and_deleted() {
    let world = Harness::new();
    world.balancer.set_all_unhealthy(true);

    let acted = world.controller().create(&request(1)).await.unwrap();

    assert!(acted.abandoned[0].1.contains("its health check fails: DOWN, L4CON"), "{:?}", acted.abandoned);
    assert_eq!(world.balancer.servers(), []);
    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn accepted_but_lost_create_is_abandoned() {
    let world = Harness::with_faults(Faults { lost_creates: Frequency::Always, ..Faults::default() });

    let acted = world.controller().create(&request(1)).await.unwrap();

    assert_eq!((acted.created.len(), acted.abandoned.len()), (0, 1));
    assert_eq!(world.inventory().await.operations, []);
}

#[tokio::test(start_paused = true)]
async fn unknown_size_is_rejected_before_journaling() {
    let world = Harness::new();
    let request = doproxy_core::domain::DropletRequest { size: Some("s-1vcpu-1bg".into()), ..request(1) };

    let error = world.controller().create(&request).await.unwrap_err();

    assert!(matches!(error, ControllerError::UnknownSize { .. }));
    insta::assert_snapshot!(error, @r#"DigitalOcean has no size "s-1vcpu-1bg" (did you mean "s-1vcpu-1gb"?); run `doproxy check` to list the available sizes"#);
    assert_eq!(world.calls(CREATE), 0);
}

#[tokio::test(start_paused = true)]
async fn orphan_is_reported_once_and_left_alone() {
    let world = Harness::new();
    let unknown = world.create_externally("www-by-hand", &[tag()]).await;

    world.controller().create(&request(1)).await.unwrap();

    assert_eq!(world.count_events(|event| matches!(event, Event::OrphanFound { id, .. } if *id == unknown)), 1);
    assert_eq!(world.billed().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn create_with_unknown_outcome_ends_in_time() {
    let broken = Effect::Status { code: 500, message: None, retry_after_s: None, acted: false };
    let world = Harness::with_faults(faults_for("POST", Frequency::Always, broken));

    let acted = world.controller().create(&request(1)).await.unwrap();

    assert!(acted.abandoned[0].1.starts_with("the outcome of the create request for"), "{:?}", acted.abandoned);
    assert_eq!(world.inventory().await.operations, []);
}
