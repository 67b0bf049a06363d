//! Ticks are on time even if other parts are slow or broken.

use std::time::Duration;

use doproxy_core::domain::{Phase, Trigger};
use doproxy_emulator::{Effect, Faults, Frequency};
use doproxy_telemetry::families;

use crate::service::PolicyLoader;
use crate::tests::harness::{Harness, faults_for, request};
use crate::tests::service::{
    INTERVAL, loader, manual_controller, policy_scaling_to, run_with_service, serving_count, spec_with_limits,
    wait_until, with_policy,
};

#[tokio::test(start_paused = true)]
async fn fleet_follows_its_load() {
    let harness = Harness::new();
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10, "scale_in_stabilization_s": 0}"#;
    let spec = with_policy(spec_with_limits(1, 6), "builtin:target-tracking".parse().unwrap(), config);

    run_with_service(&harness, spec, loader(), async |_| {
        wait_until(async || serving_count(&harness).await == 1).await;
        let first = harness.droplets().await[0].id.unwrap();
        harness.balancer.set_sessions(first, 38);
        wait_until(async || serving_count(&harness).await == 4).await;
        harness.balancer.set_sessions(first, 18);
        wait_until(async || harness.droplets().await.len() == 2).await;
        harness.balancer.set_sessions(first, 3);
        wait_until(async || harness.droplets().await.len() == 1).await;
    })
    .await;

    assert_eq!(harness.billed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn droplet_serves_soon_after_booting() {
    let harness = Harness::new();

    let running = run_with_service(&harness, spec_with_limits(2, 5), PolicyLoader::without_plugins(), async |_| {
        wait_until(async || serving_count(&harness).await == 2).await;
    })
    .await;

    // Booting takes 20 s.
    for droplet in harness.droplets().await {
        let took = droplet.phase_since.since(droplet.created_at);
        assert!(took <= Duration::from_secs(22), "{took:?}");
    }
    let startups = format!("{}_count 2\n", families::DROPLET_STARTUP_DURATION.name);
    assert!(running.telemetry.metrics().contains(&startups));
}

#[tokio::test(start_paused = true)]
async fn interval_is_kept_while_droplets_boot_and_drain() {
    let harness = Harness::with_fleet(3).await;
    let names: Vec<_> =
        harness.droplets().await.iter().map(|droplet| (droplet.name.clone(), droplet.id.unwrap())).collect();
    for (_, id) in &names {
        harness.balancer.set_sessions(*id, 5);
    }

    let running =
        run_with_service(&harness, spec_with_limits(1, 1), PolicyLoader::without_plugins(), async |running| {
            running.wait_for_ticks(1).await;
            // Sessions never end, so each drain takes its maximum time.
            wait_until(async || harness.droplets().await.len() == 1).await;
        })
        .await;

    let at: Vec<_> = running.records().iter().map(|record| record.at).collect();
    assert!(at.len() >= 4, "{at:?}");
    assert!(at.windows(2).all(|two| two[1].since(two[0]) == INTERVAL), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_api_does_not_delay_ticks() {
    let harness = Harness::with_fleet(1).await;

    let running =
        run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
            running.wait_for_ticks(2).await;
            harness.set_faults(faults_for("GET", Frequency::Always, Effect::LatencyMs(120_000)));
            running.wait_for_ticks(20).await;
        })
        .await;

    let at: Vec<_> = running.records().iter().map(|record| record.at).collect();
    assert!(at.windows(2).all(|two| two[1].since(two[0]) == INTERVAL), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn loop_waits_during_api_outage_and_continues() {
    let harness = Harness::with_fleet(1).await;

    let running =
        run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
            running.wait_for_ticks(2).await;
            let away = ["GET", "POST", "DELETE"]
                .map(|method| faults_for(method, Frequency::Always, Effect::Reset).calls.remove(0));
            harness.set_faults(Faults { calls: away.to_vec(), ..Faults::default() });
            running.wait_for_ticks(4).await;
            let record = running.last();
            assert!(record.facts.api_unreachable.is_some(), "{record:?}");
            assert!(running.telemetry.status().api_error.is_some());
            running.reload(Ok(spec_with_limits(3, 5)));
            running.wait_for_ticks(3).await;
            assert_eq!(harness.droplets().await.len(), 1);
            harness.set_faults(Faults::default());
            wait_until(async || serving_count(&harness).await == 3).await;
        })
        .await;

    assert_eq!(running.telemetry.status().api_error, None);
}

#[tokio::test(start_paused = true)]
async fn policy_is_evaluated_at_its_requested_time() {
    let harness = Harness::with_fleet(1).await;
    let policy = policy_scaling_to(1, 0..0, 4_000);

    let running = run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 5), policy.reference(), "{}"),
        loader(),
        async |running| {
            running.wait_for_ticks(8).await;
        },
    )
    .await;

    let records = running.records();
    let triggers: Vec<_> = records.iter().skip(1).map(|record| record.trigger).collect();
    assert!(triggers.iter().filter(|trigger| **trigger == Trigger::NextCheck).count() >= 5, "{triggers:?}");
    let gaps = records.windows(2).map(|two| two[1].at.since(two[0].at));
    assert!(gaps.clone().all(|gap| gap <= Duration::from_secs(4)), "{:?}", gaps.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_not_a_failure_and_ends_cleanly() {
    use doproxy_core::seams::{Inventory, Maintenance};
    let harness = Harness::with_fleet(1).await;

    run_with_service(&harness, spec_with_limits(3, 5), PolicyLoader::without_plugins(), async |running| {
        let maintenance = Maintenance { since: doproxy_core::domain::Timestamp(1), reason: "test".to_owned() };
        manual_controller(&harness).inventory().set_maintenance(Some(&maintenance)).await.unwrap();
        running.wait_for_ticks(3).await;
        let record = running.last();
        assert!(record.outcome.error.is_some_and(|why| why.contains("maintenance")));
        assert_eq!(harness.droplets().await.len(), 1);
        manual_controller(&harness).inventory().set_maintenance(None).await.unwrap();
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn next_service_resumes_open_operations() {
    let harness = Harness::new();
    run_with_service(&harness, spec_with_limits(3, 5), PolicyLoader::without_plugins(), async |_| {
        wait_until(async || harness.droplets().await.iter().any(|droplet| droplet.phase == Phase::Booting)).await;
    })
    .await;
    assert_eq!(serving_count(&harness).await, 0);

    run_with_service(&harness, spec_with_limits(3, 5), PolicyLoader::without_plugins(), async |_| {
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;

    assert_eq!(harness.billed().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn manually_created_droplets_belong_to_the_fleet() {
    let harness = Harness::new();

    run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |_| {
        manual_controller(&harness).create(&request(2)).await.unwrap();
        wait_until(async || serving_count(&harness).await >= 2).await;
    })
    .await;

    assert_eq!(harness.billed().await.len(), harness.droplets().await.len());
}
