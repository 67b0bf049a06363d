//! Safeguards against accidental growth, and the treatment of orphans.

use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp};
use doproxy_core::seams::{Freeze, Inventory};
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::recover::OrphanPolicy;
use crate::tests::world::{Harness, faults_for, request, tag};

fn freeze() -> Freeze {
    Freeze { since: Timestamp(1), reason: "maintenance".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn maintenance_blocks_every_change() {
    let world = Harness::with_fleet(1).await;
    let stranger = world.create_externally("blog", &[]).await;
    let controller = world.controller();
    controller.inventory().set_freeze(Some(&freeze())).await.unwrap();
    let name = world.droplets().await[0].name.clone();

    let frozen = [
        controller.create(&request(1)).await.unwrap_err().to_string(),
        controller.delete(&[name], "test").await.unwrap_err().to_string(),
        controller.import(&[stranger]).await.unwrap_err().to_string(),
        controller.recover(OrphanPolicy::Report).await.unwrap_err().to_string(),
        controller.resume(|_| {}).await.unwrap_err().to_string(),
    ];

    for said in frozen {
        assert!(said.contains("frozen since 1970-01-01T00:00:00Z: maintenance"), "{said}");
    }
    assert_eq!(
        (world.calls("POST /v2/droplets"), world.calls("DELETE /v2/droplets/{id}")),
        (1, 0),
        "only the external droplet was created"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_interrupts_a_create_that_resumes_later() {
    let world = Harness::new();
    let controller = world.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    world.controller().inventory().set_freeze(Some(&freeze())).await.unwrap();

    let stopped = create.await;
    world.controller().inventory().set_freeze(None).await.unwrap();
    world.controller().resume(|_| {}).await.unwrap().into_result().unwrap();

    assert!(matches!(stopped, Err(ControllerError::Frozen(_))), "{stopped:?}");
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_boots_open_the_breaker_for_an_hour() {
    let world = Harness::with_faults(Faults { stuck_in_new: Frequency::Always, ..Faults::default() });
    let controller = world.controller();
    controller.create(&request(3)).await.unwrap();

    let tripped = controller.check_breakers(1).await.unwrap_err().to_string();
    tokio::time::sleep(Duration::from_hours(1)).await;

    assert!(tripped.starts_with("the last 3 created droplets did not come up"), "{tripped}");
    assert!(controller.check_breakers(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn droplets_deleted_while_booting_open_no_breaker() {
    let world = Harness::with_faults(Faults { stuck_in_new: Frequency::Always, ..Faults::default() });
    let controller = world.controller();
    for is_deleted_by_a_command in [true, false, true, false] {
        // The command that creates it is interrupted.
        let _ = tokio::time::timeout(Duration::from_secs(10), controller.create(&request(1))).await;
        let booting = world.droplets().await.remove(0);
        if is_deleted_by_a_command {
            controller.delete(std::slice::from_ref(&booting.name), "deleted manually").await.unwrap();
        } else {
            world.cloud.with_state(|world, now| world.delete(now, booting.id.unwrap())).unwrap();
            controller.resume(|_| ()).await.unwrap();
        }
        assert!(world.droplets().await.is_empty());
    }

    assert!(controller.check_breakers(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn creates_per_hour_are_limited() {
    let world = Harness::with_fleet(2).await;

    let tripped = world.controller().check_breakers(119).await.unwrap_err();

    insta::assert_snapshot!(tripped, @"2 droplets were created in the last hour, and scaling.max_create_per_hour is 120; pass --force to create anyway");
}

#[tokio::test(start_paused = true)]
async fn orphan_is_adopted_or_deleted_only_on_request() {
    for (strangers, left, known) in
        [(OrphanPolicy::Report, 2, 1), (OrphanPolicy::Adopt, 2, 2), (OrphanPolicy::Delete, 2, 1)]
    {
        let world = Harness::with_fleet(1).await;
        let stranger = world.create_externally("somebodys", &[tag()]).await;
        tokio::time::sleep(Duration::from_mins(10)).await;

        world.controller().recover(strangers).await.unwrap();

        assert!(world.count_events(|event| matches!(event, Event::OrphanFound { id, .. } if *id == stranger)) > 0);
        assert_eq!((world.billed().await.len(), world.droplets().await.len()), (left, known), "{strangers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn orphan_is_deleted_only_if_ours_and_past_grace() {
    let world = Harness::with_fleet(1).await;
    world.create_externally("www-7-abcdef", &[tag()]).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let young = world.create_externally("www-8-abcdef", &[tag()]).await;

    let recovered = world.controller().recover(OrphanPolicy::Delete).await.unwrap();

    assert_eq!(recovered.deleted.len(), 1);
    assert_eq!(recovered.orphans.iter().map(|stranger| stranger.droplet.id).collect::<Vec<DropletId>>(), [young]);
    assert_eq!(world.billed().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn lost_inventory_is_rebuilt_from_the_api() {
    let lost = Harness::with_fleet(3).await;

    lost.delete_inventory();
    let recovered = lost.controller().recover(OrphanPolicy::Adopt).await.unwrap();

    assert_eq!(recovered.adopted.len(), 3);
    assert!(lost.droplets().await.iter().all(|droplet| droplet.phase == doproxy_core::domain::Phase::Serving));
    assert_eq!(lost.billed().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn late_droplet_of_abandoned_create_is_deleted() {
    let world = Harness::with_faults(faults_for("POST", Frequency::Always, Effect::Reset));
    world.controller().create(&request(1)).await.unwrap();
    let name = world.controller().inventory().closed_operations().unwrap().remove(0).droplet;
    world.set_faults(Faults::default());
    let late = world.create_externally(name.as_str(), &[tag()]).await;

    let recovered = world.controller().recover(OrphanPolicy::Report).await.unwrap();

    assert_eq!(recovered.operations.duplicates, [late]);
    assert_eq!(world.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn second_recovery_finds_nothing() {
    let world = Harness::with_fleet(2).await;
    world.cloud.with_state(|world, now| world.delete(now, DropletId(3_164_444))).unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;

    let first = world.controller().recover(OrphanPolicy::Report).await.unwrap();
    let second = world.controller().recover(OrphanPolicy::Report).await.unwrap();

    assert_eq!(first.operations.missing.len(), 1);
    assert!(second.is_empty(), "{second:?}");
}
