//! What is loaded anew replaces what was there only when it works.

use std::time::Duration;

use super::super::world::World;
use super::{beside, loader, serving, until, wanting, with_policy, within};
use crate::controller::service::{Loader, Wish};
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
    let bytes = |policy: Reference| {
        let Reference::File(path) = policy else { unreachable!("it is planted in a file") };
        std::fs::read(path).unwrap()
    };
    let (one, other) = (wanting(1, 0..0, 0), wanting(3, 0..0, 0));
    std::fs::write(&file, bytes(one.reference())).unwrap();

    let running =
        beside(&world, with_policy(within(1, 5), Reference::File(file.clone()), "{}"), loader(), async |running| {
            running.ticks_pass(2).await;
            std::fs::write(&file, b"no component at all").unwrap();
            running.ticks_pass(2).await;
            assert_eq!(running.last().answers[0].failure, None);
            assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_some()));
            std::fs::write(&file, bytes(other.reference())).unwrap();
            until(async || serving(&world).await == 3).await;
        })
        .await;

    assert!(running.telemetry.status().reload.is_some_and(|reload| reload.refused.is_none()));
}
