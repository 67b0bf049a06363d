//! Invalid input of any kind produces one clear message with its location and a remedy, the right exit code, and no
//! data loss.

use doproxy_digitalocean::ApiUrl;
use doproxy_emulator::{CallFault, Effect, Faults, Frequency};

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{Output, TestEnvironment, free_port, run};

/// The error output of several commands, each with its exit code.
struct Findings(String);

impl Findings {
    fn nothing() -> Self {
        Self(String::new())
    }

    fn add(&mut self, ended: &Output) {
        assert_ne!(ended.code, 0, "unexpected success: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        self.0 += &format!("{} {}", ended.code, ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_configuration_is_rejected_with_location() {
    let env = TestEnvironment::new().await;
    let valid = std::fs::read_to_string(env.path("doproxy.yml")).unwrap();
    let mut output = Findings::nothing();

    for (from, to) in [
        ("fleet: test", "fleet: [test"),
        ("fleet: test", "flet: test"),
        ("region: nyc3, ", ""),
        ("check_interval: 100ms", "maxconn: many"),
        ("127.0.0.1", "nowhere"),
        ("health_path: /health", "health_path: /health check"),
    ] {
        env.write("doproxy.yml", &valid.replace(from, to));
        output.add(&env.doproxy(&["create"]).await);
    }
    output.add(&env.doproxy(&["--config", "missing.yml", "create"]).await);

    assert_output!(env, output.0, @r#"
    2 error: doproxy.yml:1:8: fleet: invalid type: sequence, expected a string
    2 error: doproxy.yml:1:1: unknown field `flet`, expected one of `token`, `token_file`, `ssh_key_ids`, `userdata_file`, `haproxy_cfg_file`, `haproxy_cfg_path`, `haproxy_template_file`, `inventory_file`, `droplet_options`, `fleet`, `api`, `user_data`, `scaling`, `haproxy`, `inventory`, `metrics`, `decision_log`, `telemetry`, `plugins`; did you mean `fleet`?
    2 error: doproxy.yml:2:18: droplet_options: missing field `region`
    2 error: doproxy.yml:8:12: haproxy.maxconn: invalid type: string "many", expected u32
    2 error: the bind address "nowhere:PORT" is not valid: an IP address or *, a colon and a port: *:80, ADDRESS:8080
    2 error: the health path "/health check" is not valid: starts with / and consists of letters, digits and ._:-/%?=&~+,@
    2 error: failed to read missing.yml: No such file or directory (os error 2); run `doproxy init` to write a starter file, or pass its path with `--config`
    "#);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_token_file_is_rejected() {
    let env = TestEnvironment::new().await;
    env.write_with_mode("open", "dop_v1_very_secret", 0o644);
    env.write_with_mode("empty", "\n", 0o600);
    let mut output = Findings::nothing();

    for file in ["missing", ".", "open", "empty"] {
        let mut command = env.configure(&format!("token_file: {file}\n")).command(&["create"]);
        output.add(&run(command.env_remove("DIGITALOCEAN_TOKEN")).await);
    }
    output.add(&run(env.configure("").command(&["create"]).env_remove("DIGITALOCEAN_TOKEN")).await);

    assert_output!(env, output.0, @r"
    2 error: the token file DIR/missing is unreadable: No such file or directory (os error 2)
    2 error: the token file DIR/. is not a regular file
    2 error: the token file DIR/open is readable by every user of this machine; run `chmod 600 DIR/open`
    2 error: DIR/empty contains no valid API token: it is empty, or contains spaces or characters not allowed in a token
    2 error: no API token found; set DIGITALOCEAN_TOKEN, or set token_file in doproxy.yml
    ");
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_plugin_is_rejected_by_name() {
    let env = TestEnvironment::new().await;
    std::fs::write(env.path("garbage.wasm"), "not wasm at all").unwrap();
    std::fs::write(env.path("module.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    std::fs::write(env.path("empty.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    let greedy = r#"(component (import "evil:host/steal" (instance (export "keys" (func)))))"#;
    std::fs::write(env.path("greedy.wasm"), wat::parse_str(greedy).unwrap()).unwrap();
    let mut output = Findings::nothing();

    for plugin in [
        "file:garbage.wasm",
        "file:module.wasm",
        "file:empty.wasm",
        "file:greedy.wasm",
        "file:missing.wasm",
        "builtin:target-traking",
        "builtin:cloud-init",
        "target-tracking",
    ] {
        env.configure(&format!("  policies: [{{plugin: '{plugin}'}}]\n"));
        output.add(&env.doproxy(&["run", "--once"]).await);
    }

    assert_output!(env, output.0, @r#"
    2 error: plugin file:DIR/garbage.wasm: not a WebAssembly file; a plugin is a WebAssembly component
    2 error: plugin file:DIR/module.wasm: a core module, not a component; convert it with `wasm-tools component new`
    2 error: plugin file:DIR/empty.wasm: not a plugin: the component exports nothing, but neither doproxy:plugin/policy nor doproxy:plugin/user-data
    2 error: plugin file:DIR/greedy.wasm: the component imports evil:host/steal, which is not available to plugins; allowed are only doproxy:plugin/log and WASI 0.2
    2 error: plugin file:DIR/missing.wasm: failed to read the file: No such file or directory (os error 2)
    2 error: plugin builtin:target-traking: unknown built-in plugin; did you mean builtin:target-tracking?; available: adaptive, cloud-init, file, fixed, hold, nginx-hello, predictive, queueing, schedule, step, target-tracking
    2 error: plugin builtin:cloud-init: expected a scaling-policy, but this is a user-data-generator
    2 error: doproxy.yml:18:15: scaling.policies[0]: "target-tracking" is not a plugin reference; write builtin:target-tracking
    "#);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_reports_invalid_configuration() {
    let env = TestEnvironment::new().await;
    let mut output = Findings::nothing();

    for config in
        ["{metric: haproxy.sessions}", "{metric: haproxy.sessions, target_per_droplet: -1}", "{metric: 5, targt: 1}"]
    {
        env.configure(&format!("  policies: [{{plugin: 'builtin:target-tracking', config: {config}}}]\n"));
        output.add(&env.doproxy(&["run", "--once"]).await);
    }
    env.configure("user_data: {plugin: 'builtin:cloud-init', config: {template: '#!/bin/sh {{ hostnme }}'}}\n");
    output.add(&env.doproxy(&["create"]).await);

    assert_output!(env, output.0, @r#"
    2 error: plugin builtin:target-tracking: invalid configuration:
      one of target_per_droplet and target_average is required
    2 error: plugin builtin:target-tracking: invalid configuration:
      /target_per_droplet: -1 is less than or equal to the minimum of 0
    2 error: plugin builtin:target-tracking: invalid configuration:
      /metric: 5 is not of type "string"
      Additional properties are not allowed ('targt' was unexpected)
    2 error: plugin builtin:cloud-init: invalid configuration:
      /template: line 1: unknown field "hostnme"; use one of hostname, index, fleet, size, region, image, tags, params and params.KEY (write {{ "{{" }} for a literal {{)
    "#);
    assert_eq!(env.billed(), [""; 0]);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_user_data_is_never_sent() {
    let env = TestEnvironment::new().await;
    env.write("unknown", "packages: [nginx]\n");
    env.write("large", &format!("#!/bin/sh\n{}", "#".repeat(65_536)));
    let mut output = Findings::nothing();

    for file in ["unknown", "large", "missing"] {
        env.configure(&format!("userdata_file: {file}\n"));
        output.add(&env.doproxy(&["create"]).await);
    }
    env.configure("user_data: {plugin: 'builtin:cloud-init', config: {template: 'hello {{ hostname }}'}}\n");
    output.add(&env.doproxy(&["create"]).await);

    assert_output!(env, output.0, @r#"
    2 error: userdata_file DIR/unknown: user data begins with "packages", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another supported header
    2 error: userdata_file DIR/large: user data is 65546 bytes; DigitalOcean accepts at most 65536: load the rest from the droplet, with #include or curl
    2 error: failed to read userdata_file DIR/missing: No such file or directory (os error 2)
    1 error: invalid user data for www-0-RANDOM: user data begins with "hello", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another supported header (generated by builtin:cloud-init)
    "#);
    assert_eq!(env.billed(), [""; 0]);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_template_is_rejected_with_line() {
    let env = TestEnvironment::new().await;
    let mut output = Findings::nothing();

    for template in ["global\n{% for s in servers %}\n", "global\n{{ servrs }}\n", "global\n# doproxy: end\n"] {
        env.write("mine.tera", template);
        env.configure("haproxy_template_file: mine.tera\n");
        output.add(&env.doproxy(&["generate"]).await);
    }

    assert_output!(env, output.0, @r"
    2 error: DIR/mine.tera:3: Unexpected end of input
    2 error: DIR/mine.tera:2: Variable `servrs` is not defined. Available variables: backend, bind, check_interval, fast_check_interval, fleet, health_path, log, maxconn, prometheus_bind, run_as, server_port, servers, slow_start, state_file, stats_socket, timeouts
    2 error: DIR/mine.tera does not render a valid configuration of this fleet: expected exactly one `backend droplets`, found 0
    ");
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_haproxy_is_reported_without_data_loss() {
    let env = TestEnvironment::new().await;
    let valid = std::fs::read_to_string(env.path("doproxy.yml")).unwrap();
    env.write("doproxy.yml", &valid.replace("log: none", "log: none\n  binary: /nowhere/haproxy"));

    let ended = env.doproxy(&["create"]).await;
    env.write("doproxy.yml", &valid);
    env.run_ok(&["reload"]).await;

    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("error: HAProxy not found at /nowhere/haproxy; install it"), "{}", ended.stderr);
    assert_eq!((env.billed().len(), env.server_count()), (1, 1));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_failure_is_reported_with_api_message() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let mut output = Findings::nothing();

    for code in [401, 422, 429, 500] {
        let effect =
            Effect::Status { code, message: Some("what the API says".into()), retry_after_s: None, applied: false };
        let call = CallFault { method: Some("GET".into()), path: None, when: Frequency::Always, effect };
        env.set_faults(Faults { calls: vec![call], ..Faults::default() });
        output.add(&env.doproxy(&["create"]).await);
    }
    env.set_faults(Faults::default());
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let unreachable = run(env.command(&["print"]).env("DIGITALOCEAN_API_URL", nowhere)).await;
    let plain: Result<ApiUrl, _> = "http://example.com".parse();
    let not_encrypted = run(env.command(&["print"]).env("DIGITALOCEAN_API_URL", "http://example.com")).await;

    assert_output!(env, output.0, @r"
    1 error: GET /v2/droplets failed with status 401: what the API says [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    1 error: GET /v2/droplets failed with status 422: what the API says [request id UUID]; run `doproxy check` to find the invalid setting
    1 error: GET /v2/droplets failed with status 429: what the API says (after 4 attempts) [request id UUID]; wait, and check for other programs that use the same token
    1 error: GET /v2/droplets failed with status 500: what the API says (after 4 attempts) [request id UUID]; retry; see DigitalOcean's status page if the problem persists
    ");
    assert!(
        unreachable.stdout.contains("serving") || unreachable.stdout.contains("status: ?"),
        "{}",
        unreachable.stdout
    );
    assert_eq!((unreachable.code, not_encrypted.code), (1, 1));
    assert!(not_encrypted.stderr.contains(&plain.unwrap_err().to_string()), "{}", not_encrypted.stderr);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_or_locked_inventory_is_left_unchanged() {
    let env = TestEnvironment::with_options(std::time::Duration::from_secs(30), 25).await;
    let mut output = Findings::nothing();
    let mut other = env.start(&["create"]);
    doproxy_test_support::environment::wait_until("the first command to acquire the lock", async || {
        env.billed().len() == 1
    })
    .await;

    output.add(&env.doproxy(&["--wait", "100ms", "create"]).await);
    other.kill().await.unwrap();
    env.write("broken.db", &"3164445\n".repeat(1000));
    output.add(&env.doproxy(&["--inventory", "broken.db", "print"]).await);

    assert_output!(env, output.0, @r"
    1 waiting for doproxy create (process PID), which holds the fleet lock
    error: the inventory DIR/doproxy.db is locked by doproxy create (process PID); gave up after 100ms, retry once it has finished
    1 error: the inventory DIR/broken.db is damaged or not an inventory (file is not a database); nothing was changed; there is no backup. Move the file away with `mv DIR/broken.db DIR/broken.db.damaged; rm -f DIR/broken.db-wal DIR/broken.db-shm` and run `doproxy recover --adopt` to rebuild it from the API by the fleet's tag
    ");
    assert!(std::fs::read_to_string(env.path("broken.db")).unwrap().starts_with("3164445\n"));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_line_deletes_nothing() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create", "--count", "2"]).await;
    let mut output = Findings::nothing();

    for arguments in [
        &["delete", "abc", "--yes"][..],
        &["delete", "2", "--yes"],
        &["delete", "+0", "--yes"],
        &["delete", "--id", "1", "--yes"],
        &["delete", "99999999999999999999", "--yes"],
        &["delete", "0"],
        &["create", "--count", "0"],
    ] {
        output.add(&env.doproxy(arguments).await);
    }
    let none = env.doproxy(&["delete"]).await;
    let negative = env.doproxy(&["delete", "-1", "--yes"]).await;

    assert_output!(env, output.0, @r#"
    2 error: "abc" is neither a line number of `doproxy print` nor the name of a droplet of this fleet
    2 error: line 2 does not exist; `doproxy print` shows lines 0 to 1
    2 error: "+0" is neither a line number of `doproxy print` nor the name of a droplet of this fleet
    2 error: no droplet of this fleet has the ID 1; run `doproxy print` to list them
    2 error: line 99999999999999999999 does not exist; `doproxy print` shows lines 0 to 1
    2 error: cannot confirm deletion of www-0-RANDOM (id ID) without a terminal; pass --yes
    2 error: --count 0 is out of range; create 1 to 100 droplets at a time
    "#);
    assert_eq!((none.code, negative.code), (2, 2));
    assert_eq!(env.billed().len(), 2);
    env.tear_down().await;
}
