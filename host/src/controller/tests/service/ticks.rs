//! Ticks come in time, whatever is slow or broken.

use std::time::Duration;

use super::super::world::{World, fault_of, some};
use super::{INTERVAL, beside, by_hand, loader, serving, until, wanting, with_policy, within};
use crate::controller::service::Loader;
use crate::model::{Phase, Trigger};
use crate::simulation::cloud::{Effect, Faults, Frequency};
use crate::telemetry::families;

#[tokio::test(start_paused = true)]
async fn the_fleet_follows_its_load() {
    let world = World::new();
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilisation_s": 0}"#;
    let wish = with_policy(within(1, 6), "builtin:target-tracking".parse().unwrap(), config);

    beside(&world, wish, loader(), async |_| {
        until(async || serving(&world).await == 1).await;
        let first = world.droplets().await[0].id.unwrap();
        world.balancer.set_sessions(first, 38);
        until(async || serving(&world).await == 4).await;
        world.balancer.set_sessions(first, 18);
        until(async || world.droplets().await.len() == 2).await;
        world.balancer.set_sessions(first, 3);
        until(async || world.droplets().await.len() == 1).await;
    })
    .await;

    assert_eq!(world.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_droplet_serves_a_moment_after_it_is_up() {
    let world = World::new();

    let running = beside(&world, within(2, 5), Loader::without_plugins(), async |_| {
        until(async || serving(&world).await == 2).await;
    })
    .await;

    // It boots for 20 s.
    for droplet in world.droplets().await {
        let took = droplet.phase_since.since(droplet.created_at);
        assert!(took <= Duration::from_secs(22), "{took:?}");
    }
    running.telemetry.count(|registry| assert_eq!(registry.get(&families::SERVING_TIME, &[]), Some(2.0)));
}

#[tokio::test(start_paused = true)]
async fn ticks_come_each_interval_while_droplets_boot_and_drain() {
    let world = World::with_fleet(3).await;
    let names: Vec<_> =
        world.droplets().await.iter().map(|droplet| (droplet.name.clone(), droplet.id.unwrap())).collect();
    for (_, id) in &names {
        world.balancer.set_sessions(*id, 5);
    }

    let running = beside(&world, within(1, 1), Loader::without_plugins(), async |running| {
        running.ticks_pass(1).await;
        // Sessions never end, so each drain takes as long as it may.
        until(async || world.droplets().await.len() == 1).await;
    })
    .await;

    let at: Vec<_> = running.records().iter().map(|record| record.at).collect();
    assert!(at.len() >= 4, "{at:?}");
    assert!(at.windows(2).all(|two| two[1].since(two[0]) == INTERVAL), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_slow_delays_no_tick() {
    let world = World::with_fleet(1).await;

    let running = beside(&world, within(1, 5), Loader::without_plugins(), async |running| {
        running.ticks_pass(2).await;
        world.set_faults(fault_of("GET", Frequency::Always, Effect::LatencyMs(120_000)));
        running.ticks_pass(20).await;
    })
    .await;

    let at: Vec<_> = running.records().iter().map(|record| record.at).collect();
    assert!(at.windows(2).all(|two| two[1].since(two[0]) == INTERVAL), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_is_away_the_loop_waits_and_then_goes_on() {
    let world = World::with_fleet(1).await;

    let running = beside(&world, within(1, 5), Loader::without_plugins(), async |running| {
        running.ticks_pass(2).await;
        let away =
            ["GET", "POST", "DELETE"].map(|method| fault_of(method, Frequency::Always, Effect::Reset).calls.remove(0));
        world.set_faults(Faults { calls: away.to_vec(), ..Faults::default() });
        running.ticks_pass(4).await;
        let record = running.last();
        assert!(record.facts.api_unreachable.is_some(), "{record:?}");
        assert!(running.telemetry.status().api_failure.is_some());
        running.reload(Ok(within(3, 5)));
        running.ticks_pass(3).await;
        assert_eq!(world.droplets().await.len(), 1);
        world.set_faults(Faults::default());
        until(async || serving(&world).await == 3).await;
    })
    .await;

    assert_eq!(running.telemetry.status().api_failure, None);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_asked_again_when_it_wants_to_be() {
    let world = World::with_fleet(1).await;
    let policy = wanting(1, 0..0, 4_000);

    let running = beside(&world, with_policy(within(1, 5), policy.reference(), "{}"), loader(), async |running| {
        running.ticks_pass(8).await;
    })
    .await;

    let records = running.records();
    let triggers: Vec<_> = records.iter().skip(1).map(|record| record.trigger).collect();
    assert!(triggers.iter().filter(|trigger| **trigger == Trigger::NextCheck).count() >= 5, "{triggers:?}");
    let gaps = records.windows(2).map(|two| two[1].at.since(two[0].at));
    assert!(gaps.clone().all(|gap| gap <= Duration::from_secs(4)), "{:?}", gaps.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_fleet_is_no_failure_and_is_carried_on_afterwards() {
    use crate::inventory::{Freeze, Inventory};
    let world = World::with_fleet(1).await;

    beside(&world, within(3, 5), Loader::without_plugins(), async |running| {
        let freeze = Freeze { since: crate::model::Timestamp(1), reason: "test".to_owned() };
        by_hand(&world).inventory().set_freeze(Some(&freeze)).await.unwrap();
        running.ticks_pass(3).await;
        let record = running.last();
        assert!(record.outcome.error.is_some_and(|why| why.contains("frozen")));
        assert_eq!(world.droplets().await.len(), 1);
        by_hand(&world).inventory().set_freeze(None).await.unwrap();
        until(async || serving(&world).await == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_service_was_stopped_is_carried_on_by_the_next() {
    let world = World::new();
    beside(&world, within(3, 5), Loader::without_plugins(), async |_| {
        until(async || world.droplets().await.iter().any(|droplet| droplet.phase == Phase::Booting)).await;
    })
    .await;
    assert_eq!(serving(&world).await, 0);

    beside(&world, within(3, 5), Loader::without_plugins(), async |_| {
        until(async || serving(&world).await == 3).await;
    })
    .await;

    assert_eq!(world.billed().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_creates_by_hand_meanwhile_is_of_the_fleet() {
    let world = World::new();

    beside(&world, within(1, 5), Loader::without_plugins(), async |_| {
        by_hand(&world).create(&some(2)).await.unwrap();
        until(async || serving(&world).await >= 2).await;
    })
    .await;

    assert_eq!(world.billed().await.len(), world.droplets().await.len());
}
