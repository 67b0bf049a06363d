//! A delete drains the droplet, ends with it gone at the API, and touches no other droplet.

use std::time::Duration;

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::tests::world::{Harness, faults_for};

#[tokio::test(start_paused = true)]
async fn droplet_leaves_haproxy_before_it_is_deleted() {
    let world = Harness::with_fleet(2).await;
    let (goes, stays) = (&world.droplets().await[0], &world.droplets().await[1]);

    let acted = world.controller().delete(std::slice::from_ref(&goes.name), "test").await.unwrap();

    assert_eq!(acted.deleted, std::slice::from_ref(&goes.name));
    let left = world.billed().await;
    assert_eq!(left.iter().map(|droplet| Some(droplet.id)).collect::<Vec<_>>(), [stays.id]);
    assert_eq!(world.balancer.servers().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn delete_waits_for_open_sessions() {
    let world = Harness::with_fleet(1).await;
    let droplet = world.droplets().await.remove(0);
    world.balancer.set_sessions(droplet.id.unwrap(), 2);
    let controller = world.controller();
    let names = [droplet.name.clone()];
    let delete = controller.delete(&names, "test");
    tokio::pin!(delete);

    assert!(tokio::time::timeout(Duration::from_secs(30), &mut delete).await.is_err(), "the delete did not wait");
    let meanwhile = world.droplets().await.remove(0).phase;
    world.balancer.set_sessions(droplet.id.unwrap(), 0);
    delete.await.unwrap();

    assert_eq!(meanwhile, Phase::Draining);
    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn endless_sessions_do_not_block_a_delete() {
    let world = Harness::with_fleet(1).await;
    let droplet = world.droplets().await.remove(0);
    world.balancer.set_sessions(droplet.id.unwrap(), 2);

    world.controller().delete(&[droplet.name], "test").await.unwrap();

    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn accepted_but_ignored_delete_is_retried() {
    let world = Harness::with_fleet(1).await;
    world.set_faults(Faults { ignored_deletes: Frequency::Next(2), ..Faults::default() });
    let droplet = world.droplets().await.remove(0);

    world.controller().delete(&[droplet.name], "test").await.unwrap();

    assert_eq!(world.calls("DELETE /v2/droplets/{id}"), 3);
    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_delete_is_resumed_by_next_command() {
    let world = Harness::with_fleet(1).await;
    let forbidden = Effect::Status { code: 401, message: None, retry_after_s: None, acted: false };
    world.set_faults(faults_for("DELETE", Frequency::Always, forbidden));
    let droplet = world.droplets().await.remove(0);

    let failed = world.controller().delete(&[droplet.name], "test").await;
    assert!(matches!(failed, Err(ControllerError::Cloud(_))), "{failed:?}");
    assert_eq!(world.droplets().await[0].phase, Phase::Deleting);
    world.set_faults(Faults::default());
    world.controller().resume(|_| {}).await.unwrap();

    assert_eq!((world.droplets().await, world.billed().await), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn ignored_delete_times_out_without_blocking_others() {
    let world = Harness::with_fleet(1).await;
    world.set_faults(Faults { ignored_deletes: Frequency::Always, ..Faults::default() });
    let droplet = world.droplets().await.remove(0);

    let overdue = world.controller().delete(std::slice::from_ref(&droplet.name), "test").await;
    let carried_on = world.controller().resume(|_| {}).await.unwrap();
    world.controller().create(&crate::tests::world::request(1)).await.unwrap().into_result().unwrap();
    world.set_faults(Faults::default());
    world.controller().resume(|_| {}).await.unwrap();

    assert!(matches!(overdue, Err(ControllerError::Overdue { .. })), "{overdue:?}");
    assert_eq!(carried_on.abandoned.len(), 1);
    assert_eq!((world.droplets().await.len(), world.billed().await.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn droplet_without_fleet_tag_is_not_deleted() {
    let world = Harness::with_fleet(2).await;
    let droplet = world.droplets().await.remove(0);
    let id = droplet.id.unwrap();
    world.cloud.with_state(|world, now| world.untag_droplets(now, crate::tests::world::tag().as_str(), &[id])).unwrap();

    let acted = world.controller().delete(&[droplet.name], "test").await.unwrap();

    assert!(acted.abandoned[0].1.contains("no longer has the fleet's tag"), "{:?}", acted.abandoned);
    assert!(world.cloud.with_state(|world, now| world.droplet(now, id).is_ok()));
    assert_eq!(world.droplets().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn externally_deleted_droplet_is_not_a_failure() {
    let world = Harness::with_fleet(1).await;
    let droplet = world.droplets().await.remove(0);
    world.cloud.with_state(|world, now| world.delete(now, droplet.id.unwrap())).unwrap();

    let acted = world.controller().delete(std::slice::from_ref(&droplet.name), "test").await.unwrap();

    assert_eq!(acted.deleted, [droplet.name]);
    assert!(acted.abandoned.is_empty());
}

#[tokio::test(start_paused = true)]
async fn missing_droplet_leaves_the_fleet_during_other_commands() {
    let world = Harness::with_fleet(2).await;
    let vanished = world.droplets().await.remove(0);
    tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    world.cloud.with_state(|world, now| world.delete(now, vanished.id.unwrap())).unwrap();

    world.controller().create(&crate::tests::world::request(1)).await.unwrap().into_result().unwrap();

    assert_eq!(world.count_events(|event| matches!(event, Event::DropletMissing { .. })), 1);
    assert_eq!(world.balancer.servers().len(), 2);
    assert_eq!(world.droplets().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn missing_fleet_is_not_pruned() {
    let world = Harness::with_fleet(2).await;
    world.cloud.with_state(|world, now| world.delete_tagged(now, crate::tests::world::tag().as_str()));

    let error = world.controller().resume(|_| {}).await.unwrap_err();

    assert!(matches!(error, ControllerError::AllMissing(2)), "{error}");
    assert_eq!(world.droplets().await.len(), 2);
}
