//! Error messages on API failures: one for each kind of fault, from the program itself.

use doproxy_emulator::{CallFault, CorruptBody, Effect, Faults, Frequency};

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{Output, TestEnvironment, free_port, run};

const LIST: &str = "GET /v2/droplets";
const CREATE: &str = "POST /v2/droplets";
const DELETE: &str = "DELETE /v2/droplets/{id}";

fn inject(call: &str, when: Frequency, effect: Effect) -> Faults {
    let (method, path) = call.split_once(' ').unwrap();
    let fault = CallFault { method: Some(method.to_owned()), path: Some(path.to_owned()), when, effect };
    Faults { calls: vec![fault], ..Faults::default() }
}

fn status(code: u16) -> Effect {
    Effect::Status { code, message: None, retry_after_s: None, applied: false }
}

/// Returns the last error line of a failed command. The number and duration of retries before it depend on the machine.
fn error_of(title: &str, ended: &Output) -> String {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{title}: {}", ended.stderr);
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    format!("{title}\n  {}\n", errors.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn create_fault_is_reported_with_remedy() {
    let env = TestEnvironment::new().await;
    env.configure_timeouts("50ms", "create_visibility: 300ms, boot: 2s");
    // The first list request resumes earlier operations, the second precedes the create.
    let from_the_third_on = Frequency::Later { after: 2, next: None };
    let mut output = String::new();

    for (title, faults) in [
        ("token revoked during the command", inject(LIST, from_the_third_on, status(401))),
        ("token rejected", inject(CREATE, Frequency::Always, status(401))),
        ("hourly limit", inject(CREATE, Frequency::Always, Effect::HourlyLimit { reset_after_s: 3000 })),
        (
            "hourly limit before the command",
            inject(LIST, Frequency::Always, Effect::HourlyLimit { reset_after_s: 3000 }),
        ),
        ("droplet limit", Faults { droplet_limit: Some(0), ..Faults::default() }),
        ("sold out", Faults { sold_out_sizes: vec!["s-1vcpu-1gb".to_owned()], ..Faults::default() }),
        ("502 with a page", inject(LIST, Frequency::Always, Effect::Page { code: 502, applied: false })),
        (
            "a page instead of the API",
            inject(LIST, Frequency::Always, Effect::Corrupt { kind: CorruptBody::Page, applied: false }),
        ),
        (
            "truncated response",
            inject(LIST, Frequency::Always, Effect::Corrupt { kind: CorruptBody::Truncated, applied: true }),
        ),
        ("outcome unknown permanently", inject(CREATE, Frequency::Always, Effect::Reset)),
        ("stuck in new", Faults { stuck_in_new: Frequency::Next(1), ..Faults::default() }),
    ] {
        env.set_faults(faults);
        output += &error_of(title, &env.doproxy(&["create"]).await);
        env.set_faults(Faults::default());
        // Resumes any pending operation, so that each fault meets the same fleet.
        env.run_ok(&["reload"]).await;
    }
    let nobody = format!("http://127.0.0.1:{}", free_port());
    output += &error_of("connection refused", &run(env.command(&["create"]).env("DIGITALOCEAN_API_URL", nobody)).await);

    assert_output!(env, output, @r#"
    token revoked during the command
      error: GET /v2/droplets failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    token rejected
      error: www-1-RANDOM: POST /v2/droplets failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    hourly limit
      error: www-2-RANDOM: POST /v2/droplets failed with status 429: API rate limit exceeded. [request id UUID]; wait 50 min, and check for other programs that use the same token
    hourly limit before the command
      error: GET /v2/droplets failed with status 429: API rate limit exceeded. [request id UUID]; wait 50 min, and check for other programs that use the same token
    droplet limit
      error: www-3-RANDOM: POST /v2/droplets failed with status 422: creating this/these droplet(s) will exceed your droplet limit [request id UUID]; delete droplets, or ask DigitalOcean for a higher droplet limit
    sold out
      error: www-4-RANDOM: POST /v2/droplets failed with status 422: Size is not available in this region. [request id UUID]; choose another size or region in droplet_options
    502 with a page
      error: GET /v2/droplets failed with status 502: an HTML page, "502 Bad Gateway" (after 4 attempts) [request id UUID]; retry; see DigitalOcean's status page if the problem persists
    a page instead of the API
      error: GET /v2/droplets failed with status 200: the response is an HTML page, "Please log in" and does not come from the API (after 4 attempts) [request id UUID]; retry; see DigitalOcean's status page if the problem persists
    truncated response
      error: GET /v2/droplets failed with status 200: connection closed before the response was complete: end of file before message length reached (after 4 attempts) [request id UUID]; check the network, and DIGITALOCEAN_API_URL if it is set
    outcome unknown permanently
      error: www-5-RANDOM: the outcome of the create request for www-5-RANDOM is unknown, and the droplet did not appear; check for it at DigitalOcean
    stuck in new
      error: www-6-RANDOM: www-6-RANDOM was booting for SOME s: it is new without an address (id ID)
    connection refused
      error: GET /v2/droplets failed: no connection: Connection refused (os error 111) (after 4 attempts); check the network, and DIGITALOCEAN_API_URL if it is set
    "#);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_response_is_reported_and_droplet_is_found() {
    let env = TestEnvironment::new().await;
    env.set_faults(inject(CREATE, Frequency::Next(1), Effect::DropResponse));

    let ended = env.doproxy(&["create"]).await;

    assert_output!(env, ended.stderr, @r"
    requesting from DigitalOcean: www-0-RANDOM
    create request for www-0-RANDOM has an unknown outcome (POST /v2/droplets failed: connection closed before the response was complete: connection closed before message completed); looking up the droplet by name
    www-0-RANDOM was created after all and is booting (id ID)
    www-0-RANDOM is active at ADDRESS; waiting for its health check
    HAProxy reloaded with 1 server
    www-0-RANDOM is serving
    ");
    assert_eq!((ended.code, env.billed().len()), (0, 1));
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_fault_is_reported_with_remedy() {
    let env = TestEnvironment::new().await;
    env.configure_timeouts("50ms", "delete: 300ms");
    let pending = Effect::Status {
        code: 422,
        message: Some("Droplet already has a pending event.".to_owned()),
        retry_after_s: None,
        applied: false,
    };
    let mut output = String::new();

    for (title, faults) in [
        ("token revoked during the command", inject(DELETE, Frequency::Always, status(401))),
        ("pending event", inject(DELETE, Frequency::Always, pending)),
        ("accepted but not executed", Faults { ignored_deletes: Frequency::Always, ..Faults::default() }),
    ] {
        env.run_ok(&["create"]).await;
        env.set_faults(faults);
        output += &error_of(title, &env.doproxy(&["delete", "0", "--yes"]).await);
        env.set_faults(Faults::default());
        env.run_ok(&["reload"]).await;
    }

    assert_output!(env, output, @r"
    token revoked during the command
      error: DELETE /v2/droplets/3164444 failed with status 401: Unable to authenticate you. [request id UUID]; check DIGITALOCEAN_TOKEN; it needs the scopes droplet:create, droplet:read, droplet:delete, tag:create and tag:read
    pending event
      error: www-1-RANDOM is still deleting after SOME TIME; the operation stays in the journal and the next command resumes it
    accepted but not executed
      error: www-2-RANDOM is still deleting after SOME TIME; the operation stays in the journal and the next command resumes it
    ");
    assert_eq!(env.billed(), [""; 0]);
    env.tear_down().await;
}
