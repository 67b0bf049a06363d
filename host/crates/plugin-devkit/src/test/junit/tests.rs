use insta::assert_snapshot;

use super::*;

#[test]
fn failure_message_is_its_first_line() {
    let case = |name: &str, failure: Option<&str>| Case {
        group: "fixtures",
        name: name.to_owned(),
        duration: Duration::from_millis(12),
        failure: failure.map(ToOwned::to_owned),
        output: String::new(),
    };

    let xml = report("queue & floor", &[case("holds", None), case("grows", Some("count: expected 5, got 4\n<log>"))]);

    assert_snapshot!(xml, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="2" failures="1" errors="0" time="0.024">
          <testsuite name="queue &amp; floor" tests="2" failures="1" errors="0" time="0.024">
            <testcase classname="queue &amp; floor.fixtures" name="holds" time="0.012"></testcase>
            <testcase classname="queue &amp; floor.fixtures" name="grows" time="0.012">
              <failure message="count: expected 5, got 4">count: expected 5, got 4&#10;&lt;log&gt;</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
}
