//! Safeguards against accidental growth, and the treatment of orphans.

use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp};
use doproxy_core::seams::{Inventory, Maintenance};
use doproxy_emulator::{Effect, Faults, Frequency};

use crate::error::ControllerError;
use crate::event::Event;
use crate::recover::OrphanPolicy;
use crate::tests::harness::{Harness, faults_for, request, tag};

fn maintenance() -> Maintenance {
    Maintenance { since: Timestamp(1), reason: "maintenance".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn maintenance_blocks_every_change() {
    let harness = Harness::with_fleet(1).await;
    let orphan = harness.create_externally("blog", &[]).await;
    let controller = harness.controller();
    controller.inventory().set_maintenance(Some(&maintenance())).await.unwrap();
    let name = harness.droplets().await[0].name.clone();

    let refused = [
        controller.create(&request(1)).await.unwrap_err().to_string(),
        controller.delete(&[name], "test").await.unwrap_err().to_string(),
        controller.import(&[orphan]).await.unwrap_err().to_string(),
        controller.recover(OrphanPolicy::Report).await.unwrap_err().to_string(),
        controller.resume(|_| {}).await.unwrap_err().to_string(),
    ];

    for output in refused {
        assert!(output.contains("(since 1970-01-01T00:00:00Z: maintenance)"), "{output}");
    }
    assert_eq!(
        (harness.calls("POST /v2/droplets"), harness.calls("DELETE /v2/droplets/{id}")),
        (1, 0),
        "only the external droplet was created"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_interrupts_a_create_that_resumes_later() {
    let harness = Harness::new();
    let controller = harness.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    harness.controller().inventory().set_maintenance(Some(&maintenance())).await.unwrap();

    let stopped = create.await;
    harness.controller().inventory().set_maintenance(None).await.unwrap();
    harness.controller().resume(|_| {}).await.unwrap().into_result().unwrap();

    assert!(matches!(stopped, Err(ControllerError::InMaintenance(_))), "{stopped:?}");
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_boots_open_the_breaker_for_an_hour() {
    let harness = Harness::with_faults(Faults { stuck_in_new: Frequency::Always, ..Faults::default() });
    let controller = harness.controller();
    controller.create(&request(3)).await.unwrap();

    let tripped = controller.check_breakers(1).await.unwrap_err().to_string();
    tokio::time::sleep(Duration::from_hours(1)).await;

    assert!(tripped.starts_with("the last 3 created droplets did not come up"), "{tripped}");
    assert!(controller.check_breakers(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn droplets_deleted_while_booting_open_no_breaker() {
    let harness = Harness::with_faults(Faults { stuck_in_new: Frequency::Always, ..Faults::default() });
    let controller = harness.controller();
    for is_deleted_by_a_command in [true, false, true, false] {
        // The command that creates it is interrupted.
        let _ = tokio::time::timeout(Duration::from_secs(10), controller.create(&request(1))).await;
        let booting = harness.droplets().await.remove(0);
        if is_deleted_by_a_command {
            controller.delete(std::slice::from_ref(&booting.name), "deleted manually").await.unwrap();
        } else {
            harness.cloud.with_state(|harness, now| harness.delete(now, booting.id.unwrap())).unwrap();
            controller.resume(|_| ()).await.unwrap();
        }
        assert!(harness.droplets().await.is_empty());
    }

    assert!(controller.check_breakers(1).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn creates_per_hour_are_limited() {
    let harness = Harness::with_fleet(2).await;

    let tripped = harness.controller().check_breakers(119).await.unwrap_err();

    insta::assert_snapshot!(tripped, @"2 droplets were created in the last hour, and scaling.max_create_per_hour is 120; pass --force to create anyway");
}

#[tokio::test(start_paused = true)]
async fn orphan_is_adopted_or_deleted_only_on_request() {
    for (orphans, left, known) in
        [(OrphanPolicy::Report, 2, 1), (OrphanPolicy::Adopt, 2, 2), (OrphanPolicy::Delete, 2, 1)]
    {
        let harness = Harness::with_fleet(1).await;
        let orphan = harness.create_externally("somebodys", &[tag()]).await;
        tokio::time::sleep(Duration::from_mins(10)).await;

        harness.controller().recover(orphans).await.unwrap();

        assert!(harness.count_events(|event| matches!(event, Event::OrphanFound { id, .. } if *id == orphan)) > 0);
        assert_eq!((harness.billed().await.len(), harness.droplets().await.len()), (left, known), "{orphans:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn orphan_is_deleted_only_if_ours_and_past_grace() {
    let harness = Harness::with_fleet(1).await;
    harness.create_externally("www-7-abcdef", &[tag()]).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let young = harness.create_externally("www-8-abcdef", &[tag()]).await;

    let recovered = harness.controller().recover(OrphanPolicy::Delete).await.unwrap();

    assert_eq!(recovered.deleted.len(), 1);
    assert_eq!(recovered.orphans.iter().map(|orphan| orphan.droplet.id).collect::<Vec<DropletId>>(), [young]);
    assert_eq!(harness.billed().await.len(), 2);
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
    let harness = Harness::with_faults(faults_for("POST", Frequency::Always, Effect::Reset));
    harness.controller().create(&request(1)).await.unwrap();
    let name = harness.controller().inventory().closed_operations().unwrap().remove(0).droplet;
    harness.set_faults(Faults::default());
    let late = harness.create_externally(name.as_str(), &[tag()]).await;

    let recovered = harness.controller().recover(OrphanPolicy::Report).await.unwrap();

    assert_eq!(recovered.operations.duplicates, [late]);
    assert_eq!(harness.billed().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn second_recovery_finds_nothing() {
    let harness = Harness::with_fleet(2).await;
    harness.cloud.with_state(|harness, now| harness.delete(now, DropletId(3_164_444))).unwrap();
    tokio::time::sleep(Duration::from_mins(10)).await;

    let first = harness.controller().recover(OrphanPolicy::Report).await.unwrap();
    let second = harness.controller().recover(OrphanPolicy::Report).await.unwrap();

    assert_eq!(first.operations.missing.len(), 1);
    assert!(second.is_empty(), "{second:?}");
}
