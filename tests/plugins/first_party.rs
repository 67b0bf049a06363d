//! The built-in plugins through the whole host. The decisions of each are tested next to its code; these tests load and
//! configure the plugin and request a decision.

use doproxy_core::domain::{Observation, Outcome, PluginKind, Sample, ScaleTo, Timestamp, UserData, UserDataKind};
use doproxy_plugin_host::{PluginError, builtins};
use doproxy_plugin_registry::Reference;
use insta::assert_snapshot;

use super::{host, observation, request};

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
    assert!(called.usage.fuel > 0 && called.usage.memory_bytes > 0);
}

#[tokio::test]
async fn target_tracking_keeps_memory_only_in_its_state() {
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
async fn same_tick_yields_same_decision_and_fuel() {
    let policy = host().policy(&target_tracking()).await.unwrap();
    let observation = observation(100, "haproxy.sessions", 987.6);

    let first = policy.decide(SESSIONS, &observation, b"").await.unwrap();
    let again = host().policy(&target_tracking()).await.unwrap().decide(SESSIONS, &observation, b"").await.unwrap();

    assert_eq!(first.value, again.value);
    assert_eq!(first.usage.fuel, again.usage.fuel);
}

#[tokio::test]
async fn schema_violation_is_reported_with_its_path() {
    let policy = host().policy(&target_tracking()).await.unwrap();

    let error = policy.validate(r#"{"metric": 7, "target_per_droplet": -1, "tolerence": 0.2}"#).await.unwrap_err();

    assert_snapshot!(error, @r#"
    plugin builtin:target-tracking: invalid configuration:
      /metric: 7 is not of type "string"
      /target_per_droplet: -1 is less than or equal to the minimum of 0
      Additional properties are not allowed ('tolerence' was unexpected)
    "#);
}

#[tokio::test]
async fn plugin_validation_extends_the_schema() {
    let policy = host().policy(&target_tracking()).await.unwrap();

    let error = policy.validate(r#"{"metric": "haproxy.utilization", "target_per_droplet": 0.6}"#).await.unwrap_err();

    assert_snapshot!(error, @"
    plugin builtin:target-tracking: invalid configuration:
      /target_per_droplet: haproxy.utilization is an average over the droplets; set target_average instead
    ");
}

/// A built-in policy with a configuration, an observation, and the expected decision.
struct Catalog {
    plugin: &'static str,
    config: &'static str,
    observation: Observation,
    size: u32,
    reason: &'static str,
}

fn catalog() -> [Catalog; 7] {
    let requests = |size, value| observation(size, "haproxy.requests_per_second", value);
    let mut friday = requests(2, 0.0);
    // Friday, 27 November 2026, 07:00 in UTC and 08:00 in Berlin.
    friday.now = Timestamp(1_795_762_800_000);
    [
        Catalog {
            plugin: "hold",
            config: r#"{"note": "maintenance"}"#,
            observation: requests(3, 900.0),
            size: 3,
            reason: "the policy always holds: maintenance",
        },
        Catalog {
            plugin: "fixed",
            config: r#"{"count": 5}"#,
            observation: requests(3, 900.0),
            size: 5,
            reason: "the fleet is fixed at 5 droplets",
        },
        Catalog {
            plugin: "step",
            config: r#"{"metric": "haproxy.requests_per_second", "period_s": 15, "alarms": [{"comparison": "above",
                "threshold": 60, "datapoints": 1, "adjustment": "percent",
                "steps": [{"from": 0, "to": 10, "adjustment": 10}, {"from": 10, "adjustment": 30}]}]}"#,
            // Droplets after their warm-up; recently started ones would count as the result of an earlier step.
            observation: Observation { now: Timestamp(1_795_469_145_678 + 600_000), ..requests(10, 75.0) },
            size: 13,
            reason: "haproxy.requests_per_second is 75, 15 above 60, in 1 of 1 datapoints: the step of +30 % changes 10 to 13",
        },
        Catalog {
            plugin: "queueing",
            config: r#"{"service_ms": 100, "wait_ms": 50, "probability": 0.01}"#,
            observation: requests(12, 100.0),
            size: 15,
            reason: "100 requests/s of 100 ms each keep 10 slots busy: 15 droplets of 1 slot are needed so that at most 1 % \
                     wait longer than 50 ms",
        },
        Catalog {
            plugin: "predictive",
            config: r#"{"metric": "haproxy.requests_per_second", "target_per_droplet": 50}"#,
            observation: requests(2, 240.0),
            size: 5,
            reason: "haproxy.requests_per_second is 240 for a target of 50 per droplet, which needs 5 droplets; no forecast in the first \
                     season",
        },
        Catalog {
            plugin: "adaptive",
            config: r#"{"capacity_per_droplet": 50}"#,
            observation: requests(2, 240.0),
            size: 8,
            reason: "haproxy.requests_per_second is 240, which fills 4.8 droplets; forecast from the latest value: 4.8 droplets of \
                     demand within 135 s, ±1.18; at a price of 66.19 per droplet of unserved work (a droplet costs 1), the \
                     backtest leaves 58.33 % unserved with 0.42 times the droplets that the load would fill; the real fleet \
                     left 58.33 % unserved, of 0.1 % allowed, so the target is 8 to 9 droplets",
        },
        Catalog {
            plugin: "schedule",
            config: r#"{"time_zone": "Europe/Berlin", "rules": [{"name": "business hours", "min": 4,
                "days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}]}"#,
            observation: friday,
            size: 4,
            reason: "business hours is active: at least 4 droplets (Friday 08:00 Europe/Berlin)",
        },
    ]
}

#[tokio::test]
async fn every_policy_accepts_its_config_and_decides() {
    for Catalog { plugin, config, observation, size, reason } in catalog() {
        let policy = host().policy(&Reference::Builtin(plugin.to_owned())).await.unwrap();

        policy.validate(config).await.unwrap();
        let called = policy.decide(config, &observation, b"").await.unwrap();

        assert_eq!(called.value.reason, reason);
        assert_eq!(called.value.outcome.size(observation.size()), size, "{plugin}");
        assert!(policy.validate(r#"{"no such key": 1}"#).await.is_err(), "{plugin}");
    }
}

#[tokio::test]
async fn no_policy_shrinks_a_fleet_with_stale_or_missing_metrics() {
    for Catalog { plugin, config, mut observation, .. } in catalog() {
        if matches!(plugin, "fixed" | "schedule") {
            continue; // These policies use no metrics.
        }
        let policy = host().policy(&Reference::Builtin(plugin.to_owned())).await.unwrap();
        observation.metrics.iter_mut().for_each(|series| series.stale = true);
        let stale = policy.decide(config, &observation, b"").await.unwrap().value;
        observation.metrics.clear();
        let gone = policy.decide(config, &observation, b"").await.unwrap().value;

        assert_eq!((stale.outcome, gone.outcome), (Outcome::Hold, Outcome::Hold), "{plugin}");
    }
}

#[tokio::test]
async fn predictive_policy_with_a_week_stays_within_limits() {
    let config = r#"{"metric": "haproxy.requests_per_second", "target_per_droplet": 50, "season_s": 604800}"#;
    let policy = host().policy(&Reference::Builtin("predictive".to_owned())).await.unwrap();
    let mut observation = observation(3, "haproxy.requests_per_second", 120.0);
    let mut state = Vec::new();

    for tick in 0..2100_u32 {
        // Five minutes per tick, so that the first week ends with tick 2016.
        observation.now.0 += 300_000;
        observation.metrics[0].samples = vec![Sample { at: observation.now, value: f64::from(tick % 288) }];
        let called = policy.decide(config, &observation, &state).await.unwrap();
        state = called.value.state;
        assert!(called.usage.fuel < 5_000_000, "tick {tick}: {} fuel", called.usage.fuel);
    }

    assert!((16_000..64 * 1024).contains(&state.len()), "{}", state.len());
}

#[tokio::test]
async fn adaptive_policy_stays_within_limits() {
    let config = r#"{"capacity_per_droplet": 50, "seasonality_s": 604800}"#;
    let policy = host().policy(&Reference::Builtin("adaptive".to_owned())).await.unwrap();
    let mut observation = observation(3, "haproxy.requests_per_second", 120.0);
    observation.boot_time_ms = Some(16 * observation.metrics[0].interval_ms);
    let mut state = Vec::new();

    for tick in 0..100_u32 {
        observation.now.0 += observation.metrics[0].interval_ms;
        observation.metrics[0].samples = vec![Sample { at: observation.now, value: f64::from(tick * 7919 % 4001) }];
        let called = policy.decide(config, &observation, &state).await.unwrap();
        state = called.value.state;
        assert!(called.usage.fuel < 10_000_000, "tick {tick}: {} fuel", called.usage.fuel);
    }

    assert!((40_000..64 * 1024).contains(&state.len()), "{}", state.len());
}

#[tokio::test]
async fn every_config_key_is_documented() {
    for name in builtins() {
        let inspected = host().inspect(&Reference::Builtin(name.to_owned())).await.unwrap();
        assert_eq!(inspected.manifest.name, name);
        assert!(!inspected.manifest.description.is_empty(), "{name}");

        let schema: serde_json::Value = serde_json::from_str(&inspected.manifest.config_schema).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        for (key, property) in properties {
            // Resolve a shared definition.
            let property = match property["$ref"].as_str().and_then(|path| schema.pointer(path.strip_prefix('#')?)) {
                Some(target) => target,
                None => property,
            };
            assert!(property["title"].is_string() && property["description"].is_string(), "{name}: {key}");
        }
    }
}

#[tokio::test]
async fn file_is_returned_verbatim() {
    let generator = host().generator(&Reference::Builtin("file".to_owned())).await.unwrap();
    let config = r##"{"content": "#cloud-config\nruncmd: ['echo {{ hostname }}']\n"}"##;

    generator.validate(config).await.unwrap();
    let text = generator.generate(config, &request()).await.unwrap().value;

    assert_eq!(text, "#cloud-config\nruncmd: ['echo {{ hostname }}']\n");
    assert!(generator.validate("{}").await.is_err());
}

#[tokio::test]
async fn nginx_hello_script_serves_its_name() {
    let generator = host().generator(&Reference::Builtin("nginx-hello".to_owned())).await.unwrap();

    generator.validate(r#"{"port": 8080}"#).await.unwrap();
    let text = generator.generate(r#"{"port": 8080}"#, &request()).await.unwrap().value;

    assert!(text.contains("<h1>web-7</h1>") && text.contains("listen 8080 default_server"), "{text}");
    assert_eq!(UserData::parse(text).map(|data| data.kind()), Ok(UserDataKind::Script));
}

#[tokio::test]
async fn cloud_init_compresses_oversized_data() {
    let generator = host().generator(&cloud_init()).await.unwrap();
    let config = format!(r##"{{"template": "#!/bin/sh\n{}"}}"##, "echo {{ hostname }}\\n".repeat(10_000));

    let text = generator.generate(&config, &request()).await.unwrap().value;

    assert!(text.contains("Content-Type: application/gzip"), "{text}");
    assert_eq!(UserData::parse(text).map(|data| data.kind()), Ok(UserDataKind::Multipart));
}

#[tokio::test]
async fn cloud_init_packs_several_parts() {
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
async fn unknown_template_field_is_reported_with_its_path() {
    let generator = host().generator(&cloud_init()).await.unwrap();

    let error = generator.validate(r##"{"template": "#!/bin/sh\necho {{ hostnam }}\n"}"##).await.unwrap_err();

    assert!(error.to_string().contains("/template: line 2: unknown field \"hostnam\""), "{error}");
}

#[tokio::test]
async fn plugin_describes_itself() {
    let inspected = host().inspect(&cloud_init()).await.unwrap();

    assert_eq!(inspected.kind, PluginKind::UserDataGenerator);
    assert_eq!(inspected.manifest.name, "cloud-init");
    assert_eq!(inspected.digest.len(), 64);
    // A guest without WASI has only these imports.
    assert!(inspected.imports.iter().all(|import| import.starts_with("doproxy:plugin/")), "{:?}", inspected.imports);
}

#[tokio::test]
async fn plugin_of_the_other_kind_is_rejected() {
    let error = host().policy(&cloud_init()).await.unwrap_err();

    assert_snapshot!(error, @"plugin builtin:cloud-init: expected a scaling-policy, but this is a user-data-generator");
}

#[tokio::test]
async fn unknown_builtin_suggests_a_similar_name() {
    let error = host().policy(&Reference::Builtin("target-traking".to_owned())).await.unwrap_err();

    assert_snapshot!(error, @"plugin builtin:target-traking: unknown built-in plugin; did you mean builtin:target-tracking?; available: adaptive, cloud-init, file, fixed, hold, nginx-hello, predictive, queueing, schedule, step, target-tracking");
    assert!(matches!(error, PluginError::Load { .. }));
}

#[tokio::test]
async fn every_plugin_fixture_passes() {
    use doproxy_plugin_devkit::{FixtureFile, Subject, run};
    let plugins = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/builtin");
    let host = host();
    let mut tried = 0;
    for name in doproxy_plugin_host::builtins() {
        let files = FixtureFile::read_all(&plugins.join(name).join("fixtures")).unwrap();
        let reference = Reference::Builtin(name.to_owned());
        let subject = match host.inspect(&reference).await.unwrap().kind {
            PluginKind::ScalingPolicy => Subject::Policy(host.policy(&reference).await.unwrap()),
            PluginKind::UserDataGenerator => Subject::Generator(host.generator(&reference).await.unwrap()),
        };
        for file in files {
            let ran = run(&subject, &file).await.unwrap();
            assert!(ran.passed(), "{name}, {}: {:#?}", file.name, ran.problems());
            tried += 1;
        }
    }
    assert!(tried >= 20, "{tried}");
}
