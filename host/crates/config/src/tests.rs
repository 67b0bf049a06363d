//! Tests of valid and invalid `doproxy.yml` files and of the error messages.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use doproxy_haproxy::UpdateMode;

use crate::config::*;
use crate::error::ConfigError;
use crate::token::Environment;

/// The keys listed in DOProxy's own documentation.
const DOPROXY: &str = "\
token: 878a490235d53e34b44369b8e78
ssh_key_ids:
  - 163420
userdata_file: user-data.yml
haproxy_cfg_file: haproxy.cfg
haproxy_cfg_path: /etc/haproxy
haproxy_template_file: haproxy.cfg.erb
inventory_file: inventory
droplet_options:
  hostname_prefix: auto-nginx
  region: nyc3
  size: 1gb
  image: ubuntu-14-04-x64
";

const LEAST: &str = "droplet_options: {hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("doproxy.yml"), Path::new("/srv/doproxy.yml"))
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("the configuration must be invalid").to_string()
}

#[test]
fn unmodified_doproxy_file_works_with_advice() {
    let config = parse(DOPROXY).unwrap();

    assert_eq!(config.fleet.as_str(), "auto-nginx");
    assert_eq!(config.ssh_keys, ["163420"]);
    assert_eq!(config.user_data, UserDataConfig::File(PathBuf::from("/srv/user-data.yml")));
    assert_eq!(config.haproxy.config_file, PathBuf::from("/etc/haproxy/haproxy.cfg"));
    assert_eq!(config.haproxy.template, None);
    assert_eq!(config.generated_file, PathBuf::from("/srv/haproxy.cfg"));
    assert_eq!(config.inventory, PathBuf::from("/srv/doproxy.db"));
    let advice: Vec<String> = config.advice.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(advice.join("\n"), @r"
    token: move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600
    haproxy_template_file: haproxy.cfg.erb is an ERB template, which only DOProxy can render (HAProxy rejects its directives since 2.1); using the built-in template instead. Remove the key, or set a Tera template written by `doproxy init`
    ");
}

#[test]
fn four_keys_are_sufficient() {
    let config = parse(LEAST).unwrap();

    assert_eq!((config.limits.min, config.limits.max), (1, 10));
    assert_eq!(config.user_data, UserDataConfig::None);
    assert!(config.policies.is_empty() && config.advice.is_empty());
}

#[test]
fn starter_file_is_valid() {
    let config = parse(include_str!("../../../../templates/init/doproxy.yml")).unwrap();

    assert_eq!(config.policies.len(), 1);
    assert_eq!(config.advice, []);
}

#[test]
fn example_files_are_valid() {
    let config = parse(include_str!("../../../../examples/nginx/doproxy.yml")).unwrap();

    assert_eq!(config.plugins_used().count(), 2);
    assert_eq!(config.advice, []);
}

#[test]
fn reload_mode_and_interval_are_configurable() {
    let [default, chosen] = ["", "haproxy: {reload: always, min_reload_interval: 30s}\n"]
        .map(|more| parse(&format!("{LEAST}{more}")).unwrap().haproxy)
        .map(|haproxy| (haproxy.update_mode, haproxy.min_reload_interval.as_secs()));

    assert_eq!(default, (UpdateMode::Dynamic, 5));
    assert_eq!(chosen, (UpdateMode::ReloadOnly, 30));
}

#[test]
fn malformed_yaml_is_rejected_with_position() {
    insta::assert_snapshot!(refusal("droplet_options: {region: nyc3\nfleet: www\n"), @"doproxy.yml:2:6: did not find expected ',' or '}' at line 2 column 6, while parsing a flow mapping");
}

#[test]
fn unknown_key_is_rejected_with_suggestion() {
    insta::assert_snapshot!(refusal(&format!("{LEAST}haproxy:\n  bnd: ['*:80']\n")), @"doproxy.yml:3:3: haproxy: unknown field `bnd`, expected one of `bind`, `port`, `health_path`, `maxconn`, `check_interval`, `prometheus_bind`, `log`, `droplet_address`, `stats_socket`, `master_socket`, `reload_command`, `reload`, `min_reload_interval`, `binary`, `run_as`; did you mean `bind`?");
    insta::assert_snapshot!(refusal(&format!("{LEAST}droplet_optoins: 1\n")), @"doproxy.yml:2:1: unknown field `droplet_optoins`, expected one of `token`, `token_file`, `ssh_key_ids`, `userdata_file`, `haproxy_cfg_file`, `haproxy_cfg_path`, `haproxy_template_file`, `inventory_file`, `droplet_options`, `fleet`, `api`, `user_data`, `scaling`, `haproxy`, `inventory`, `metrics`, `decision_log`, `telemetry`, `plugins`; did you mean `droplet_options`?");
}

#[test]
fn metrics_database_is_named_after_inventory_by_default() {
    let config = parse(&format!("{LEAST}metrics: {{database: old/metrics.db}}\n")).unwrap();

    assert_eq!(config.metrics_database_path(&config.inventory), PathBuf::from("/srv/old/metrics.db"));
    let inventory = Path::new("/var/lib/www.db");
    assert_eq!(parse(LEAST).unwrap().metrics_database_path(inventory), PathBuf::from("/var/lib/www.history.db"));
}

#[test]
fn record_retention_is_capped_by_sample_retention() {
    let days = |more: &str| parse(&format!("{LEAST}{more}")).unwrap().decision_log_retention.as_secs() / 86_400;

    assert_eq!(days(""), 14);
    assert_eq!(days("decision_log: {retention: 2d}\n"), 2);
    assert_eq!(days("decision_log: {retention: 60d}\n"), 14);
    assert_eq!(days("metrics: {retention: 90d}\ndecision_log: {retention: 60d}\n"), 60);
}

#[test]
fn agent_source_without_agent_yields_advice() {
    let config = parse(&format!("{LEAST}metrics: {{sources: [{{digitalocean: {{}}}}]}}\n")).unwrap();

    insta::assert_snapshot!(config.advice[0], @"metrics: a digitalocean source reads the metrics of DigitalOcean's agent, which is only installed with `droplet_options.monitoring: true`");
}

#[test]
fn wrong_type_is_rejected_with_position() {
    insta::assert_snapshot!(refusal(&format!("{LEAST}scaling:\n  max: many\n")), @r#"doproxy.yml:3:8: scaling.max: invalid type: string "many", expected u32"#);
}

#[test]
fn missing_key_is_named() {
    insta::assert_snapshot!(refusal("droplet_options: {hostname_prefix: www, region: nyc3, image: debian-12-x64}\n"), @"doproxy.yml:1:18: droplet_options: missing field `size`");
}

#[test]
fn invalid_values_are_rejected_with_position() {
    let refused = [
        "scaling: {min: 5, max: 2}",
        "scaling: {timeouts: {boot: soon}}",
        "api: {url: 'http://example.com'}",
        "fleet: 'a b'",
        "scaling: {policies: [{plugin: 'builtin:a'}, {plugin: 'builtin:a', mode: shadow}]}",
        "scaling: {interval: 100ms}",
        "scaling: {max_monthly_cost: -5}",
        "scaling: {min: 2, fallback: {size: 1}}",
        "scaling: {termination_policy: youngest}",
        "scaling: {policies: [{plugin: 'builtin:a', mode: shadwo}]}",
    ]
    .map(|line| refusal(&format!("{LEAST}{line}\n")));

    insta::assert_snapshot!(refused.join("\n"), @r#"
    doproxy.yml:2:1: scaling.min (5) exceeds scaling.max (2)
    doproxy.yml:2:22: scaling.timeouts: "soon" is not a duration; use `90s`, `10m`, `1m 30s` or a number of seconds
    doproxy.yml:2:7: api: the API URL is plain http to another machine, which would show the token to the network; use https, or a loopback address
    doproxy.yml:2:1: the fleet name "a b" is not valid: letters, digits, '_' and '-', at most 64
    doproxy.yml:2:1: scaling.policies has two policies "builtin:a"; set a unique `name` for each
    doproxy.yml:2:1: scaling.interval must be at least 1s, because rates need two samples some time apart
    doproxy.yml:2:1: scaling.max_monthly_cost must be greater than 0, in dollars; omit it for no cap
    doproxy.yml:2:1: scaling.fallback.size (1) must be between scaling.min and scaling.max
    doproxy.yml:2:31: scaling.termination_policy: unknown variant `youngest`, expected one of `billed_first`, `least_sessions`, `newest`, `oldest`
    doproxy.yml:2:50: scaling.policies[0].mode: unknown variant `shadwo`, expected `active` or `shadow`; did you mean `shadow`?
    "#);
}

#[test]
fn invalid_hostname_prefix_is_rejected() {
    let refused = refusal("droplet_options: {hostname_prefix: 'a;b', region: nyc3, size: s, image: i}\n");

    assert!(refused.contains(r#""a;b" is not a valid prefix of droplet names"#), "{refused}");
}

#[test]
fn durations_accept_human_readable_formats() {
    let config = parse(&format!("{LEAST}scaling: {{timeouts: {{boot: 1m 30s, drain: 250ms, delete: 45}}}}\n")).unwrap();

    assert_eq!(config.deadlines.boot.as_secs(), 90);
    assert_eq!(config.deadlines.drain.as_millis(), 250);
    assert_eq!(config.deadlines.delete.as_secs(), 45);
}

#[test]
fn plugin_configuration_keeps_key_order_as_json() {
    let policy = "scaling: {policies: [{plugin: 'builtin:target-tracking', config: {z: 1, a: [true, x]}}]}";

    let config = parse(&format!("{LEAST}{policy}\n")).unwrap();

    assert_eq!(config.policies[0].config, r#"{"z":1,"a":[true,"x"]}"#);
}

mod token {
    use super::*;

    fn with_token_file(mode: u32, text: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let config = parse(&format!("{LEAST}token_file: {}\ntoken: inline\n", path.display())).unwrap();
        (dir, config)
    }

    #[test]
    fn token_sources_follow_precedence() {
        let (_dir, both) = with_token_file(0o600, "from-file\n");
        let inline = parse(&format!("{LEAST}token: inline\n")).unwrap();

        let found = |config: &Config, environment| config.token(&environment).unwrap().0.reveal().to_owned();

        assert_eq!(found(&both, Environment::with_token("from-environment")), "from-environment");
        assert_eq!(found(&both, Environment::default()), "from-file");
        assert_eq!(found(&inline, Environment::default()), "inline");
    }

    #[test]
    fn world_readable_inline_token_yields_strong_advice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("doproxy.yml");
        std::fs::write(&path, format!("{LEAST}token: inline\n")).unwrap();
        let advice = |mode: u32| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Config::load(&path).unwrap().advice[0].to_string()
        };

        insta::assert_snapshot!([advice(0o640), advice(0o644)].join("\n"), @r"
        token: move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600
        token: the token is readable by EVERY user of this machine and allows deleting every droplet of the account: move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600; then create a new token and revoke this one
        ");
    }

    #[test]
    fn world_readable_token_file_is_rejected() {
        let (dir, config) = with_token_file(0o644, "secret");

        let error = config.token(&Environment::default()).unwrap_err().to_string();

        let error = error.replace(dir.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(error, @"the token file DIR/token is readable by every user of this machine; run `chmod 600 DIR/token`");
    }

    #[test]
    fn missing_token_file_is_named() {
        let config = parse(&format!("{LEAST}token_file: nowhere\n")).unwrap();

        insta::assert_snapshot!(config.token(&Environment::default()).unwrap_err(), @"the token file /srv/nowhere is unreadable: No such file or directory (os error 2)");
    }

    #[test]
    fn missing_token_error_names_remedies() {
        let config = parse(LEAST).unwrap();

        insta::assert_snapshot!(config.token(&Environment::default()).unwrap_err(), @"no API token found; set DIGITALOCEAN_TOKEN, or set token_file in doproxy.yml");
    }

    #[test]
    fn debug_output_redacts_token() {
        let config = parse(&format!("{LEAST}token: very-secret\n")).unwrap();
        let environment = Environment::with_token("very-secret");

        assert!(!format!("{config:?} {environment:?}").contains("very-secret"));
    }
}
