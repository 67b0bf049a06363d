//! A command that is interrupted between any two steps is resumed by the next one.

use std::time::Duration;

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Frequency};

use crate::event::Event;
use crate::tests::world::{Harness, faults_for, request, tag};

/// Times at which a create of about 23 s is interrupted.
const MOMENTS_MS: [u64; 6] = [0, 1, 4_000, 12_000, 20_000, 22_000];

#[tokio::test(start_paused = true)]
async fn interrupted_create_is_resumed_without_duplicates() {
    for ms in MOMENTS_MS {
        let world = Harness::new();
        // Each call takes some time, so that it can be interrupted halfway.
        world.set_faults(faults_for("POST", Frequency::Always, Effect::LatencyMs(3_000)));

        let stopped = {
            let controller = world.controller();
            tokio::time::timeout(Duration::from_millis(ms), controller.create(&request(2))).await
        };
        world.controller().resume(|_| {}).await.unwrap().into_result().unwrap();

        let begun = world.droplets().await.len();
        assert!(stopped.is_err() && (begun == 0 || begun == 2), "stopped after {ms} ms: {begun} droplets");
        assert!(world.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving), "after {ms} ms");
        assert_eq!(world.billed().await.len(), begun, "stopped after {ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_delete_is_resumed() {
    let world = Harness::with_fleet(2).await;
    let droplet = world.droplets().await.remove(0);
    world.balancer.set_sessions(droplet.id.unwrap(), 1);

    {
        let controller = world.controller();
        let delete = controller.delete(std::slice::from_ref(&droplet.name), "test");
        assert!(tokio::time::timeout(Duration::from_secs(10), delete).await.is_err());
    }
    world.controller().resume(|_| {}).await.unwrap();

    assert_eq!(world.droplets().await.len(), 1);
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn duplicate_that_appears_during_create_is_deleted() {
    let world = Harness::new();
    let controller = world.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    let name = world.droplets().await[0].name.clone();
    let twin = world.create_externally(name.as_str(), &[tag()]).await;

    create.await.unwrap();

    assert_eq!(world.count_events(|event| matches!(event, Event::DuplicateFound { id, .. } if *id == twin)), 1);
    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn namesake_without_fleet_tag_is_never_touched() {
    let world = Harness::new();
    let controller = world.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    let name = world.droplets().await[0].name.clone();
    let other = world.create_externally(name.as_str(), &[]).await;

    create.await.unwrap();

    assert!(world.cloud.with_state(|world, now| world.droplet(now, other).is_ok()));
}
