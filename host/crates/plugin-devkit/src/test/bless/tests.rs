use insta::assert_snapshot;

use super::*;
use crate::test::expectation::OutcomeKind;
use crate::test::values::CountRange;

fn scale_to_five() -> Expectation {
    Expectation { outcome: Some(OutcomeKind::ScaleTo), count: Some(CountRange::exactly(5)), ..Expectation::default() }
}

#[test]
fn with_expect_replaces_only_the_expectation() {
    let text = "# what it shows\nexpect:\n  outcome: hold # for now\n\n# the load\nobservation:\n  fleet: 3\n";

    assert_snapshot!(with_expect(text, &scale_to_five(), 0), @"
        # what it shows
        expect:
          outcome: scale-to
          count: 5

        # the load
        observation:
          fleet: 3
        ");
}

#[test]
fn with_expect_appends_missing_expectation() {
    assert_snapshot!(with_expect("observation: { fleet: 3 }\n\n", &scale_to_five(), 0), @"
        observation: { fleet: 3 }
        expect:
          outcome: scale-to
          count: 5
        ");
}

#[test]
fn with_ticks_updates_each_tick() {
    let text = "ticks:\n  - observation: { fleet: 3 }\n  - expect: { outcome: hold }\n    after: 5m\n  # last\n  - after: 1m\n";

    assert_snapshot!(with_ticks(text, &[Some(scale_to_five()), Some(scale_to_five()), None]).unwrap(), @"
        ticks:
          - observation: { fleet: 3 }
            expect:
              outcome: scale-to
              count: 5
          - expect:
              outcome: scale-to
              count: 5
            after: 5m
          # last
          - after: 1m
        ");
    assert!(with_ticks("ticks:\n  - { after: 1m }\n", &[Some(scale_to_five())]).is_none());
}
