//! The commands of the tutorial, and later additions.

use std::collections::BTreeSet;

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{TestEnvironment, http, run};

const TRACKING: &str = "  min: 2
  max: 4
  policies:
    - plugin: builtin:target-tracking
      config: {metric: haproxy.sessions, target_per_droplet: 4, scale_in_stabilization_s: 0}
";

#[tokio::test(flavor = "multi_thread")]
async fn created_droplets_serve_and_one_is_deleted_by_line() {
    let env = TestEnvironment::new().await;

    env.run_ok(&["create", "--count", "3"]).await;
    let of_three: BTreeSet<String> = env.responding_droplets(6).await.into_iter().collect();
    let deleted = env.run_ok(&["delete", "1", "--yes"]).await;
    let of_two: BTreeSet<String> = env.responding_droplets(6).await.into_iter().collect();

    assert_eq!((of_three.len(), of_two.len()), (3, 2));
    assert!(of_two.iter().all(|name| deleted.trim() != format!("deleted {name}") && of_three.contains(name)));
    assert_eq!(env.billed().len(), 2);
    assert_output!(env, env.run_ok(&["print"]).await, @r"
    0) www-0-RANDOM  (pvt ip: ADDRESS, status: active, id ID)
    1) www-2-RANDOM  (pvt ip: ADDRESS, status: active, id ID)
    ");
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_fleet_prints_first_steps() {
    let env = TestEnvironment::new().await;

    assert_output!(env, env.run_ok(&["print"]).await, @"The fleet is empty. Run `doproxy create` to create its first droplet.");
    assert_eq!(env.run_ok(&["print", "--json"]).await.trim(), "[]");
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn component_generates_user_data() {
    let env = TestEnvironment::new().await;
    env.configure("user_data:\n  plugin: builtin:cloud-init\n  config: {template: \"#!/bin/sh\\necho {{ hostname }} {{ index }}\\n\"}\n");

    env.run_ok(&["create"]).await;

    let name = env.billed().remove(0);
    assert_eq!(env.user_data(), format!("#!/bin/sh\necho {name} 0\n"));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_droplets_take_five_list_calls() {
    let env = TestEnvironment::with_options(std::time::Duration::from_millis(1), 1000).await;
    env.seed_fleet(1000).await;
    env.with_state(|cloud, _| cloud.reset_calls());

    let printed = env.run_ok(&["print"]).await;

    let calls = env.with_state(|cloud, _| cloud.calls().clone());
    assert_eq!(printed.lines().count(), 1000);
    assert_eq!(calls.into_iter().collect::<Vec<_>>(), [("GET /v2/droplets".to_owned(), 5)]);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_scales_out_and_in_with_load() {
    let env = TestEnvironment::new().await;
    env.configure(TRACKING.trim_end());
    env.run_ok(&["create", "--count", "2"]).await;

    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let url = format!("{}?delay_ms=10000", env.site());
        clients.spawn(async move { http().get(url).send().await });
    }
    env.wait_for_sessions(12).await;
    let grown = env.run_ok(&["run", "--once", "--window", "200ms"]).await;
    clients.shutdown().await;
    env.wait_for_sessions(0).await;
    let shrunk = env.run_ok(&["run", "--once", "--window", "200ms"]).await;

    assert_output!(env, grown, @r"
    builtin:target-tracking
      decision  scale to 3: haproxy.sessions is 12 over 2 droplets, 6 each for a target of 4: 3 are needed
      signal    haproxy.sessions per droplet 6, target 4, recommends 3 droplets
      plan      2 → 3: create 1
    created www-2-RANDOM (id ID), serving at ADDRESS
    ");
    assert_output!(env, shrunk, @r"
    builtin:target-tracking
      decision  scale to 2: haproxy.sessions is 0 over 3 droplets, 0 each for a target of 4: 2 are needed
      signal    haproxy.sessions per droplet 0, target 4, recommends 2 droplets
      plan      3 → 2: delete www-2-RANDOM
    deleted www-2-RANDOM
    ");
    assert_eq!(env.billed().len(), 2);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_lists_valid_and_invalid_settings() {
    let env = TestEnvironment::new().await;
    let good = env.run_ok(&["check"]).await;
    env.configure("ssh_key_ids: [999]\nuserdata_file: nowhere\n");
    let bad = env.doproxy(&["check"]).await;

    assert_output!(env, good, @r"
    ✓ configuration  doproxy.yml, fleet test
    ✓ token          from DIGITALOCEAN_TOKEN; account active, droplet limit 25
    ✓ size           s-1vcpu-1gb at $0.00893/h
    ✓ region         nyc3
    ✓ image          debian-12-x64
    ! ssh_key_ids    none; DigitalOcean emails a root password for each droplet
    ✓ fleet          0 droplets with the tag doproxy:test
    ✓ user data      empty, 0 bytes
    ! policy         none; the fleet changes only through commands
    ✓ haproxy        accepts the built-in template; installed at DIR/haproxy/haproxy.cfg
    ✓ inventory      does not exist yet; the first create makes it
    all checks passed
    ");
    assert_output!(env, bad.stdout, @r"
    ✓ configuration  doproxy.yml, fleet test
    ✓ token          from DIGITALOCEAN_TOKEN; account active, droplet limit 25
    ✓ size           s-1vcpu-1gb at $0.00893/h
    ✓ region         nyc3
    ✓ image          debian-12-x64
    ✗ ssh_key_ids    not found in the account: 999
    ✓ fleet          0 droplets with the tag doproxy:test
    ✗ user data      failed to read userdata_file DIR/nowhere: No such file or directory (os error 2)
    ! policy         none; the fleet changes only through commands
    ✓ haproxy        accepts the built-in template; installed at DIR/haproxy/haproxy.cfg
    ✓ inventory      does not exist yet; the first create makes it
    2 checks failed
    ");
    assert_eq!(bad.code, 1);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_valid_files_and_overwrites_nothing() {
    let env = TestEnvironment::new().await;
    let first = env.run_ok(&["init", "new"]).await;
    env.write("new/user-data.sh", "#!/bin/sh\n# mine\n");

    let second = env.run_ok(&["init", "new"]).await;
    let checked = env.doproxy(&["--config", "new/doproxy.yml", "check"]).await;

    assert_output!(env, first, @r"
    wrote new/doproxy.yml
    wrote new/user-data.sh
    wrote new/haproxy.cfg.tera
    wrote new/doproxy.schema.json
    Next: edit doproxy.yml, set DIGITALOCEAN_TOKEN, and run `doproxy check`.
    ");
    assert_output!(env, second, @r"
    kept existing new/doproxy.yml
    kept existing new/user-data.sh
    kept existing new/haproxy.cfg.tera
    kept existing new/doproxy.schema.json
    Next: edit doproxy.yml, set DIGITALOCEAN_TOKEN, and run `doproxy check`.
    ");
    assert_eq!(std::fs::read_to_string(env.path("new/user-data.sh")).unwrap(), "#!/bin/sh\n# mine\n");
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn examples_pass_their_check() {
    let env = TestEnvironment::new().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/nginx/doproxy.yml");
    env.write("example.yml", &std::fs::read_to_string(example).unwrap());

    let checked = env.doproxy(&["--config", "example.yml", "check"]).await;

    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generate_writes_file_without_installing_it() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let installed = env.installed_config();

    let output = env.run_ok(&["generate"]).await;

    assert_output!(env, output, @"wrote DIR/haproxy.cfg with 1 server");
    assert_eq!(std::fs::read_to_string(env.path("haproxy.cfg")).unwrap(), installed);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_repairs_edited_configuration() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let before = env.installed_config();
    env.write("haproxy/haproxy.cfg", "# by hand\n");

    let output = env.run_ok(&["reload"]).await;

    assert_output!(env, output, @"installed DIR/haproxy/haproxy.cfg with 1 server and reloaded HAProxy");
    assert_eq!(env.installed_config(), before);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_commands_describe_plugins() {
    let env = TestEnvironment::new().await;

    assert_output!(env, env.run_ok(&["plugin", "list"]).await, @r"
    builtin:adaptive         scaling-policy       0.1.0    Scaling policy that sizes a fleet by backtesting: the cheapest size that keeps the unserved load within the limit.
    builtin:cloud-init       user-data-generator  0.1.0    User-data generator that renders templates for cloud-init.
    builtin:file             user-data-generator  0.1.0    User-data generator that gives every droplet the same text.
    builtin:fixed            scaling-policy       0.1.0    Scaling policy that keeps the fleet at a fixed count.
    builtin:hold             scaling-policy       0.1.0    Scaling policy that keeps the fleet at its current size.
    builtin:nginx-hello      user-data-generator  0.1.0    User-data generator for a demo droplet that serves a page with its own name through nginx.
    builtin:predictive       scaling-policy       0.1.0    Scaling policy that prepares droplets for a daily pattern, once its forecasts have proved accurate.
    builtin:queueing         scaling-policy       0.1.0    Scaling policy that limits the waiting time of requests, sized by the Erlang C formula.
    builtin:schedule         scaling-policy       0.1.0    Scaling policy that sets minimum and maximum sizes by the clock, in any time zone.
    builtin:step             scaling-policy       0.1.0    Scaling policy that changes the fleet in steps when an alarm fires, with the semantics of AWS step scaling.
    builtin:target-tracking  scaling-policy       0.1.0    Scaling policy that keeps metrics at their targets, by the rules of the Kubernetes HPA and other autoscalers.
    ");
    let inspected = env.run_ok(&["plugin", "inspect", "builtin:fixed"]).await;
    for line in [
        "fixed 0.1.0 (scaling-policy)",
        "Scaling policy that keeps the fleet at a fixed count.",
        "world      doproxy:plugin/scaling-policy@0.1.0",
        "reference  builtin:fixed",
        "imports    pure: only the contract",
        "      Number of droplets, within the limits scaling.min and scaling.max.",
    ] {
        assert!(inspected.lines().any(|output| output == line), "{line:?} is not in {inspected}");
    }
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_output_pipe_is_not_an_error() {
    let env = TestEnvironment::new().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);

    let ended = run(env.command(&["generate", "--stdout"]).stdout(writer)).await;

    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    env.tear_down().await;
}
