//! A reload replaces the previous configuration only if it succeeds.

use std::time::Duration;

use doproxy_core::domain::{AnswerSource, Trigger};
use doproxy_metrics::Options;
use doproxy_plugin_registry::Reference;

use crate::service::PolicyLoader;
use crate::service::ServiceSpec;
use crate::tests::harness::Harness;
use crate::tests::service::{
    ServiceOptions, loader, policy_scaling_to, run_with_options, run_with_service, serving_count, spec_with_limits,
    wait_until, with_policy,
};

#[tokio::test(start_paused = true)]
async fn limits_and_interval_apply_after_reload() {
    let harness = Harness::with_fleet(1).await;

    let running =
        run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
            running.wait_for_ticks(1).await;
            running.reload(Ok(ServiceSpec { interval: Duration::from_secs(40), ..spec_with_limits(3, 5) }));
            wait_until(async || serving_count(&harness).await == 3).await;
            running.wait_for_ticks(3).await;
        })
        .await;

    let records = running.records();
    assert!(records.iter().any(|record| record.trigger == Trigger::Reload));
    let [.., one, other] = records.as_slice() else { panic!("at least two ticks") };
    assert_eq!(other.at.since(one.at), Duration::from_secs(40));
    assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none()));
}

#[tokio::test(start_paused = true)]
async fn invalid_configuration_is_rejected_with_reason() {
    let harness = Harness::with_fleet(1).await;

    let running =
        run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
            running.reload(Err("doproxy.yml:3:1: unknown key".to_owned()));
            running.wait_for_ticks(2).await;
        })
        .await;

    let refused = running.telemetry.status().reload.unwrap().refused.unwrap();
    assert_eq!(refused, "doproxy.yml:3:1: unknown key");
    assert_eq!(running.last().observation.limits.min, 1);
}

#[tokio::test(start_paused = true)]
async fn failing_component_never_takes_over() {
    let harness = Harness::with_fleet(1).await;
    let (good, bad) = (policy_scaling_to(2, 0..0, 0), policy_scaling_to(4, 0..1_000, 0));

    let running = run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 5), good.reference(), "{}"),
        loader(),
        async |running| {
            running.wait_for_ticks(2).await;
            running.reload(Ok(with_policy(spec_with_limits(3, 5), bad.reference(), "{}")));
            running.wait_for_ticks(3).await;
        },
    )
    .await;

    let refused = running.telemetry.status().reload.unwrap().refused.unwrap();
    assert!(refused.starts_with("policy web failed to evaluate the current fleet: "), "{refused}");
    let last = running.last();
    // A reload is applied completely or not at all.
    assert_eq!(
        (last.evaluations[0].answered_by, last.evaluations[0].failure.as_ref(), last.observation.limits.min),
        (AnswerSource::Primary, None, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn rewritten_component_takes_over_without_signal() {
    let harness = Harness::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let (one, other) = (policy_scaling_to(1, 0..0, 0), policy_scaling_to(3, 0..0, 0));
    std::fs::write(&file, bytes(&one.reference())).unwrap();

    let running = run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 5), Reference::File(file.clone()), "{}"),
        loader(),
        async |running| {
            running.wait_for_ticks(2).await;
            std::fs::write(&file, b"not a component").unwrap();
            running.wait_for_ticks(2).await;
            assert_eq!(running.last().evaluations[0].failure, None);
            assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_some()));
            std::fs::write(&file, bytes(&other.reference())).unwrap();
            wait_until(async || serving_count(&harness).await == 3).await;
        },
    )
    .await;

    assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none()));
}

fn bytes(policy: &Reference) -> Vec<u8> {
    let Reference::File(path) = policy else { unreachable!("the policy is stored in a file") };
    std::fs::read(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn new_sources_apply_after_a_rejected_reload() {
    let harness = Harness::with_fleet(1).await;
    let missing = with_policy(spec_with_limits(1, 5), "file:/there/is/no/such/policy.wasm".parse().unwrap(), "{}");
    let (before, after) = (Options::new(crate::tests::service::INTERVAL).poll_wait, Duration::from_secs(1));

    let running =
        run_with_service(&harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
            running.sources.lock().unwrap().poll_wait = after;
            running.reload(Ok(missing));
            running.wait_for_reload(false).await;
            running.reload(Ok(spec_with_limits(1, 5)));
            running.wait_for_reload(true).await;
            running.reload(Err("the end".to_owned()));
            running.wait_for_reload(false).await;
        })
        .await;

    assert_eq!(running.effective_patience(), [before, before, after]);
}

#[tokio::test(start_paused = true)]
async fn configuration_saved_during_a_load_is_read_next() {
    let harness = Harness::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doproxy.yml");
    std::fs::write(&file, "min: 1").unwrap();
    let saved = file.clone();
    let mut times = 0;
    let after_read = move |spec: &crate::tests::service::SharedSpec| {
        times += 1;
        if times == 1 {
            *spec.lock().unwrap() = Ok(spec_with_limits(3, 5));
            std::fs::write(&saved, "min: 3 droplets").unwrap();
        }
    };
    let surroundings = ServiceOptions { file, on_config_read: Box::new(after_read), ..ServiceOptions::default() };

    run_with_options(
        surroundings,
        &harness,
        spec_with_limits(1, 5),
        PolicyLoader::without_plugins(),
        async |running| {
            running.reload(Ok(spec_with_limits(2, 5)));
            wait_until(async || serving_count(&harness).await == 3).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn component_of_rejected_configuration_is_watched() {
    let harness = Harness::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let policy = policy_scaling_to(3, 0..0, 0);
    let spec = with_policy(spec_with_limits(1, 5), Reference::File(file.clone()), "{}");

    run_with_service(&harness, spec_with_limits(1, 5), loader(), async |running| {
        running.wait_for_ticks(1).await;
        running.reload(Ok(spec));
        running.wait_for_reload(false).await;
        running.wait_for_ticks(2).await;
        std::fs::write(&file, bytes(&policy.reference())).unwrap();
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unavailable_policy_is_retried_after_rejected_reload() {
    let harness = Harness::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let policy = policy_scaling_to(3, 0..0, 0);
    let spec = with_policy(spec_with_limits(1, 5), Reference::File(file.clone()), "{}");
    let mut ticks = 0;
    // The policy is being retried during the first tick.
    let in_tick = move |remote: &crate::tests::service::SimulatedHandle| {
        ticks += 1;
        if ticks == 1 {
            remote.reload();
        }
    };
    let surroundings = ServiceOptions { on_tick: Box::new(in_tick), ..ServiceOptions::default() };

    let running = run_with_options(surroundings, &harness, spec, loader(), async |running| {
        running.wait_for_reload(false).await;
        *running.spec.lock().unwrap() = Err("doproxy.yml:3:1: unknown key".to_owned());
        std::fs::write(&file, bytes(&policy.reference())).unwrap();
        wait_until(async || serving_count(&harness).await == 3).await;
    })
    .await;

    assert_eq!(running.last().evaluations[0].answered_by, AnswerSource::Primary);
}
