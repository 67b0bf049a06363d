//! Recorded ticks are done again: here, elsewhere, with another policy, and after somebody changed them.

use std::sync::Arc;

use super::super::RecordError;
use super::super::bundle::export;
use super::super::replay::{ReplayMismatch, assert_replays, replay, replay_all};
use super::super::what_if::WhatIf;
use super::*;
use crate::model::{AnswerSource, Outcome};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_replays_to_the_bit() {
    let many = std::env::var("DOPROXY_RECORDS").ok().and_then(|many| many.parse().ok()).unwrap_or(200);
    let scene = LogHarness::new();
    scene.ticks(many).await;
    let archive = scene.reader();
    let ids = archive.select("all".parse().unwrap()).unwrap();
    let began = std::time::Instant::now();

    let summary = replay_all(&archive, &scene.components(), &ids, |_| ()).await.unwrap();

    eprintln!("{many} records of two policies replayed in {:.2?}", began.elapsed());
    assert_eq!(summary.replayed, u64::from(many));
    assert!(summary.differing.is_empty(), "{:?}", summary.differing.first());
}

#[tokio::test]
async fn what_somebody_changed_is_told() {
    let scene = LogHarness::new();
    let record = scene.ticks(12).await.pop().unwrap();
    let components = scene.components();
    let told = async |change: fn(&mut TickRecord)| -> Vec<String> {
        let mut changed = record.clone();
        change(&mut changed);
        replay(&changed, &components).await.iter().map(ToString::to_string).collect()
    };

    assert_eq!(told(|_| ()).await, Vec::<String>::new());
    let changes: [fn(&mut TickRecord); 7] = [
        |record| record.evaluations[0].decision.reason += " indeed",
        |record| record.evaluations[0].fuel = 1,
        |record| record.evaluations[0].log.push("info: more".into()),
        |record| record.observation.metrics[0].samples.last_mut().unwrap().value = 99.0,
        |record| record.evaluations[1].digest = "00".repeat(32),
        |record| record.plan.to += 1,
        |record| record.selected = None,
    ];
    let mut lines = Vec::new();
    for change in changes {
        lines.push(told(change).await.join("; "));
    }

    // How much it is depends on how the component was built.
    let fuel = record.evaluations[0].fuel.to_string();
    insta::assert_snapshot!(lines.join("\n").replace(&fuel, "FUEL"), @r"
    target-10 decides hold as recorded, for another reason
    target-10 takes FUEL fuel; recorded are 1
    target-10 logs something else
    target-10 decides scale to 6; recorded is hold; target-7 decides scale to 6 as recorded, for another reason
    target-7 cannot be asked: the component 0000000000000000000000000000000000000000000000000000000000000000 of builtin:target-tracking is not there: neither in the records, nor built in, nor at its reference
    the guard leaves 5 → 5; recorded is 5 → 6
    the answer of target-10 is taken; recorded is nobody
    ");
}

#[tokio::test]
async fn a_policy_that_failed_then_has_to_fail_again() {
    let scene = LogHarness::new();
    let reference = "builtin:target-tracking".parse().unwrap();
    let policy = scene.host.policy(&reference).await.unwrap();
    let policy = ConfiguredPolicy { name: "web".into(), mode: Mode::Active, policy, config: "{}".into() };
    let (_, record) = scene.tick(&mut [PolicySlot::new(policy, vec![])], NOW, 2, 20.0).await;
    let mut mended = record.clone();
    mended.evaluations[0].config = r#"{"metric":"haproxy.sessions","target_per_droplet":10}"#.into();
    let mut late = mended.clone();
    late.evaluations[0].failure = Some("the deadline of 250ms (plugins.limits.deadline)".into());

    assert!(record.evaluations[0].failure.is_some());
    assert_eq!(replay(&record, &scene.components()).await, []);
    assert!(matches!(replay(&mended, &scene.components()).await.as_slice(), [ReplayMismatch::NowSucceeds { .. }]));
    assert_eq!(replay(&late, &scene.components()).await, []);
}

#[tokio::test]
async fn a_policy_that_could_not_be_loaded_was_not_asked() {
    let scene = LogHarness::new();
    let mut answer = decision_record::evaluation(Outcome::Hold);
    (answer.digest, answer.answered_by) = (String::new(), AnswerSource::Hold);
    answer.failure = Some("there is no such file".into());
    let observation = decision_record::observation(NOW, 2, vec![]);
    let record = decision_record::record(observation, vec![answer], GuardRules::default(), GuardFacts::default());

    assert_eq!(replay(&record, &scene.components()).await, []);
}

#[tokio::test]
async fn another_policy_is_asked_in_the_place_of_the_recorded_one() {
    let scene = LogHarness::new();
    scene.ticks(40).await;
    let archive = scene.reader();
    let ids = archive.select("all".parse().unwrap()).unwrap();
    let policy = async || scene.host.policy(&"builtin:target-tracking".parse().unwrap()).await.unwrap();
    let config = |target: u32| format!(r#"{{"metric":"haproxy.sessions","target_per_droplet":{target}}}"#);
    let (mut same, mut other) = (WhatIf::new(policy().await, config(10)), WhatIf::new(policy().await, config(20)));

    let (mut differing, mut smaller) = (0, 0);
    for recorded in archive.get_many(&ids).unwrap() {
        let recorded = recorded.unwrap();
        differing += u32::from(same.evaluate(&recorded).await.differs());
        let theirs = other.evaluate(&recorded).await;
        smaller += u32::from(theirs.alternative < theirs.recorded);
    }

    assert_eq!(differing, 0);
    assert!(smaller > 5, "{smaller}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_replays_where_there_is_nothing_else() {
    let scene = LogHarness::new();
    let written = scene.ticks(150).await;
    let archive = scene.reader();
    let ids = archive.select("20..last".parse().unwrap()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("night.bundle");

    let exported = export(&archive, &scene.components(), &ids, &file, NOW).await.unwrap();
    let again = export(&archive, &scene.components(), &ids, &file, NOW).await;
    drop(scene);
    let bundle = open(&file);
    let ids = bundle.select("all".parse().unwrap()).unwrap();
    let components = Arc::new(Components::new(host(), bundle.clone()));
    let summary = replay_all(&bundle, &components, &ids, |_| ()).await.unwrap();

    assert_eq!((exported.records, exported.components, exported.missing.len()), (131, 1, 0));
    assert!(matches!(again, Err(RecordError::Bundle { .. })));
    assert_eq!((summary.replayed, summary.differing.len()), (131, 0));
    assert_eq!(bundle.get(RecordId(77)).unwrap().record, written[76]);
    assert!(
        super::super::components::load_component(bundle.store(), &written[0].evaluations[0].digest).unwrap().is_some()
    );
    let files: Vec<_> = std::fs::read_dir(elsewhere.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["night.bundle"]);
}

#[tokio::test]
async fn a_file_is_checked_as_a_whole() {
    let scene = LogHarness::new();
    scene.ticks(5).await;

    assert_eq!(assert_replays(&scene.path()).await, 5);
}

#[tokio::test]
async fn a_component_that_was_changed_is_not_taken_for_the_recorded_one() {
    let scene = LogHarness::new();
    let record = scene.ticks(1).await.remove(0);
    let digest = &record.evaluations[0].digest;
    let history = &scene.store;
    scene.execute_sql("UPDATE components SET body = x'00', size = 1");

    assert_eq!(super::super::components::load_component(history, digest).unwrap(), None);
    // It is built in, too.
    assert_eq!(replay(&record, &scene.components()).await, []);
}
