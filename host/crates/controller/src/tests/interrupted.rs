//! A command that is interrupted between any two steps is resumed by the next one.

use std::time::Duration;

use doproxy_core::domain::Phase;
use doproxy_emulator::{Effect, Frequency};

use crate::event::Event;
use crate::tests::harness::{Harness, faults_for, request, tag};

/// Times at which a create of about 23 s is interrupted.
const MOMENTS_MS: [u64; 6] = [0, 1, 4_000, 12_000, 20_000, 22_000];

#[tokio::test(start_paused = true)]
async fn interrupted_create_is_resumed_without_duplicates() {
    for ms in MOMENTS_MS {
        let harness = Harness::new();
        // Each call takes some time, so that it can be interrupted halfway.
        harness.set_faults(faults_for("POST", Frequency::Always, Effect::LatencyMs(3_000)));

        let stopped = {
            let controller = harness.controller();
            tokio::time::timeout(Duration::from_millis(ms), controller.create(&request(2))).await
        };
        harness.controller().resume(|_| {}).await.unwrap().into_result().unwrap();

        let started = harness.droplets().await.len();
        assert!(stopped.is_err() && (started == 0 || started == 2), "stopped after {ms} ms: {started} droplets");
        assert!(harness.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving), "after {ms} ms");
        assert_eq!(harness.billed().await.len(), started, "stopped after {ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_delete_is_resumed() {
    let harness = Harness::with_fleet(2).await;
    let droplet = harness.droplets().await.remove(0);
    harness.balancer.set_sessions(droplet.id.unwrap(), 1);

    {
        let controller = harness.controller();
        let delete = controller.delete(std::slice::from_ref(&droplet.name), "test");
        assert!(tokio::time::timeout(Duration::from_secs(10), delete).await.is_err());
    }
    harness.controller().resume(|_| {}).await.unwrap();

    assert_eq!(harness.droplets().await.len(), 1);
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn duplicate_that_appears_during_create_is_deleted() {
    let harness = Harness::new();
    let controller = harness.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    let name = harness.droplets().await[0].name.clone();
    let duplicate = harness.create_externally(name.as_str(), &[tag()]).await;

    create.await.unwrap();

    assert_eq!(harness.count_events(|event| matches!(event, Event::DuplicateFound { id, .. } if *id == duplicate)), 1);
    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn namesake_without_fleet_tag_is_never_touched() {
    let harness = Harness::new();
    let controller = harness.controller();
    let request = request(1);
    let create = controller.create(&request);
    tokio::pin!(create);
    assert!(tokio::time::timeout(Duration::from_secs(3), &mut create).await.is_err());
    let name = harness.droplets().await[0].name.clone();
    let other = harness.create_externally(name.as_str(), &[]).await;

    create.await.unwrap();

    assert!(harness.cloud.with_state(|harness, now| harness.droplet(now, other).is_ok()));
}
