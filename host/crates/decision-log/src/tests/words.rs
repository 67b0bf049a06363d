//! Texts about a record for people.

use doproxy_core::domain::OperationId;

use crate::explain::{explain, format_number};
use crate::reader::StoredRecord;
use crate::tests::*;

#[tokio::test]
async fn scale_out_is_explained_with_tipping_points() {
    let scene = LogHarness::new();
    let mut slots = [scene.slot(Mode::Active, 10).await];
    for tick in 0..3 {
        scene.tick(&mut slots, NOW.plus(INTERVAL * tick), 2, 20.0).await;
    }
    let (id, _) = scene.tick(&mut slots, NOW.plus(INTERVAL * 3), 2, 43.0).await;
    let mut recorded = scene.reader().get(id).unwrap();
    recorded.record.observation.metrics.truncate(2);
    recorded.record.outcome.operations = vec![OperationId(8), OperationId(9), OperationId(10)];

    let explanation = explain(&recorded, &scene.components()).await;

    insta::assert_snapshot!(explanation, @r#"
    Record 4 of 2027-01-15T08:00:45Z, triggered by the interval.
      The fleet had 2 droplets: 2 serving; its limits were 1 to 6.
      haproxy.sessions was 43 sessions (4 samples over 45 s).
      haproxy.requests_per_second was 58.9 requests/s (4 samples over 45 s).

    Policy evaluations:
      target-10 decided to scale to 5: haproxy.sessions is 43 over 2 droplets, 21.5 each for a target of 10: 5 are needed.
      - haproxy.sessions per droplet was 21.5 against a target of 10, which alone requires 5 droplets.
      - Component builtin:target-tracking with the configuration {"metric":"haproxy.sessions","target_per_droplet":10}.

    Selected evaluation:
      target-10, the only active policy: 2 → 5.

    Plan:
      Create 3 droplets: haproxy.sessions is 43 over 2 droplets, 21.5 each for a target of 10: 5 are needed.
      The fleet goes from 2 to 5.
      3 journal operations: 8 to 10.

    Tipping points:
      haproxy.sessions was 43 sessions; at 50 and above, the decision would have been 6; at 40 and below, the decision would have been 4.
    "#);
}

#[tokio::test]
async fn restriction_is_explained_with_its_impact() {
    let scene = LogHarness::new();
    let mut slots = [scene.slot(Mode::Active, 10).await, scene.slot(Mode::Active, 40).await];
    let (id, record) = scene.tick(&mut slots, NOW, 4, 55.0).await;
    // The last create was 10,000 s ago.
    let rules = GuardRules { cooldown_out: Duration::from_hours(4), ..GuardRules::default() };
    let mut observation = record.observation.clone();
    observation.limits.min = 5;
    let record = decision_record::record(observation, record.evaluations.clone(), rules, GuardFacts::default());
    let recorded = StoredRecord { id, doproxy_version: String::new(), record };

    let explanation = explain(&recorded, &scene.components()).await.to_string();

    let from = explanation.find("Selected evaluation").unwrap();
    insta::assert_snapshot!(&explanation[from..], @r"
    Selected evaluation:
      target-10, 4 → 6: the largest fleet wins; target-40 recommended 4.

    Guard restrictions:
      cooldown: 2 fewer created: the last create was 10000 s ago; 4400 s of the cooldown remain. Without this rule the fleet would have gone to 6.
      min: 1 more created: at least 5 droplets are required. Without this rule the fleet would have gone to 4.

    Plan:
      Create 1 droplet: the fleet is below scaling.min.
      The fleet goes from 4 to 5.

    Tipping points:
      haproxy.sessions was 55 sessions; at 50 and below, the decision would have been 5.
    ");
}

#[test]
fn numbers_have_as_many_decimals_as_needed() {
    let numbers = [0.0, 0.123_456, 1.5, 25.04, 1234.5, -0.5, f64::NAN];

    assert_eq!(numbers.map(format_number), ["0", "0.1235", "1.5", "25", "1234", "-0.5", "NaN"]);
}
