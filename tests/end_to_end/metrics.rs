//! Series from sources other than HAProxy: the output of `check`, and a policy that uses one.

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::TestEnvironment;

const QUEUE: &str = "  min: 2
  max: 4
  policies:
    - plugin: builtin:target-tracking
      config: {metric: queue.depth, target_per_droplet: 10, scale_in_stabilization_s: 0}
metrics:
  sources:
    - {name: queue.depth, unit: jobs, command: [cat, depth]}
";

#[tokio::test(flavor = "multi_thread")]
async fn policy_follows_a_command_source() {
    let env = TestEnvironment::new().await;
    env.configure(QUEUE.trim_end());
    env.run_ok(&["create", "--count", "2"]).await;
    env.write("depth", "25\n");

    let planned = env.run_ok(&["plan", "--window", "200ms"]).await;
    assert!(!env.path("doproxy.history.db").exists());
    let grown = env.run_ok(&["run", "--once", "--window", "200ms"]).await;

    assert!(planned.contains("queue.depth is 25 over 2 droplets"), "{planned}");
    assert_output!(env, grown, @r"
    builtin:target-tracking
      decision  scale to 3: queue.depth is 25 over 2 droplets, 12.5 each for a target of 10: 3 are needed
      signal    queue.depth per droplet 12.5, target 10, recommends 3 droplets
      plan      2 → 3: create 1
    created www-2-RANDOM (id ID), serving at ADDRESS
    ");
    assert!(env.path("doproxy.history.db").is_file());
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_polls_each_source() {
    let env = TestEnvironment::new().await;
    env.write("depth", "25\n");
    env.configure(
        "metrics:
  sources:
    - {name: queue.depth, unit: jobs, command: [cat, depth]}
    - {name: mail, command: [cat, nowhere]}
    - {name: latency, unit: ms, prometheus: {url: 'http://127.0.0.1:1', query: up}}
    - {digitalocean: {metrics: [cpu]}}",
    );

    let checked = env.doproxy(&["check"]).await;

    let lines: Vec<&str> = checked.stdout.lines().filter(|line| line.contains("metric")).collect();
    assert_output!(env, lines.join("\n"), @r"
    ! metrics        a digitalocean source reads the metrics of DigitalOcean's agent, which is only installed with `droplet_options.monitoring: true`
    ✓ metric         queue.depth: 25 jobs, from the output of cat
    ✗ metric         mail: cat failed with exit status: 1: cat: nowhere: No such file or directory
    ✗ metric         latency: http://ADDRESS:1/api/v1/query_range: Connection refused (os error 111)
    ! metric         digitalocean: no data yet from DigitalOcean's monitoring API
    ");
    assert_eq!(checked.code, 1);
    env.tear_down().await;
}
