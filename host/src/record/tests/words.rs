//! What people read of a record.

use super::super::StoredRecord;
use super::super::explain::{explain, format_number};
use super::*;
use crate::model::OperationId;

#[tokio::test]
async fn a_scale_out_is_explained_with_its_numbers_and_what_would_have_been_different() {
    let scene = LogHarness::new();
    let mut seats = [scene.slot(Mode::Active, 10).await];
    for tick in 0..3 {
        scene.tick(&mut seats, NOW.plus(INTERVAL * tick), 2, 20.0).await;
    }
    let (id, _) = scene.tick(&mut seats, NOW.plus(INTERVAL * 3), 2, 43.0).await;
    let mut recorded = scene.reader().get(id).unwrap();
    recorded.record.observation.metrics.truncate(2);
    recorded.record.outcome.operations = vec![OperationId(8), OperationId(9), OperationId(10)];

    let explanation = explain(&recorded, &scene.components()).await;

    insta::assert_snapshot!(explanation, @r#"
    Record 4 of 2027-01-15T08:00:45Z, made since it was time.
      The fleet had 2 droplets: 2 serving; its bounds were 1 to 6.
      haproxy.sessions was 43 sessions (4 samples of the last 45 s).
      haproxy.requests_per_second was 58.9 requests/s (4 samples of the last 45 s).

    What the policies answered:
      target-10 wanted to scale to 5: haproxy.sessions is 43 over 2 droplets, 21.5 each for a target of 10: 5 are needed.
      - haproxy.sessions per droplet was 21.5 against a target of 10, which alone wants 5 droplets.
      - It is builtin:target-tracking and was told {"metric":"haproxy.sessions","target_per_droplet":10}.

    What was taken:
      The answer of target-10, the only active policy: 2 → 5.

    What was done:
      Create 3 droplets: haproxy.sessions is 43 over 2 droplets, 21.5 each for a target of 10: 5 are needed.
      That is 2 → 5.
      These are 3 operations of the journal, 8 to 10.

    What would have been different:
      haproxy.sessions was 43 sessions; from 50 on it would have wanted 6; from 40 down it would have wanted 4.
    "#);
}

#[tokio::test]
async fn what_the_guard_cut_is_explained_with_what_would_have_passed() {
    let scene = LogHarness::new();
    let mut seats = [scene.slot(Mode::Active, 10).await, scene.slot(Mode::Active, 40).await];
    let (id, record) = scene.tick(&mut seats, NOW, 4, 55.0).await;
    // The last create was 10,000 s ago.
    let rules = GuardRules { cooldown_out: Duration::from_hours(4), ..GuardRules::default() };
    let mut observation = record.observation.clone();
    observation.limits.min = 5;
    let record = decision_record::record(observation, record.evaluations.clone(), rules, GuardFacts::default());
    let recorded = StoredRecord { id, doproxy_version: String::new(), record };

    let explanation = explain(&recorded, &scene.components()).await.to_string();

    let from = explanation.find("What was taken").unwrap();
    insta::assert_snapshot!(&explanation[from..], @r"
    What was taken:
      The answer of target-10, 4 → 6: the largest fleet counts, and target-40 wanted 4.

    What the guard cut:
      cooldown: 2 fewer created: the last create was 10000 s ago; 4400 s to go. Without this rule the fleet would have gone to 6.
      min: 1 more created: at least 5 are wanted. Without this rule the fleet would have gone to 4.

    What was done:
      Create 1 droplet: the fleet is below scaling.min.
      That is 4 → 5.

    What would have been different:
      haproxy.sessions was 55 sessions; from 50 down it would have wanted 5.
    ");
}

#[test]
fn numbers_have_as_many_decimals_as_they_need() {
    let numbers = [0.0, 0.123_456, 1.5, 25.04, 1234.5, -0.5, f64::NAN];

    assert_eq!(numbers.map(format_number), ["0", "0.1235", "1.5", "25", "1234", "-0.5", "NaN"]);
}
