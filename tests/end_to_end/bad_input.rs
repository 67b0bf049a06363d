//! Whatever is wrong, there is one clear message with the place and the remedy, the right exit code, and nothing is lost.

use doproxy::cloud::digitalocean::ApiUrl;
use doproxy::simulation::cloud::{CallFault, Effect, Faults, Frequency};

use crate::assert_output;
use crate::stage::{Output, TestEnvironment, free_port, run};

/// What one command after another said, each with its exit code.
struct Findings(String);

impl Findings {
    fn nothing() -> Self {
        Self(String::new())
    }

    fn add(&mut self, ended: &Output) {
        assert_ne!(ended.code, 0, "it worked: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        self.0 += &format!("{} {}", ended.code, ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_refused_with_its_place() {
    let stage = TestEnvironment::new().await;
    let valid = std::fs::read_to_string(stage.path("doproxy.yml")).unwrap();
    let mut said = Findings::nothing();

    for (from, to) in [
        ("fleet: test", "fleet: [test"),
        ("fleet: test", "flet: test"),
        ("region: nyc3, ", ""),
        ("check_interval: 100ms", "max_sessions: many"),
        ("127.0.0.1", "nowhere"),
        ("health_path: /health", "health_path: /health check"),
    ] {
        stage.write("doproxy.yml", &valid.replace(from, to));
        said.add(&stage.doproxy(&["create"]).await);
    }
    said.add(&stage.doproxy(&["--config", "missing.yml", "create"]).await);

    assert_output!(stage, said.0, @r#"
    2 error: doproxy.yml:1:8: fleet: invalid type: sequence, expected a string
    2 error: doproxy.yml:1:1: unknown field `flet`, expected one of `token`, `token_file`, `ssh_key_ids`, `userdata_file`, `haproxy_cfg_file`, `haproxy_cfg_path`, `haproxy_template_file`, `inventory_file`, `droplet_options`, `fleet`, `api`, `user_data`, `scaling`, `haproxy`, `inventory`, `history`, `metrics`, `records`, `telemetry`, `plugins`; did you mean `fleet`?
    2 error: doproxy.yml:2:18: droplet_options: missing field `region`
    2 error: doproxy.yml:8:17: haproxy.max_sessions: invalid type: string "many", expected u32
    2 error: the bind address "nowhere:PORT" is not valid: an IP address or *, a colon and a port: *:80, ADDRESS:8080
    2 error: the health path "/health check" is not valid: begins with / and is made of letters, digits and ._:-/%?=&~+,@
    2 error: cannot read missing.yml: No such file or directory (os error 2); `doproxy init` writes one, `--config FILE` names another
    "#);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_that_cannot_be_used_is_refused() {
    let stage = TestEnvironment::new().await;
    stage.write_with_mode("open", "dop_v1_very_secret", 0o644);
    stage.write_with_mode("empty", "\n", 0o600);
    let mut said = Findings::nothing();

    for file in ["missing", ".", "open", "empty"] {
        let mut command = stage.configure(&format!("token_file: {file}\n")).command(&["create"]);
        said.add(&run(command.env_remove("DIGITALOCEAN_TOKEN")).await);
    }
    said.add(&run(stage.configure("").command(&["create"]).env_remove("DIGITALOCEAN_TOKEN")).await);

    assert_output!(stage, said.0, @r"
    2 error: the token file DIR/missing cannot be read: No such file or directory (os error 2)
    2 error: the token file DIR/. is no regular file
    2 error: the token file DIR/open can be read by everybody on this machine: `chmod 600 DIR/open`
    2 error: DIR/empty holds no API token: it is empty, or has spaces or characters that no token has
    2 error: no API token: set DIGITALOCEAN_TOKEN, or name a token_file in doproxy.yml
    ");
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused_by_name() {
    let stage = TestEnvironment::new().await;
    std::fs::write(stage.path("garbage.wasm"), "not wasm at all").unwrap();
    std::fs::write(stage.path("module.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    std::fs::write(stage.path("empty.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    let greedy = r#"(component (import "evil:host/steal" (instance (export "keys" (func)))))"#;
    std::fs::write(stage.path("greedy.wasm"), wat::parse_str(greedy).unwrap()).unwrap();
    let mut said = Findings::nothing();

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
        stage.configure(&format!("  policies: [{{plugin: '{plugin}'}}]\n"));
        said.add(&stage.doproxy(&["run", "--once"]).await);
    }

    assert_output!(stage, said.0, @r#"
    2 error: plugin file:DIR/garbage.wasm: the file is not WebAssembly; a plugin is a WebAssembly component
    2 error: plugin file:DIR/module.wasm: the file is a core module, not a component; `wasm-tools component new` makes one
    2 error: plugin file:DIR/empty.wasm: the component is no plugin: it exports nothing, and neither doproxy:plugin/policy nor doproxy:plugin/user-data
    2 error: plugin file:DIR/greedy.wasm: the component imports evil:host/steal, which a plugin does not get; it may import doproxy:plugin/log and WASI 0.2, nothing else
    2 error: plugin file:DIR/missing.wasm: the file cannot be read: No such file or directory (os error 2)
    2 error: plugin builtin:target-traking: no such plugin comes with doproxy; did you mean builtin:target-tracking?; there are: adaptive, cloud-init, file, fixed, hold, nginx-hello, predictive, queueing, schedule, step, target-tracking
    2 error: plugin builtin:cloud-init: this is a user-data-generator, and a scaling-policy is wanted here
    2 error: doproxy.yml:17:15: scaling.policies[0]: "target-tracking" is no plugin reference; write builtin:target-tracking
    "#);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_says_what_is_wrong_with_its_configuration() {
    let stage = TestEnvironment::new().await;
    let mut said = Findings::nothing();

    for config in
        ["{metric: haproxy.sessions}", "{metric: haproxy.sessions, target_per_droplet: -1}", "{metric: 5, targt: 1}"]
    {
        stage.configure(&format!("  policies: [{{plugin: 'builtin:target-tracking', config: {config}}}]\n"));
        said.add(&stage.doproxy(&["run", "--once"]).await);
    }
    stage.configure("user_data: {plugin: 'builtin:cloud-init', config: {template: '#!/bin/sh {{ hostnme }}'}}\n");
    said.add(&stage.doproxy(&["create"]).await);

    assert_output!(stage, said.0, @r#"
    2 error: plugin builtin:target-tracking: the configuration is not valid:
      one of target_per_droplet and target_average is needed
    2 error: plugin builtin:target-tracking: the configuration is not valid:
      /target_per_droplet: -1 is less than or equal to the minimum of 0
    2 error: plugin builtin:target-tracking: the configuration is not valid:
      /metric: 5 is not of type "string"
      Additional properties are not allowed ('targt' was unexpected)
    2 error: plugin builtin:cloud-init: the configuration is not valid:
      /template: line 1: there is no field "hostnme"; hostname, index, fleet, size, region, image, tags, params and params.KEY are (write {{ "{{" }} for {{ itself)
    "#);
    assert_eq!(stage.billed(), [""; 0]);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_would_be_ignored_or_refused_is_never_sent() {
    let stage = TestEnvironment::new().await;
    stage.write("unknown", "packages: [nginx]\n");
    stage.write("large", &format!("#!/bin/sh\n{}", "#".repeat(65_536)));
    let mut said = Findings::nothing();

    for file in ["unknown", "large", "missing"] {
        stage.configure(&format!("userdata_file: {file}\n"));
        said.add(&stage.doproxy(&["create"]).await);
    }
    stage.configure("user_data: {plugin: 'builtin:cloud-init', config: {template: 'hello {{ hostname }}'}}\n");
    said.add(&stage.doproxy(&["create"]).await);

    assert_output!(stage, said.0, @r#"
    2 error: userdata_file DIR/unknown: user data begins with "packages", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another line that it knows
    2 error: userdata_file DIR/large: user data is 65546 bytes; DigitalOcean takes at most 65536: load the rest from the droplet, with #include or curl
    2 error: cannot read userdata_file DIR/missing: No such file or directory (os error 2)
    1 error: the user data of www-0-RANDOM cannot be sent: user data begins with "hello", which cloud-init ignores; begin with #!/bin/sh, #cloud-config or another line that it knows (written by builtin:cloud-init)
    "#);
    assert_eq!(stage.billed(), [""; 0]);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_does_not_render_is_refused_with_its_line() {
    let stage = TestEnvironment::new().await;
    let mut said = Findings::nothing();

    for template in ["global\n{% for s in servers %}\n", "global\n{{ servrs }}\n", "global\n# doproxy: end\n"] {
        stage.write("mine.tera", template);
        stage.configure("haproxy_template_file: mine.tera\n");
        said.add(&stage.doproxy(&["generate"]).await);
    }

    assert_output!(stage, said.0, @r"
    2 error: DIR/mine.tera:3: Unexpected end of input
    2 error: DIR/mine.tera:2: Variable `servrs` is not defined. Available variables: backend, bind, check_interval, fast_check_interval, fleet, health_path, log, max_sessions, metrics, run_as, server_port, servers, slow_start, state_file, stats_socket, timeouts
    2 error: DIR/mine.tera does not give a configuration of this fleet: there must be one `backend droplets`, and there are 0
    ");
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_haproxy_nothing_is_lost_and_the_remedy_is_said() {
    let stage = TestEnvironment::new().await;
    let valid = std::fs::read_to_string(stage.path("doproxy.yml")).unwrap();
    stage.write("doproxy.yml", &valid.replace("log: none", "log: none\n  binary: /nowhere/haproxy"));

    let ended = stage.doproxy(&["create"]).await;
    stage.write("doproxy.yml", &valid);
    stage.run_ok(&["reload"]).await;

    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("error: there is no HAProxy at /nowhere/haproxy; install it"), "{}", ended.stderr);
    assert_eq!((stage.billed().len(), stage.server_count()), (1, 1));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_fails_is_said_with_its_own_words() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    let mut said = Findings::nothing();

    for code in [401, 422, 429, 500] {
        let effect =
            Effect::Status { code, message: Some("what the API says".into()), retry_after_s: None, acted: false };
        let call = CallFault { method: Some("GET".into()), path: None, when: Frequency::Always, effect };
        stage.set_faults(Faults { calls: vec![call], ..Faults::default() });
        said.add(&stage.doproxy(&["create"]).await);
    }
    stage.set_faults(Faults::default());
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let unreachable = run(stage.command(&["print"]).env("DIGITALOCEAN_API_URL", nowhere)).await;
    let plain: Result<ApiUrl, _> = "http://example.com".parse();
    let not_encrypted = run(stage.command(&["print"]).env("DIGITALOCEAN_API_URL", "http://example.com")).await;

    assert_output!(stage, said.0, @r"
    1 error: GET /v2/droplets failed with status 401: what the API says [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    1 error: GET /v2/droplets failed with status 422: what the API says [request id UUID]; run `doproxy check` to find what the API refuses
    1 error: GET /v2/droplets failed with status 429: what the API says (after 4 attempts) [request id UUID]; wait, and look for other programs that use the same token
    1 error: GET /v2/droplets failed with status 500: what the API says (after 4 attempts) [request id UUID]; try again; see DigitalOcean's status page if it goes on
    ");
    assert!(
        unreachable.stdout.contains("serving") || unreachable.stdout.contains("status: ?"),
        "{}",
        unreachable.stdout
    );
    assert_eq!((unreachable.code, not_encrypted.code), (1, 1));
    assert!(not_encrypted.stderr.contains(&plain.unwrap_err().to_string()), "{}", not_encrypted.stderr);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_that_is_damaged_or_in_use_is_left_alone() {
    let stage = TestEnvironment::with_options(std::time::Duration::from_secs(30), 25).await;
    let mut said = Findings::nothing();
    let mut other = stage.start(&["create"]);
    crate::stage::wait_until("the other holds the lock", async || stage.billed().len() == 1).await;

    said.add(&stage.doproxy(&["--wait", "100ms", "create"]).await);
    other.kill().await.unwrap();
    stage.write("broken.db", &"3164445\n".repeat(1000));
    said.add(&stage.doproxy(&["--inventory", "broken.db", "print"]).await);

    assert_output!(stage, said.0, @r"
    1 waiting for doproxy create (process PID), which is changing the inventory
    error: the inventory DIR/doproxy.db is being changed by doproxy create (process PID); waited 100ms, try again when it is done
    1 error: the inventory DIR/broken.db is damaged or not an inventory (file is not a database), and nothing was done; there is no backup. Move the file away with `mv DIR/broken.db DIR/broken.db.damaged; rm -f DIR/broken.db-wal DIR/broken.db-shm` and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag
    ");
    assert!(std::fs::read_to_string(stage.path("broken.db")).unwrap().starts_with("3164445\n"));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_none_deletes_nothing() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create", "--count", "2"]).await;
    let mut said = Findings::nothing();

    for arguments in [
        &["delete", "abc", "--yes"][..],
        &["delete", "2", "--yes"],
        &["delete", "+0", "--yes"],
        &["delete", "--id", "1", "--yes"],
        &["delete", "99999999999999999999", "--yes"],
        &["delete", "0"],
        &["create", "--count", "0"],
    ] {
        said.add(&stage.doproxy(arguments).await);
    }
    let none = stage.doproxy(&["delete"]).await;
    let negative = stage.doproxy(&["delete", "-1", "--yes"]).await;

    assert_output!(stage, said.0, @r#"
    2 error: "abc" is neither a line of `doproxy print` nor the name of a droplet of this fleet
    2 error: there is no line 2: `doproxy print` shows lines 0 to 1
    2 error: "+0" is neither a line of `doproxy print` nor the name of a droplet of this fleet
    2 error: no droplet of this fleet has the id 1; `doproxy print` shows them
    2 error: there is no line 99999999999999999999: `doproxy print` shows lines 0 to 1
    2 error: delete www-0-RANDOM (id ID)? There is no terminal to ask on: say --yes
    2 error: --count 0: between 1 and 100 droplets can be created at a time
    "#);
    assert_eq!((none.code, negative.code), (2, 2));
    assert_eq!(stage.billed().len(), 2);
    stage.tear_down().await;
}
