//! What a person reads when the API fails: one message for each kind of fault, from the program itself.

use doproxy::simulation::cloud::{CallFault, CorruptBody, Effect, Faults, Frequency};

use crate::assert_output;
use crate::stage::{Output, TestEnvironment, free_port, run};

const LIST: &str = "GET /v2/droplets";
const CREATE: &str = "POST /v2/droplets";
const DELETE: &str = "DELETE /v2/droplets/{id}";

fn inject(call: &str, when: Frequency, effect: Effect) -> Faults {
    let (method, path) = call.split_once(' ').unwrap();
    let fault = CallFault { method: Some(method.to_owned()), path: Some(path.to_owned()), when, effect };
    Faults { calls: vec![fault], ..Faults::default() }
}

fn status(code: u16) -> Effect {
    Effect::Status { code, message: None, retry_after_s: None, acted: false }
}

/// The last word of a command that failed. How often things are tried before it, and for how long, depends on the
/// machine.
fn error_of(title: &str, ended: &Output) -> String {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{title}: {}", ended.stderr);
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    format!("{title}\n  {}\n", errors.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_create_is_told_with_what_to_do() {
    let stage = TestEnvironment::new().await;
    stage.configure_timeouts("poll: 50ms, visible: 300ms, boot: 2s");
    // The first is for what an earlier command left, the second comes before the request.
    let from_the_third_on = Frequency::Later { after: 2, next: None };
    let mut said = String::new();

    for (title, faults) in [
        ("token revoked in mid-flight", inject(LIST, from_the_third_on, status(401))),
        ("token refused", inject(CREATE, Frequency::Always, status(401))),
        ("hourly limit", inject(CREATE, Frequency::Always, Effect::HourlyLimit { reset_after_s: 3000 })),
        ("hourly limit before it began", inject(LIST, Frequency::Always, Effect::HourlyLimit { reset_after_s: 3000 })),
        ("droplet limit", Faults { droplet_limit: Some(0), ..Faults::default() }),
        ("sold out", Faults { sold_out_sizes: vec!["s-1vcpu-1gb".to_owned()], ..Faults::default() }),
        ("502 with a page", inject(LIST, Frequency::Always, Effect::Page { code: 502, acted: false })),
        (
            "a page in place of the API",
            inject(LIST, Frequency::Always, Effect::Garbled { how: CorruptBody::Page, acted: false }),
        ),
        (
            "truncated answer",
            inject(LIST, Frequency::Always, Effect::Garbled { how: CorruptBody::Truncated, acted: true }),
        ),
        ("outcome unknown for good", inject(CREATE, Frequency::Always, Effect::Reset)),
        ("stuck in new", Faults { stuck_in_new: Frequency::Next(1), ..Faults::default() }),
    ] {
        stage.set_faults(faults);
        said += &error_of(title, &stage.doproxy(&["create"]).await);
        stage.set_faults(Faults::default());
        // Whatever is left is carried on, so that each fault meets the same fleet.
        stage.run_ok(&["reload"]).await;
    }
    let nobody = format!("http://127.0.0.1:{}", free_port());
    said += &error_of("connection refused", &run(stage.command(&["create"]).env("DIGITALOCEAN_API_URL", nobody)).await);

    assert_output!(stage, said, @r#"
    token revoked in mid-flight
      error: GET /v2/droplets failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    token refused
      error: www-1-RANDOM: POST /v2/droplets failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    hourly limit
      error: www-2-RANDOM: POST /v2/droplets failed with status 429: API rate limit exceeded. [request id UUID]; wait 50 min, and look for other programs that use the same token
    hourly limit before it began
      error: GET /v2/droplets failed with status 429: API rate limit exceeded. [request id UUID]; wait 50 min, and look for other programs that use the same token
    droplet limit
      error: www-3-RANDOM: POST /v2/droplets failed with status 422: creating this/these droplet(s) will exceed your droplet limit [request id UUID]; delete droplets, or ask DigitalOcean for a higher droplet limit
    sold out
      error: www-4-RANDOM: POST /v2/droplets failed with status 422: Size is not available in this region. [request id UUID]; choose another size or region in droplet_options
    502 with a page
      error: GET /v2/droplets failed with status 502: an HTML page, "502 Bad Gateway" (after 4 attempts) [request id UUID]; try again; see DigitalOcean's status page if it goes on
    a page in place of the API
      error: GET /v2/droplets failed with status 200: the answer is an HTML page, "Please log in", and not the API's (after 4 attempts) [request id UUID]; try again; see DigitalOcean's status page if it goes on
    truncated answer
      error: GET /v2/droplets failed with status 200: the connection broke before the answer was complete: end of file before message length reached (after 4 attempts) [request id UUID]; check the network, and DIGITALOCEAN_API_URL if it is set
    outcome unknown for good
      error: www-5-RANDOM: it is not known whether www-5-RANDOM was made, and it did not show up; look for it at DigitalOcean
    stuck in new
      error: www-6-RANDOM: www-6-RANDOM was booting for SOME s: it is new without an address (id ID)
    connection refused
      error: GET /v2/droplets failed: no connection: Connection refused (os error 111) (after 4 attempts); check the network, and DIGITALOCEAN_API_URL if it is set
    "#);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_said_and_the_droplet_is_found() {
    let stage = TestEnvironment::new().await;
    stage.set_faults(inject(CREATE, Frequency::Next(1), Effect::DropResponse));

    let ended = stage.doproxy(&["create"]).await;

    assert_output!(stage, ended.stderr, @r"
    asking DigitalOcean for www-0-RANDOM
    it is not known whether the request for www-0-RANDOM was carried out (POST /v2/droplets failed: the connection broke before the answer was complete: connection closed before message completed); looking for it
    www-0-RANDOM was made after all and is booting (id ID)
    www-0-RANDOM is active at ADDRESS; waiting for its health check
    HAProxy reloaded with 1 server
    www-0-RANDOM is serving
    ");
    assert_eq!((ended.code, stage.billed().len()), (0, 1));
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_delete_is_told_with_what_to_do() {
    let stage = TestEnvironment::new().await;
    stage.configure_timeouts("poll: 50ms, delete: 300ms");
    let pending = Effect::Status {
        code: 422,
        message: Some("Droplet already has a pending event.".to_owned()),
        retry_after_s: None,
        acted: false,
    };
    let mut said = String::new();

    for (title, faults) in [
        ("token revoked in mid-flight", inject(DELETE, Frequency::Always, status(401))),
        ("pending event", inject(DELETE, Frequency::Always, pending)),
        ("accepted and not done", Faults { ignored_deletes: Frequency::Always, ..Faults::default() }),
    ] {
        stage.run_ok(&["create"]).await;
        stage.set_faults(faults);
        said += &error_of(title, &stage.doproxy(&["delete", "0", "--yes"]).await);
        stage.set_faults(Faults::default());
        stage.run_ok(&["reload"]).await;
    }

    assert_output!(stage, said, @r"
    token revoked in mid-flight
      error: DELETE /v2/droplets/3164444 failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    pending event
      error: www-1-RANDOM is still deleting after SOME TIME; the operation stays in the journal, and the next command carries it on
    accepted and not done
      error: www-2-RANDOM is still deleting after SOME TIME; the operation stays in the journal, and the next command carries it on
    ");
    assert_eq!(stage.billed(), [""; 0]);
    stage.tear_down().await;
}
