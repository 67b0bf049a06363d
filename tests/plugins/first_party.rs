//! The plugins that come with doproxy, through the whole host.

use insta::assert_snapshot;

use super::{host, observation, request};
use doproxy::model::{Outcome, PluginKind, ScaleTo, UserData, UserDataKind};
use doproxy::plugin::{PluginError, Reference};

fn target_tracking() -> Reference {
    "builtin:target-tracking".parse().unwrap()
}

fn cloud_init() -> Reference {
    "builtin:cloud-init".parse().unwrap()
}

const SESSIONS: &str = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#;

#[tokio::test]
async fn target_tracking_scales_out_when_the_load_rises() {
    let policy = host().policy(&target_tracking()).await.unwrap();

    policy.validate(SESSIONS).await.unwrap();
    let called = policy.decide(SESSIONS, &observation(3, "haproxy.sessions", 60.0), b"").await.unwrap();

    assert_eq!(called.value.outcome, Outcome::ScaleTo(ScaleTo { count: 6, template: None, delete_first: Vec::new() }));
    assert_snapshot!(called.value.reason, @"haproxy.sessions is 60 over 3 droplets, 20 each for a target of 10: 6 are needed");
    assert_eq!(called.value.signals[0].wants, Some(6));
    assert!(called.stats.fuel > 0 && called.stats.memory_bytes > 0);
}

#[tokio::test]
async fn target_tracking_remembers_only_through_its_state() {
    let policy = host().policy(&target_tracking()).await.unwrap();
    let busy = observation(6, "haproxy.sessions", 60.0);
    let mut quiet = observation(6, "haproxy.sessions", 20.0);
    quiet.now.0 += 60_000;

    let before = policy.decide(SESSIONS, &busy, b"").await.unwrap().value;
    let held = policy.decide(SESSIONS, &quiet, &before.state).await.unwrap().value;
    quiet.now.0 += 300_000;
    let shrunk = policy.decide(SESSIONS, &quiet, &held.state).await.unwrap().value;

    assert_eq!(held.outcome, Outcome::Hold);
    assert_eq!(shrunk.outcome.size(6), 2);
}

#[tokio::test]
async fn the_same_tick_gives_the_same_decision_for_the_same_fuel() {
    let policy = host().policy(&target_tracking()).await.unwrap();
    let observation = observation(100, "haproxy.sessions", 987.6);

    let first = policy.decide(SESSIONS, &observation, b"").await.unwrap();
    let again = host().policy(&target_tracking()).await.unwrap().decide(SESSIONS, &observation, b"").await.unwrap();

    assert_eq!(first.value, again.value);
    assert_eq!(first.stats.fuel, again.stats.fuel);
}

#[tokio::test]
async fn a_configuration_against_the_schema_is_told_with_its_place() {
    let policy = host().policy(&target_tracking()).await.unwrap();

    let error = policy.validate(r#"{"metric": 7, "target_per_droplet": -1, "tolerence": 0.2}"#).await.unwrap_err();

    assert_snapshot!(error, @r#"
    plugin builtin:target-tracking: the configuration is not valid:
      /metric: 7 is not of type "string"
      /target_per_droplet: -1 is less than or equal to the minimum of 0
      Additional properties are not allowed ('tolerence' was unexpected)
    "#);
}

#[tokio::test]
async fn what_a_schema_cannot_say_the_plugin_says_itself() {
    let policy = host().policy(&target_tracking()).await.unwrap();

    let error = policy.validate(r#"{"metric": "haproxy.utilisation", "target_per_droplet": 0.6}"#).await.unwrap_err();

    assert_snapshot!(error, @"
    plugin builtin:target-tracking: the configuration is not valid:
      /target_per_droplet: haproxy.utilisation is an average over the droplets: set target_average instead
    ");
}

#[tokio::test]
async fn cloud_init_packs_several_parts_into_what_cloud_init_knows() {
    let generator = host().generator(&cloud_init()).await.unwrap();
    let config = r##"{"parts": [
        {"kind": "cloud-config", "template": "#cloud-config\nhostname: {{ hostname }}\n"},
        {"kind": "script", "template": "#!/bin/sh\necho {{ params.role | shell }}\n"}
    ]}"##;

    generator.validate(config).await.unwrap();
    let text = generator.generate(config, &request()).await.unwrap().value;

    assert!(text.contains("hostname: web-7"), "{text}");
    assert!(text.contains("echo 'blue'"), "{text}");
    assert_eq!(UserData::parse(text).map(|data| data.kind()), Ok(UserDataKind::Multipart));
}

#[tokio::test]
async fn an_unknown_field_of_a_template_is_told_with_its_place() {
    let generator = host().generator(&cloud_init()).await.unwrap();

    let error = generator.validate(r##"{"template": "#!/bin/sh\necho {{ hostnam }}\n"}"##).await.unwrap_err();

    assert!(error.to_string().contains("/template: line 2: there is no field \"hostnam\""), "{error}");
}

#[tokio::test]
async fn a_plugin_says_what_it_is() {
    let inspected = host().inspect(&cloud_init()).await.unwrap();

    assert_eq!(inspected.kind, PluginKind::UserDataGenerator);
    assert_eq!(inspected.manifest.name, "cloud-init");
    assert_eq!(inspected.digest.len(), 64);
    // What a guest without WASI imports, and no more.
    assert!(inspected.imports.iter().all(|import| import.starts_with("doproxy:plugin/")), "{:?}", inspected.imports);
}

#[tokio::test]
async fn a_plugin_of_the_other_kind_is_refused() {
    let error = host().policy(&cloud_init()).await.unwrap_err();

    assert_snapshot!(error, @"plugin builtin:cloud-init: this is a user-data-generator, and a scaling-policy is wanted here");
}

#[tokio::test]
async fn an_unknown_builtin_comes_with_what_was_probably_meant() {
    let error = host().policy(&Reference::Builtin("target-traking".to_owned())).await.unwrap_err();

    assert_snapshot!(error, @"plugin builtin:target-traking: no such plugin comes with doproxy; did you mean builtin:target-tracking?; there are: cloud-init, target-tracking");
    assert!(matches!(error, PluginError::Load { .. }));
}
