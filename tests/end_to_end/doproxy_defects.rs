//! Regression tests for the ten defects of DOProxy, named by number.

use std::time::Duration;

use doproxy_emulator::{CallFault, Effect, Faults, Frequency};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{TestEnvironment, http, run, wait_until};

fn rejected(method: &str, code: u16, message: &str) -> Faults {
    let effect = Effect::Status { code, message: Some(message.to_owned()), retry_after_s: None, applied: false };
    let call = CallFault { method: Some(method.to_owned()), path: None, when: Frequency::Always, effect };
    Faults { calls: vec![call], ..Faults::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_1_externally_deleted_droplet_breaks_no_command() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create", "--count", "2"]).await;
    env.delete_out_of_band(0);

    let printed = env.doproxy(&["print"]).await;
    env.run_ok(&["reload"]).await;
    env.run_ok(&["create"]).await;

    assert_eq!(printed.code, 0);
    assert_output!(env, printed.stdout + &printed.stderr, @r"
    0) www-0-RANDOM  (pvt ip: ADDRESS, status: not listed, id ID)
    1) www-1-RANDOM  (pvt ip: ADDRESS, status: active, id ID)
    warning: www-0-RANDOM (id ID) is missing from DigitalOcean's list of this fleet; the next create, delete or reload determines whether it still exists
    ");
    assert_eq!((env.fleet().await.len(), env.server_count()), (2, 2));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_2_blank_line_in_old_inventory_is_ignored() {
    let env = TestEnvironment::with_options(Duration::from_millis(1), 25).await;
    let ids = env.create_external_droplets(2);
    env.write("inventory", &format!("{}\n\n{}\n\n", ids[0], ids[1]));

    env.run_ok(&["import", "inventory"]).await;
    env.run_ok(&["reload"]).await;

    assert_eq!((env.fleet().await.len(), env.server_count()), (2, 2));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_3_droplet_names_are_unique() {
    let env = TestEnvironment::new().await;

    env.run_ok(&["create", "--count", "3"]).await;
    env.run_ok(&["delete", "0", "--yes"]).await;
    env.run_ok(&["create"]).await;

    let mut names = env.billed();
    let numbers: Vec<&str> = names.iter().map(|name| name.split('-').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    names.dedup();
    assert_eq!(names.len(), 3);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_4_ctrl_c_while_waiting_loses_no_droplet() {
    let env = TestEnvironment::with_options(Duration::from_secs(2), 25).await;
    let mut create = env.start(&["create", "--count", "2"]);
    wait_until("the create requests", async || env.billed().len() == 2).await;

    kill(Pid::from_raw(create.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    let stopped = create.wait().await.unwrap();
    let known = env.fleet().await.len();
    env.run_ok(&["create"]).await;

    assert_eq!((stopped.code(), known), (Some(1), 2));
    assert_eq!(env.billed().len(), 3);
    assert!(env.fleet().await.iter().all(|droplet| droplet["phase"] == "serving"));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_5_droplet_without_address_never_reaches_haproxy() {
    let env = TestEnvironment::new().await;
    env.configure_timeouts("50ms", "boot: 500ms");
    env.set_faults(Faults { active_without_address: Frequency::Always, ..Faults::default() });
    let before = env.installed_config();

    let ended = env.doproxy(&["create"]).await;

    assert_eq!(ended.code, 1);
    assert_eq!(env.installed_config(), before);
    assert_eq!(env.billed(), [""; 0]);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_invalid_haproxy_configuration_is_never_installed() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let before = env.installed_config();
    let template =
        doproxy_haproxy::BUILT_IN_TEMPLATE.replace("    mode http\n", "    mode http\n    reqadd X-A:\\ b\n");
    env.write("mine.tera", &template);
    env.configure("haproxy_template_file: mine.tera\n");

    let ended = env.doproxy(&["reload"]).await;

    assert_output!(env, ended.stderr, @r"
    error: HAProxy rejects the configuration rendered from DIR/mine.tera: line 19 is `reqadd X-A:\ b`
    [ALERT] config : parsing [DIR/haproxy/haproxy.cfg:19] : The 'reqadd' directive is not supported anymore since HAProxy 2.1. Use 'http-request add-header' instead.
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy/haproxy.cfg
    nothing was changed: DIR/haproxy/haproxy.cfg and the running HAProxy are as before
    ");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert_eq!(env.installed_config(), before);
    assert_eq!(env.responding_droplets(2).await.len(), 2);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_7_delete_drains_and_is_resumed() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create", "--count", "2"]).await;
    env.set_faults(rejected("DELETE", 401, "Unable to authenticate you"));

    let refused = env.doproxy(&["delete", "0", "--yes"]).await;
    let known = env.fleet().await[0]["phase"].clone();
    env.set_faults(Faults::default());
    env.run_ok(&["reload"]).await;

    assert_eq!((refused.code, known), (1, "deleting".into()));
    assert_eq!((env.billed().len(), env.fleet().await.len()), (1, 1));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_7_in_flight_request_survives_delete() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let url = format!("{}?delay_ms=1500", env.site());
    let request = tokio::spawn(async move { http().get(url).send().await.unwrap().status() });
    env.wait_for_sessions(1).await;

    env.run_ok(&["delete", "0", "--yes"]).await;

    assert_eq!(request.await.unwrap(), 200);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_8_concurrent_commands_lose_nothing() {
    let env = TestEnvironment::with_options(Duration::from_millis(500), 25).await;

    let (mut one, mut two) = (env.command(&["create"]), env.command(&["create"]));
    let (one, two) = tokio::join!(run(&mut one), run(&mut two));

    assert_eq!((one.code, two.code), (0, 0), "{one:?} {two:?}");
    let waited =
        [&one, &two].into_iter().filter(|ended| ended.stderr.contains("waiting for doproxy create (process")).count();
    assert_eq!(waited, 1);
    assert_eq!((env.billed().len(), env.fleet().await.len(), env.server_count()), (2, 2, 2));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_9_api_rejection_is_one_clear_message() {
    let env = TestEnvironment::new().await;
    let refusals = [
        rejected("POST", 401, "Unable to authenticate you"),
        rejected("POST", 422, "creating this/these droplet(s) will exceed your droplet limit"),
        rejected("POST", 422, "Size is not available in this region."),
        rejected("POST", 422, "999 are invalid key identifiers for Droplet creation."),
    ];

    let mut output = Vec::new();
    for faults in refusals {
        env.set_faults(faults);
        let ended = env.doproxy(&["create"]).await;
        assert_eq!(ended.code, 1);
        output.extend(ended.stderr.lines().filter(|line| line.starts_with("error:")).map(ToOwned::to_owned));
    }

    assert_output!(env, output.join("\n"), @r"
    error: www-0-RANDOM: POST /v2/droplets failed with status 401: Unable to authenticate you [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    error: www-1-RANDOM: POST /v2/droplets failed with status 422: creating this/these droplet(s) will exceed your droplet limit [request id UUID]; delete droplets, or ask DigitalOcean for a higher droplet limit
    error: www-2-RANDOM: POST /v2/droplets failed with status 422: Size is not available in this region. [request id UUID]; choose another size or region in droplet_options
    error: www-3-RANDOM: POST /v2/droplets failed with status 422: 999 are invalid key identifiers for Droplet creation. [request id UUID]; run `doproxy check` to find the invalid setting
    ");
    assert_eq!(env.fleet().await.len(), 0);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_10_world_readable_token_is_rejected_or_warned_about() {
    let env = TestEnvironment::new().await;
    env.write_with_mode("token", "dop_v1_very_secret\n", 0o644);

    let file = run(env.configure("token_file: token\n").command(&["create"]).env_remove("DIGITALOCEAN_TOKEN")).await;
    let inline =
        run(env.configure("token: dop_v1_very_secret\n").command(&["print"]).env_remove("DIGITALOCEAN_TOKEN")).await;

    assert_eq!((file.code, inline.code), (2, 0));
    assert_output!(env, file.stderr + &inline.stderr, @r"
    error: the token file DIR/token is readable by every user of this machine; run `chmod 600 DIR/token`
    warning: doproxy.yml: token: the token is readable by EVERY user of this machine and allows deleting every droplet of the account: move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600; then create a new token and revoke this one
    ");
    env.tear_down().await;
}
