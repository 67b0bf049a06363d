//! Replays recorded ticks: locally, from a bundle, with a different policy, and after tampering.

use std::sync::Arc;

use doproxy_core::domain::{AnswerSource, Outcome};

use crate::bundle::export;
use crate::error::RecordError;
use crate::reader::LogReader;
use crate::replay::{ReplayMismatch, replay, replay_all};
use crate::selection::RecordRange;
use crate::tests::*;
use crate::what_if::WhatIf;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_replays_bit_identically() {
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
async fn tampering_is_reported() {
    let scene = LogHarness::new();
    let record = scene.ticks(12).await.pop().unwrap();
    let components = scene.components();
    let messages = async |change: fn(&mut TickRecord)| -> Vec<String> {
        let mut changed = record.clone();
        change(&mut changed);
        replay(&changed, &components).await.iter().map(ToString::to_string).collect()
    };

    assert_eq!(messages(|_| ()).await, Vec::<String>::new());
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
        lines.push(messages(change).await.join("; "));
    }

    // The fuel depends on the build of the component.
    let fuel = record.evaluations[0].fuel.to_string();
    insta::assert_snapshot!(lines.join("\n").replace(&fuel, "FUEL"), @r"
    target-10 decides hold as recorded, for a different reason
    target-10 uses FUEL fuel; the record has 1
    target-10 logs different lines
    target-10 decides scale to 6; the record has hold; target-7 decides scale to 6 as recorded, for a different reason
    target-7 cannot be evaluated: component 0000000000000000000000000000000000000000000000000000000000000000 of builtin:target-tracking not found in the records, among the built-in components or at its reference
    the guard plans 5 → 5; the record has 5 → 6
    the selected evaluation is that of target-10; the record has no policy
    ");
}

#[tokio::test]
async fn failed_policy_must_fail_again() {
    let scene = LogHarness::new();
    let reference = "builtin:target-tracking".parse().unwrap();
    let policy = scene.host.policy(&reference).await.unwrap();
    let policy = ConfiguredPolicy { name: "web".into(), mode: Mode::Active, policy, config: "{}".into() };
    let (_, record) = scene.tick(&mut [PolicySlot::new(policy, vec![])], NOW, 2, 20.0).await;
    let mut mended = record.clone();
    mended.evaluations[0].config = r#"{"metric":"haproxy.sessions","target_per_droplet":10}"#.into();
    let mut late = mended.clone();
    late.evaluations[0].failure = Some("the call timeout of 250ms (plugins.limits.call_timeout)".into());

    assert!(record.evaluations[0].failure.is_some());
    assert_eq!(replay(&record, &scene.components()).await, []);
    assert!(matches!(replay(&mended, &scene.components()).await.as_slice(), [ReplayMismatch::NowSucceeds { .. }]));
    assert_eq!(replay(&late, &scene.components()).await, []);
}

#[tokio::test]
async fn unloaded_policy_is_not_evaluated() {
    let scene = LogHarness::new();
    let mut evaluation = decision_record::evaluation(Outcome::Hold);
    (evaluation.digest, evaluation.answered_by) = (String::new(), AnswerSource::Hold);
    evaluation.failure = Some("there is no such file".into());
    let observation = decision_record::observation(NOW, 2, vec![]);
    let record = decision_record::record(observation, vec![evaluation], GuardRules::default(), GuardFacts::default());

    assert_eq!(replay(&record, &scene.components()).await, []);
}

#[tokio::test]
async fn different_policy_is_compared_with_record() {
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
        let comparison = other.evaluate(&recorded).await;
        smaller += u32::from(comparison.alternative < comparison.recorded);
    }

    assert_eq!(differing, 0);
    assert!(smaller > 5, "{smaller}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundle_replays_on_its_own() {
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
    assert!(crate::components::load_component(bundle.store(), &written[0].evaluations[0].digest).unwrap().is_some());
    let files: Vec<_> = std::fs::read_dir(elsewhere.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["night.bundle"]);
}

#[tokio::test]
async fn whole_file_is_checked() {
    let scene = LogHarness::new();
    scene.ticks(5).await;

    let file = Arc::new(LogReader::open_read_only(&scene.path(), NOW).unwrap());
    let ids = file.select(RecordRange::All).unwrap();

    let summary = replay_all(&file, &scene.components(), &ids, |_| ()).await.unwrap();

    assert_eq!((summary.replayed, summary.differing.len()), (5, 0), "{:?}", summary.differing.first());
}

#[tokio::test]
async fn corrupt_component_is_not_used() {
    let scene = LogHarness::new();
    let record = scene.ticks(1).await.remove(0);
    let digest = &record.evaluations[0].digest;
    let history = &scene.store;
    scene.execute_sql("UPDATE components SET body = x'00', size = 1");

    assert_eq!(crate::components::load_component(history, digest).unwrap(), None);
    // The component is also built in.
    assert_eq!(replay(&record, &scene.components()).await, []);
}
