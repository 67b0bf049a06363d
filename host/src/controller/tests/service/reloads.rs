//! What is loaded anew replaces what was there only when it works.

use std::time::Duration;

use super::super::world::World;
use super::{Surroundings, beside, beside_in, loader, serving, until, wanting, with_policy, within};
use crate::controller::service::{Loader, Wish};
use crate::metrics::Options;
use crate::model::{Rung, Trigger};
use crate::plugin::Reference;

#[tokio::test(start_paused = true)]
async fn bounds_and_interval_hold_from_the_reload_on() {
    let world = World::with_fleet(1).await;

    let running = beside(&world, within(1, 5), Loader::without_plugins(), async |running| {
        running.ticks_pass(1).await;
        running.reload(Ok(Wish { interval: Duration::from_secs(40), ..within(3, 5) }));
        until(async || serving(&world).await == 3).await;
        running.ticks_pass(3).await;
    })
    .await;

    let records = running.records();
    assert!(records.iter().any(|record| record.trigger == Trigger::Reload));
    let [.., one, other] = records.as_slice() else { panic!("two ticks at least") };
    assert_eq!(other.at.since(one.at), Duration::from_secs(40));
    assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_wrong_changes_nothing_and_says_why() {
    let world = World::with_fleet(1).await;

    let running = beside(&world, within(1, 5), Loader::without_plugins(), async |running| {
        running.reload(Err("doproxy.yml:3:1: unknown key".to_owned()));
        running.ticks_pass(2).await;
    })
    .await;

    let refused = running.telemetry.status().reload.unwrap().refused.unwrap();
    assert_eq!(refused, "doproxy.yml:3:1: unknown key");
    assert_eq!(running.last().observation.limits.min, 1);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_does_not_answer_now_never_takes_over() {
    let world = World::with_fleet(1).await;
    let (good, bad) = (wanting(2, 0..0, 0), wanting(4, 0..1_000, 0));

    let running = beside(&world, with_policy(within(1, 5), good.reference(), "{}"), loader(), async |running| {
        running.ticks_pass(2).await;
        running.reload(Ok(with_policy(within(3, 5), bad.reference(), "{}")));
        running.ticks_pass(3).await;
    })
    .await;

    let refused = running.telemetry.status().reload.unwrap().refused.unwrap();
    assert!(refused.starts_with("policy web does not answer about the fleet as it is: "), "{refused}");
    let last = running.last();
    // All of it is taken, or nothing.
    assert_eq!(
        (last.answers[0].rung, last.answers[0].failure.as_ref(), last.observation.limits.min),
        (Rung::Own, None, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_written_anew_takes_over_without_a_signal() {
    let world = World::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let (one, other) = (wanting(1, 0..0, 0), wanting(3, 0..0, 0));
    std::fs::write(&file, bytes(&one.reference())).unwrap();

    let running =
        beside(&world, with_policy(within(1, 5), Reference::File(file.clone()), "{}"), loader(), async |running| {
            running.ticks_pass(2).await;
            std::fs::write(&file, b"no component at all").unwrap();
            running.ticks_pass(2).await;
            assert_eq!(running.last().answers[0].failure, None);
            assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_some()));
            std::fs::write(&file, bytes(&other.reference())).unwrap();
            until(async || serving(&world).await == 3).await;
        })
        .await;

    assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none()));
}

fn bytes(policy: &Reference) -> Vec<u8> {
    let Reference::File(path) = policy else { unreachable!("it is planted in a file") };
    std::fs::read(path).unwrap()
}

#[tokio::test(start_paused = true)]
async fn new_sources_are_taken_by_the_reload_after_one_that_was_refused() {
    let world = World::with_fleet(1).await;
    let missing = with_policy(within(1, 5), "file:/there/is/no/such/policy.wasm".parse().unwrap(), "{}");
    let (before, after) = (Options::new(super::INTERVAL).patience, Duration::from_secs(1));

    let running = beside(&world, within(1, 5), Loader::without_plugins(), async |running| {
        running.sources.lock().unwrap().patience = after;
        running.reload(Ok(missing));
        running.until_reloaded(false).await;
        running.reload(Ok(within(1, 5)));
        running.until_reloaded(true).await;
        running.reload(Err("the end".to_owned()));
        running.until_reloaded(false).await;
    })
    .await;

    assert_eq!(running.patience_in_effect(), [before, before, after]);
}

#[tokio::test(start_paused = true)]
async fn a_configuration_that_is_saved_while_another_is_loaded_is_read_next() {
    let world = World::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doproxy.yml");
    std::fs::write(&file, "min: 1").unwrap();
    let saved = file.clone();
    let mut times = 0;
    let after_read = move |wish: &super::Configured| {
        times += 1;
        if times == 1 {
            *wish.lock().unwrap() = Ok(within(3, 5));
            std::fs::write(&saved, "min: 3 droplets").unwrap();
        }
    };
    let surroundings = Surroundings { file, after_read: Box::new(after_read), ..Surroundings::default() };

    beside_in(surroundings, &world, within(1, 5), Loader::without_plugins(), async |running| {
        running.reload(Ok(within(2, 5)));
        until(async || serving(&world).await == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_component_of_a_configuration_that_was_refused_is_watched() {
    let world = World::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let policy = wanting(3, 0..0, 0);
    let wish = with_policy(within(1, 5), Reference::File(file.clone()), "{}");

    beside(&world, within(1, 5), loader(), async |running| {
        running.ticks_pass(1).await;
        running.reload(Ok(wish));
        running.until_reloaded(false).await;
        running.ticks_pass(2).await;
        std::fs::write(&file, bytes(&policy.reference())).unwrap();
        until(async || serving(&world).await == 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_missing_is_tried_again_after_a_reload_that_was_refused_meanwhile() {
    let world = World::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.wasm");
    let policy = wanting(3, 0..0, 0);
    let wish = with_policy(within(1, 5), Reference::File(file.clone()), "{}");
    let mut ticks = 0;
    // In the first tick it is being tried again.
    let in_tick = move |remote: &super::SimulatedRemote| {
        ticks += 1;
        if ticks == 1 {
            remote.reload();
        }
    };
    let surroundings = Surroundings { in_tick: Box::new(in_tick), ..Surroundings::default() };

    let running = beside_in(surroundings, &world, wish, loader(), async |running| {
        running.until_reloaded(false).await;
        *running.wish.lock().unwrap() = Err("doproxy.yml:3:1: unknown key".to_owned());
        std::fs::write(&file, bytes(&policy.reference())).unwrap();
        until(async || serving(&world).await == 3).await;
    })
    .await;

    assert_eq!(running.last().answers[0].rung, Rung::Own);
}
