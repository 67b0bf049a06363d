//! Runs fixtures and properties against a real policy.

use std::fs;
use std::path::Path;

use doproxy_plugin_host::{PluginHost, PluginSettings};
use insta::assert_snapshot;

use crate::test::{FixtureFile, Search, Subject, bless, run, search};

async fn target_tracking() -> Subject {
    let host = PluginHost::new(PluginSettings::default()).unwrap();
    Subject::Policy(host.policy(&"builtin:target-tracking".parse().unwrap()).await.unwrap())
}

fn fixture_file(folder: &Path, text: &str) -> FixtureFile {
    let path = folder.join("planted.yaml");
    fs::write(&path, text).unwrap();
    FixtureFile::read(&path).unwrap()
}

const SESSIONS: &str = "config: { metric: haproxy.sessions, target_per_droplet: 10 }\n";

#[tokio::test]
async fn fixture_passes_when_result_matches() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{SESSIONS}observation:\n  fleet: 3\n  metrics: {{ haproxy.sessions: 60 }}\nexpect:\n  outcome: scale-to\n  count: [5, 7]\n  reason: 6 are needed\n"
    );

    let result = run(&target_tracking().await, &fixture_file(folder.path(), &text)).await.unwrap();

    assert!(result.passed(), "{result:?}");
    assert!(result.fuel() > 0 && result.memory_bytes() > 0);
}

#[tokio::test]
async fn mismatches_are_reported_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{SESSIONS}observation: {{ fleet: 3, metrics: {{ haproxy.sessions: 60 }} }}\nexpect: {{ outcome: hold, count: 3, reason: right$ }}\n"
    );

    let result = run(&target_tracking().await, &fixture_file(folder.path(), &text)).await.unwrap();

    assert_snapshot!(result.problems().join("\n"), @r#"
    outcome: expected hold, got scale-to 6
    count: expected 3, got 6
    reason: expected /right$/, got "haproxy.sessions is 60 over 3 droplets, 20 each for a target of 10: 6 are needed"
    "#);
}

#[tokio::test]
async fn tick_receives_state_of_previous_tick() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{SESSIONS}observation: {{ fleet: 6 }}
ticks:
  - observation: {{ metrics: {{ haproxy.sessions: 60 }} }}
    expect: {{ outcome: hold }}
  - after: 1m
    observation: {{ metrics: {{ haproxy.sessions: 20 }} }}
    expect: {{ outcome: hold, reason: within the last 300 s }}
  - after: 6m
    observation: {{ metrics: {{ haproxy.sessions: 20 }} }}
    expect: {{ outcome: scale-to, count: 2 }}
"
    );

    let result = run(&target_tracking().await, &fixture_file(folder.path(), &text)).await.unwrap();

    assert_eq!(result.problems(), Vec::<String>::new());
    assert_eq!(result.ticks.len(), 3);
}

#[tokio::test]
async fn rejected_configuration_can_be_expected() {
    let folder = tempfile::tempdir().unwrap();
    let text = "config: { metric: haproxy.sessions, target_per_droplet: -1 }\nexpect: { outcome: error, error: invalid-config, reason: /target_per_droplet }\n";

    let result = run(&target_tracking().await, &fixture_file(folder.path(), text)).await.unwrap();

    assert!(result.passed(), "{result:?}");
}

#[tokio::test]
async fn blessed_fixture_passes() {
    let folder = tempfile::tempdir().unwrap();
    let subject = target_tracking().await;
    let file = fixture_file(
        folder.path(),
        &format!("# the load doubles\n{SESSIONS}observation: {{ fleet: 3, metrics: {{ haproxy.sessions: 60 }} }}\n"),
    );

    let changed = bless(&file, &run(&subject, &file).await.unwrap()).unwrap();
    let again = FixtureFile::read(&file.path).unwrap();
    let result = run(&subject, &again).await.unwrap();

    assert!(changed && result.passed(), "{result:?}");
    assert!(!bless(&again, &result).unwrap());
    assert_snapshot!(fs::read_to_string(&file.path).unwrap(), @r"
    # the load doubles
    config: { metric: haproxy.sessions, target_per_droplet: 10 }
    observation: { fleet: 3, metrics: { haproxy.sessions: 60 } }
    expect:
      outcome: scale-to
      count: 6
      reason: '^haproxy\.sessions is 60 over 3 droplets, 20 each for a target of 10: 6 are needed$'
    ");
}

#[tokio::test]
async fn series_can_be_read_from_csv() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("load.csv"), "minute,sessions\n0,20\n1,\n2,60\n").unwrap();
    let text = format!(
        "{SESSIONS}observation: {{ fleet: 3, metrics: {{ haproxy.sessions: {{ csv: load.csv, column: sessions }} }} }}\nexpect: {{ count: 6 }}\n"
    );

    let result = run(&target_tracking().await, &fixture_file(folder.path(), &text)).await.unwrap();

    assert!(result.passed(), "{result:?}");
}

#[test]
fn invalid_fixture_is_reported_with_location() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.yaml");
    let wrong = |text: &str| {
        fs::write(&path, text).unwrap();
        FixtureFile::read(&path).unwrap_err().to_string().replace(&folder.path().display().to_string(), "HERE")
    };

    assert_snapshot!(wrong("observation:\n  flet: 3\n"), @"HERE/wrong.yaml: observation: unknown field `flet`, expected one of `now`, `tick`, `fleet_name`, `fleet`, `templates`, `metrics`, `limits`, `boot_time`, `last_scale_out`, `last_scale_in`, `facts` at line 2 column 3");
    assert!(wrong("observation:\n  metrics: { a.b: many }\n").contains("a list of numbers (oldest first)"));
    assert!(
        wrong("expect: { outcome: grow }\n").contains("unknown variant `grow`, expected one of `hold`, `scale-to`")
    );
}

#[tokio::test]
async fn builtin_policy_satisfies_all_properties() {
    let configs = vec![
        serde_json::json!({ "metric": "haproxy.sessions", "target_per_droplet": 10 }),
        serde_json::json!({ "metric": "haproxy.utilization", "target_average": 0.6, "scale_in_stabilization_s": 0 }),
    ];

    let reports = search(&target_tracking().await, &Search { cases: 300, seed: 1, configs }).await.unwrap();

    for report in reports {
        assert!(report.counterexample.is_none(), "{report:#?}");
        assert!(report.cases >= 30);
    }
}
