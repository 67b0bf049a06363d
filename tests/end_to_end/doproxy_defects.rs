//! Regression tests for the ten defects of DOProxy, named by number.

use std::time::Duration;

use doproxy_emulator::{CallFault, Effect, Faults, Frequency};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::assert_output;
use crate::stage::{TestEnvironment, http, run, wait_until};

fn rejected(method: &str, code: u16, message: &str) -> Faults {
    let effect = Effect::Status { code, message: Some(message.to_owned()), retry_after_s: None, acted: false };
    let call = CallFault { method: Some(method.to_owned()), path: None, when: Frequency::Always, effect };
    Faults { calls: vec![call], ..Faults::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_1_externally_deleted_droplet_breaks_no_command() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create", "--count", "2"]).await;
    stage.delete_out_of_band(0);

    let printed = stage.doproxy(&["print"]).await;
    stage.run_ok(&["reload"]).await;
    stage.run_ok(&["create"]).await;

    assert_eq!(printed.code, 0);
    assert_output!(stage, printed.stdout + &printed.stderr, @r"
    0) www-0-RANDOM  (pvt ip: ADDRESS, status: not listed, id ID)
    1) www-1-RANDOM  (pvt ip: ADDRESS, status: active, id ID)
    warning: www-0-RANDOM (id ID) is missing from DigitalOcean's list of this fleet; the next create, delete or reload determines whether it still exists
    ");
    assert_eq!((stage.fleet().await.len(), stage.server_count()), (2, 2));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_2_blank_line_in_old_inventory_is_ignored() {
    let stage = TestEnvironment::with_options(Duration::from_millis(1), 25).await;
    let ids = stage.create_external_droplets(2);
    stage.write("inventory", &format!("{}\n\n{}\n\n", ids[0], ids[1]));

    stage.run_ok(&["import", "inventory"]).await;
    stage.run_ok(&["reload"]).await;

    assert_eq!((stage.fleet().await.len(), stage.server_count()), (2, 2));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_3_droplet_names_are_unique() {
    let stage = TestEnvironment::new().await;

    stage.run_ok(&["create", "--count", "3"]).await;
    stage.run_ok(&["delete", "0", "--yes"]).await;
    stage.run_ok(&["create"]).await;

    let mut names = stage.billed();
    let numbers: Vec<&str> = names.iter().map(|name| name.split('-').nth(1).unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    names.dedup();
    assert_eq!(names.len(), 3);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_4_ctrl_c_while_waiting_loses_no_droplet() {
    let stage = TestEnvironment::with_options(Duration::from_secs(2), 25).await;
    let mut create = stage.start(&["create", "--count", "2"]);
    wait_until("the create requests", async || stage.billed().len() == 2).await;

    kill(Pid::from_raw(create.id().unwrap().cast_signed()), Signal::SIGINT).unwrap();
    let stopped = create.wait().await.unwrap();
    let known = stage.fleet().await.len();
    stage.run_ok(&["create"]).await;

    assert_eq!((stopped.code(), known), (Some(1), 2));
    assert_eq!(stage.billed().len(), 3);
    assert!(stage.fleet().await.iter().all(|droplet| droplet["phase"] == "serving"));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_5_droplet_without_address_never_reaches_haproxy() {
    let stage = TestEnvironment::new().await;
    stage.configure_timeouts("poll: 50ms, boot: 500ms");
    stage.set_faults(Faults { active_without_address: Frequency::Always, ..Faults::default() });
    let before = stage.installed_config();

    let ended = stage.doproxy(&["create"]).await;

    assert_eq!(ended.code, 1);
    assert_eq!(stage.installed_config(), before);
    assert_eq!(stage.billed(), [""; 0]);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_invalid_haproxy_configuration_is_never_installed() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    let before = stage.installed_config();
    let template =
        doproxy_haproxy::BUILT_IN_TEMPLATE.replace("    mode http\n", "    mode http\n    reqadd X-A:\\ b\n");
    stage.write("mine.tera", &template);
    stage.configure("haproxy_template_file: mine.tera\n");

    let ended = stage.doproxy(&["reload"]).await;

    assert_output!(stage, ended.stderr, @r"
    error: HAProxy rejects the configuration rendered from DIR/mine.tera: line 19 is `reqadd X-A:\ b`
    [ALERT] config : parsing [DIR/haproxy/haproxy.cfg:19] : The 'reqadd' directive is not supported anymore since HAProxy 2.1. Use 'http-request add-header' instead.
    [ALERT] config : Error(s) found in configuration file : DIR/haproxy/haproxy.cfg
    nothing was changed: DIR/haproxy/haproxy.cfg and the running HAProxy are as before
    ");
    assert_eq!((ended.code, ended.stdout.as_str()), (2, ""));
    assert_eq!(stage.installed_config(), before);
    assert_eq!(stage.responding_droplets(2).await.len(), 2);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_7_delete_drains_and_is_resumed() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create", "--count", "2"]).await;
    stage.set_faults(rejected("DELETE", 401, "Unable to authenticate you"));

    let refused = stage.doproxy(&["delete", "0", "--yes"]).await;
    let known = stage.fleet().await[0]["phase"].clone();
    stage.set_faults(Faults::default());
    stage.run_ok(&["reload"]).await;

    assert_eq!((refused.code, known), (1, "deleting".into()));
    assert_eq!((stage.billed().len(), stage.fleet().await.len()), (1, 1));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_7_in_flight_request_survives_delete() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    let url = format!("{}?delay_ms=1500", stage.site());
    let request = tokio::spawn(async move { http().get(url).send().await.unwrap().status() });
    stage.wait_for_sessions(1).await;

    stage.run_ok(&["delete", "0", "--yes"]).await;

    assert_eq!(request.await.unwrap(), 200);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_8_concurrent_commands_lose_nothing() {
    let stage = TestEnvironment::with_options(Duration::from_millis(500), 25).await;

    let (mut one, mut two) = (stage.command(&["create"]), stage.command(&["create"]));
    let (one, two) = tokio::join!(run(&mut one), run(&mut two));

    assert_eq!((one.code, two.code), (0, 0), "{one:?} {two:?}");
    let waited =
        [&one, &two].into_iter().filter(|ended| ended.stderr.contains("waiting for doproxy create (process")).count();
    assert_eq!(waited, 1);
    assert_eq!((stage.billed().len(), stage.fleet().await.len(), stage.server_count()), (2, 2, 2));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_9_api_rejection_is_one_clear_message() {
    let stage = TestEnvironment::new().await;
    let refusals = [
        rejected("POST", 401, "Unable to authenticate you"),
        rejected("POST", 422, "creating this/these droplet(s) will exceed your droplet limit"),
        rejected("POST", 422, "Size is not available in this region."),
        rejected("POST", 422, "999 are invalid key identifiers for Droplet creation."),
    ];

    let mut said = Vec::new();
    for faults in refusals {
        stage.set_faults(faults);
        let ended = stage.doproxy(&["create"]).await;
        assert_eq!(ended.code, 1);
        said.extend(ended.stderr.lines().filter(|line| line.starts_with("error:")).map(ToOwned::to_owned));
    }

    assert_output!(stage, said.join("\n"), @r"
    error: www-0-RANDOM: POST /v2/droplets failed with status 401: Unable to authenticate you [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    error: www-1-RANDOM: POST /v2/droplets failed with status 422: creating this/these droplet(s) will exceed your droplet limit [request id UUID]; delete droplets, or ask DigitalOcean for a higher droplet limit
    error: www-2-RANDOM: POST /v2/droplets failed with status 422: Size is not available in this region. [request id UUID]; choose another size or region in droplet_options
    error: www-3-RANDOM: POST /v2/droplets failed with status 422: 999 are invalid key identifiers for Droplet creation. [request id UUID]; run `doproxy check` to find the invalid setting
    ");
    assert_eq!(stage.fleet().await.len(), 0);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_10_world_readable_token_is_rejected_or_warned_about() {
    let stage = TestEnvironment::new().await;
    stage.write_with_mode("token", "dop_v1_very_secret\n", 0o644);

    let file = run(stage.configure("token_file: token\n").command(&["create"]).env_remove("DIGITALOCEAN_TOKEN")).await;
    let inline =
        run(stage.configure("token: dop_v1_very_secret\n").command(&["print"]).env_remove("DIGITALOCEAN_TOKEN")).await;

    assert_eq!((file.code, inline.code), (2, 0));
    assert_output!(stage, file.stderr + &inline.stderr, @r"
    error: the token file DIR/token is readable by every user of this machine; run `chmod 600 DIR/token`
    warning: doproxy.yml: token: the token is readable by EVERY user of this machine and allows deleting every droplet of the account: move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600; then create a new token and revoke this one
    ");
    stage.tear_down().await;
}
