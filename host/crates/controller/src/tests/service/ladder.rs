//! Fallbacks of a failing policy: its last good component, holding the fleet, the fallback size.

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::AnswerSource;
use doproxy_plugin_registry::Reference;

use crate::tests::harness::Harness;
use crate::tests::service::{
    loader, loader_with_components, policy_scaling_to, run_with_service, serving_count, spec_with_limits, wait_until,
    with_fallback, with_policy,
};

fn answer_sources(running: &crate::tests::service::RunningService) -> Vec<AnswerSource> {
    running.records().iter().map(|record| record.evaluations[0].answered_by).collect()
}

#[tokio::test(start_paused = true)]
async fn trapping_policy_holds_and_recovers() {
    let harness = Harness::new();
    let policy = policy_scaling_to(2, 3..6, 0);

    let running = run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 5), policy.reference(), "{}"),
        loader(),
        async |running| {
            running.wait_for_ticks(8).await;
        },
    )
    .await;

    let (own, hold) = (AnswerSource::Primary, AnswerSource::Hold);
    assert_eq!(answer_sources(&running)[..8], [own, own, own, hold, hold, hold, own, own]);
    assert!(
        running.records()[3].evaluations[0].failure.as_ref().is_some_and(|why| why.contains("trap")),
        "the failure names the trap"
    );
    let status = running.telemetry.status();
    assert_eq!((status.policies[0].failures, status.policies[0].failing_since), (3, None));
    assert!(
        running.telemetry.metrics().contains(r#"doproxy_policy_failures_total{policy="web",answered_by="hold"} 3"#)
    );
    assert_eq!(serving_count(&harness).await, 2);
}

#[tokio::test(start_paused = true)]
async fn persistent_failure_activates_the_fallback() {
    let harness = Harness::with_fleet(1).await;
    let policy = policy_scaling_to(1, 2..1_000, 0);
    let spec = with_fallback(with_policy(spec_with_limits(1, 5), policy.reference(), "{}"), 3, Duration::from_mins(2));

    let running = run_with_service(&harness, spec, loader(), async |running| {
        running.wait_for_ticks(6).await;
        assert_eq!(harness.droplets().await.len(), 1);
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;

    assert!(running.last().facts.policies_failing_since.is_some());
}

#[tokio::test(start_paused = true)]
async fn new_component_falls_back_to_previous_one() {
    let harness = Harness::with_fleet(1).await;
    let (good, bad) = (policy_scaling_to(2, 0..0, 0), policy_scaling_to(4, 4..1_000, 0));

    let running = run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 5), good.reference(), "{}"),
        loader(),
        async |running| {
            running.wait_for_ticks(2).await;
            running.reload(Ok(with_policy(spec_with_limits(1, 5), bad.reference(), "{}")));
            running.wait_for_ticks(5).await;
        },
    )
    .await;

    let last = running.last();
    assert_eq!(last.evaluations[0].answered_by, AnswerSource::LastGood);
    assert_eq!(last.evaluations[0].decision.outcome.size(0), 2);
    assert!(last.evaluations[0].failure.is_some());
}

#[tokio::test(start_paused = true)]
async fn unloadable_policy_does_not_block_startup() {
    let harness = Harness::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let policy = policy_scaling_to(3, 0..0, 0);
    let spec = with_policy(spec_with_limits(1, 5), Reference::File(file.clone()), "{}");

    let running = run_with_service(&harness, spec, loader(), async |running| {
        running.wait_for_ticks(2).await;
        let evaluation = running.last().evaluations[0].clone();
        assert_eq!((evaluation.answered_by, evaluation.digest.as_str()), (AnswerSource::Hold, ""));
        assert!(evaluation.failure.is_some_and(|why| why.contains("failed to load")));
        wait_until(async || serving_count(&harness).await == 1).await;
        let Reference::File(from) = policy.reference() else { unreachable!("the policy is stored in a file") };
        std::fs::copy(from, &file).unwrap();
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;

    assert_eq!(running.last().evaluations[0].answered_by, AnswerSource::Primary);
}

#[tokio::test(start_paused = true)]
async fn missing_component_is_replaced_by_stored_bytes() {
    let harness = Harness::with_fleet(1).await;
    let policy = policy_scaling_to(2, 0..0, 0);
    let Reference::File(planted) = policy.reference() else { unreachable!("the policy is stored in a file") };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let bytes = std::fs::read(planted).unwrap();
    std::fs::write(&file, &bytes).unwrap();
    let spec = with_policy(spec_with_limits(1, 5), Reference::File(file.clone()), "{}");
    let before =
        run_with_service(&harness, spec.clone(), loader(), async |running| running.wait_for_ticks(2).await).await;
    let digest = before.last().evaluations[0].digest.clone();
    std::fs::remove_file(&file).unwrap();

    let wanted = digest.clone();
    let components = loader_with_components(Arc::new(move |asked| (asked == wanted).then(|| bytes.clone())));
    let running = run_with_service(&harness, spec, components, async |running| running.wait_for_ticks(2).await).await;

    let evaluation = running.last().evaluations[0].clone();
    assert_eq!((evaluation.answered_by, evaluation.digest), (AnswerSource::LastGood, digest));
    assert_eq!(evaluation.decision.outcome.size(0), 2);
    assert!(running.last().observation.tick > before.last().observation.tick, "the tick counter continues");
}
