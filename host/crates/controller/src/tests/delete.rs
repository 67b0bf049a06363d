//! A delete drains the droplet, ends with it gone at the API, and touches no other droplet.

use std::time::Duration;

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::tests::harness::{Harness, faults_for};

#[tokio::test(start_paused = true)]
async fn droplet_leaves_haproxy_before_it_is_deleted() {
    let harness = Harness::with_fleet(2).await;
    let (goes, stays) = (&harness.droplets().await[0], &harness.droplets().await[1]);

    let summary = harness.controller().delete(std::slice::from_ref(&goes.name), "test").await.unwrap();

    assert_eq!(summary.deleted, std::slice::from_ref(&goes.name));
    let left = harness.billed().await;
    assert_eq!(left.iter().map(|droplet| Some(droplet.id)).collect::<Vec<_>>(), [stays.id]);
    assert_eq!(harness.balancer.servers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn delete_waits_for_open_sessions() {
    let harness = Harness::with_fleet(1).await;
    let droplet = harness.droplets().await.remove(0);
    harness.balancer.set_sessions(droplet.id.unwrap(), 2);
    let controller = harness.controller();
    let names = [droplet.name.clone()];
    let delete = controller.delete(&names, "test");
    tokio::pin!(delete);

    assert!(tokio::time::timeout(Duration::from_secs(30), &mut delete).await.is_err(), "the delete did not wait");
    let meanwhile = harness.droplets().await.remove(0).phase;
    harness.balancer.set_sessions(droplet.id.unwrap(), 0);
    delete.await.unwrap();

    assert_eq!(meanwhile, Phase::Draining);
    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn endless_sessions_do_not_block_a_delete() {
    let harness = Harness::with_fleet(1).await;
    let droplet = harness.droplets().await.remove(0);
    harness.balancer.set_sessions(droplet.id.unwrap(), 2);

    harness.controller().delete(&[droplet.name], "test").await.unwrap();

    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn accepted_but_ignored_delete_is_retried() {
    let harness = Harness::with_fleet(1).await;
    harness.set_faults(Faults { ignored_deletes: Frequency::Next(2), ..Faults::default() });
    let droplet = harness.droplets().await.remove(0);

    harness.controller().delete(&[droplet.name], "test").await.unwrap();

    assert_eq!(harness.calls("DELETE /v2/droplets/{id}"), 3);
    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_delete_is_resumed_by_next_command() {
    let harness = Harness::with_fleet(1).await;
    let forbidden = Effect::Status { code: 401, message: None, retry_after_s: None, applied: false };
    harness.set_faults(faults_for("DELETE", Frequency::Always, forbidden));
    let droplet = harness.droplets().await.remove(0);

    let failed = harness.controller().delete(&[droplet.name], "test").await;
    assert!(matches!(failed, Err(ControllerError::Cloud(_))), "{failed:?}");
    assert_eq!(harness.droplets().await[0].phase, Phase::Deleting);
    harness.set_faults(Faults::default());
    harness.controller().resume(|_| {}).await.unwrap();

    assert_eq!((harness.droplets().await, harness.billed().await), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn ignored_delete_times_out_without_blocking_others() {
    let harness = Harness::with_fleet(1).await;
    harness.set_faults(Faults { ignored_deletes: Frequency::Always, ..Faults::default() });
    let droplet = harness.droplets().await.remove(0);

    let overdue = harness.controller().delete(std::slice::from_ref(&droplet.name), "test").await;
    let carried_on = harness.controller().resume(|_| {}).await.unwrap();
    harness.controller().create(&crate::tests::harness::request(1)).await.unwrap().into_result().unwrap();
    harness.set_faults(Faults::default());
    harness.controller().resume(|_| {}).await.unwrap();

    assert!(matches!(overdue, Err(ControllerError::Overdue { .. })), "{overdue:?}");
    assert_eq!(carried_on.abandoned.len(), 1);
    assert_eq!((harness.droplets().await.len(), harness.billed().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn droplet_without_fleet_tag_is_not_deleted() {
    let harness = Harness::with_fleet(2).await;
    let droplet = harness.droplets().await.remove(0);
    let id = droplet.id.unwrap();
    harness
        .cloud
        .with_state(|harness, now| harness.untag_droplets(now, crate::tests::harness::tag().as_str(), &[id]))
        .unwrap();

    let summary = harness.controller().delete(&[droplet.name], "test").await.unwrap();

    assert!(summary.abandoned[0].1.contains("no longer has the fleet's tag"), "{:?}", summary.abandoned);
    assert!(harness.cloud.with_state(|harness, now| harness.droplet(now, id).is_ok()));
    assert_eq!(harness.droplets().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn externally_deleted_droplet_is_not_a_failure() {
    let harness = Harness::with_fleet(1).await;
    let droplet = harness.droplets().await.remove(0);
    harness.cloud.with_state(|harness, now| harness.delete(now, droplet.id.unwrap())).unwrap();

    let summary = harness.controller().delete(std::slice::from_ref(&droplet.name), "test").await.unwrap();

    assert_eq!(summary.deleted, [droplet.name]);
    assert!(summary.abandoned.is_empty());
}

#[tokio::test(start_paused = true)]
async fn missing_droplet_leaves_the_fleet_during_other_commands() {
    let harness = Harness::with_fleet(2).await;
    let missing = harness.droplets().await.remove(0);
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    harness.cloud.with_state(|harness, now| harness.delete(now, missing.id.unwrap())).unwrap();

    harness.controller().create(&crate::tests::harness::request(1)).await.unwrap().into_result().unwrap();

    assert_eq!(harness.count_events(|event| matches!(event, Event::DropletMissing { .. })), 1);
    assert_eq!(harness.balancer.servers().len(), 2);
    assert_eq!(harness.droplets().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn missing_fleet_is_not_pruned() {
    let harness = Harness::with_fleet(2).await;
    harness.cloud.with_state(|harness, now| harness.delete_tagged(now, crate::tests::harness::tag().as_str()));

    let error = harness.controller().resume(|_| {}).await.unwrap_err();

    assert!(matches!(error, ControllerError::AllMissing(2)), "{error}");
    assert_eq!(harness.droplets().await.len(), 2);
}
