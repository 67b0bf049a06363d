//! Faults: which calls are retried, which never are, and which outcome is known.

use std::time::Duration;

use doproxy_core::domain::DropletId;
use doproxy_core::seams::{CloudProvider, ErrorClass};
use serde_json::json;
use tokio::net::TcpListener;

use crate::api_url::ApiUrl;
use crate::digitalocean::DigitalOcean;
use crate::options::Options;
use crate::tests::server::{MockServer, Reply, respond};
use crate::tests::{client, droplet, options, request};

fn error_body(message: &str) -> String {
    json!({ "id": "x", "message": message }).to_string()
}

/// Returns the possible failures of a create, with their error classes.
fn create_failures() -> [(Reply, ErrorClass); 10] {
    let large = format!("{{\"droplet\":\"{}\"}}", "x".repeat(crate::http::MAX_BODY));
    [
        (Reply::Close, ErrorClass::Transport { sent: true }),
        (Reply::Truncate, ErrorClass::Transport { sent: true }),
        (Reply::Hang, ErrorClass::Transport { sent: true }),
        (respond(500, error_body("oops")), ErrorClass::Server),
        (respond(202, "<html>"), ErrorClass::Server),
        (respond(202, json!({ "droplets": [] })), ErrorClass::Server),
        (respond(202, large), ErrorClass::Server),
        (
            respond(429, "").with_header("retry-after", "0"),
            ErrorClass::RateLimited { retry_after: Some(Duration::ZERO) },
        ),
        (respond(422, error_body("Please try again")), ErrorClass::TryAgain),
        (respond(307, "").with_header("location", "/v2/droplets"), ErrorClass::InvalidRequest),
    ]
}

#[tokio::test]
async fn create_is_sent_once_on_any_failure() {
    for (play, class) in create_failures() {
        let account = json!({ "account": { "droplet_limit": 25, "status": "active" } });
        for warm_up in [None, Some(respond(200, account.clone())), Some(Reply::RespondAndClose(account.to_string()))] {
            let used = warm_up.is_some();
            let server = MockServer::scripted(warm_up.into_iter().chain([play.clone()])).await;
            let mut options = options(&server);
            if matches!(play, Reply::Hang) {
                options.timeouts.read = Duration::from_millis(200);
            }
            let client = DigitalOcean::new(options).unwrap();
            if used {
                client.account().await.unwrap();
            }

            let error = client.create(&request(&["web-1"])).await.unwrap_err();

            assert_eq!((error.class, error.attempts), (class.clone(), 1), "{play:?}");
            assert_eq!(server.create_count(), 1, "{play:?}");
        }
    }
}

#[tokio::test]
async fn create_never_reuses_a_connection() {
    let created = respond(202, json!({ "droplet": droplet(1, "web-1") }));
    let server = MockServer::scripted([created.clone(), created]).await;
    let client = client(&server);

    client.create(&request(&["web-1"])).await.unwrap();
    client.create(&request(&["web-1"])).await.unwrap();

    assert_eq!(server.requests().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn only_refused_connection_counts_as_unsent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = MockServer::scripted([]).await;
    let client = DigitalOcean::new(Options { url: ApiUrl::parse(&nobody).unwrap(), ..options(&server) }).unwrap();

    let created = client.create(&request(&["web-1"])).await.unwrap_err();
    let got = client.get(DropletId(1)).await.unwrap_err();

    assert_eq!(created.class, ErrorClass::Transport { sent: false });
    insta::assert_snapshot!(format!("{created}\n{got}"), @r"
    POST /v2/droplets failed: no connection: Connection refused (os error 111)
    GET /v2/droplets/1 failed: no connection: Connection refused (os error 111) (after 4 attempts)
    ");
}

#[tokio::test]
async fn idempotent_call_survives_transient_faults() {
    let server = MockServer::scripted([
        respond(500, error_body("oops")),
        Reply::Close,
        respond(429, error_body("slow down")).with_header("retry-after", "0"),
        respond(200, json!({ "droplet": droplet(7, "web-7") })),
    ])
    .await;

    let found = client(&server).get(DropletId(7)).await.unwrap();

    assert_eq!(found.name, "web-7");
    assert_eq!(server.request_lines().len(), 4);
}

#[tokio::test]
async fn persistent_fault_is_reported_after_last_attempt() {
    let server =
        MockServer::responding(|_, _| respond(503, error_body("down")).with_header("x-request-id", "4f-9")).await;

    let error = client(&server).delete(DropletId(7)).await.unwrap_err();

    assert_eq!(server.request_lines().len(), 4);
    insta::assert_snapshot!(error, @"DELETE /v2/droplets/7 failed with status 503: down (after 4 attempts) [request id 4f-9]");
}

#[tokio::test]
async fn permanent_rejection_is_not_retried() {
    for (status, message, class) in [
        (400, "", ErrorClass::InvalidRequest),
        (401, "Unable to authenticate you", ErrorClass::Unauthorized),
        (404, "", ErrorClass::NotFound),
        (422, "Region is not available", ErrorClass::Unavailable),
    ] {
        let server = MockServer::responding(move |_, _| respond(status, error_body(message))).await;

        let error = client(&server).get(DropletId(7)).await.unwrap_err();

        assert_eq!((error.class, error.status), (class, Some(status)));
        assert_eq!(server.request_lines().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn too_long_delay_fails_without_waiting() {
    for (header, value) in [("retry-after", "3600"), ("ratelimit-reset", "4000000000")] {
        let limited = json!({ "id": "too_many_requests", "message": "API Rate limit exceeded." });
        let server = MockServer::scripted([respond(429, limited).with_header(header, value)]).await;

        let error = client(&server).get(DropletId(7)).await.unwrap_err();

        let ErrorClass::RateLimited { retry_after: Some(after) } = error.class else { panic!("{error:?}") };
        assert!(after >= Duration::from_hours(1), "{header} {after:?}");
        assert_eq!(server.request_lines().len(), 1);
    }
}

#[tokio::test]
async fn rejection_without_message_is_classified() {
    let server = MockServer::scripted([respond(401, ""), respond(404, "<html><title>nginx</title>")]).await;
    let client = client(&server);

    let errors = [client.account().await.unwrap_err(), client.get(DropletId(7)).await.unwrap_err()];

    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r#"
    GET /v2/account failed with status 401: Unauthorized
    GET /v2/droplets/7 failed with status 404: an HTML page, "nginx"
    "#);
}

#[tokio::test]
async fn page_with_status_200_is_not_a_success() {
    let server = MockServer::responding(|_, _| respond(200, "<html><title>Please log in</title></html>")).await;
    let client = client(&server);

    let errors = [
        client.delete(DropletId(7)).await.unwrap_err(),
        client.tag(DropletId(7), &crate::tests::tag("www")).await.unwrap_err(),
        client.account().await.unwrap_err(),
    ];

    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"), @r#"
    DELETE /v2/droplets/7 failed with status 200: the response is an HTML page, "Please log in" and does not come from the API (after 4 attempts)
    POST /v2/tags failed with status 200: the response is an HTML page, "Please log in" and does not come from the API (after 4 attempts)
    GET /v2/account failed with status 200: the response is an HTML page, "Please log in" and does not come from the API (after 4 attempts)
    "#);
}

#[tokio::test]
async fn exhausted_quota_stops_all_requests() {
    let account = json!({ "account": { "droplet_limit": 25, "status": "active" } });
    let reset = crate::http::now().plus(Duration::from_mins(40)).0 / 1000;
    let last = respond(200, account).with_header("ratelimit-limit", "5000").with_header("ratelimit-remaining", "0");
    let server = MockServer::scripted([last.with_header("ratelimit-reset", &reset.to_string())]).await;
    let client = client(&server);
    client.account().await.unwrap();

    let errors = [client.account().await.unwrap_err(), client.clone().delete(DropletId(7)).await.unwrap_err()];

    assert_eq!(server.request_lines().len(), 1);
    let messages: Vec<String> = errors.iter().map(|error| format!("{}; {}", error.message, error.hint())).collect();
    insta::with_settings!({filters => vec![(r"in \d+ s", "in SOME s")]}, {
        insta::assert_snapshot!(messages.join("\n"), @r"
        not sent: hourly API quota used up: 0 of the token's 5000 requests remain; retry in SOME s; wait 40 min, and check for other programs that use the same token
        not sent: hourly API quota used up: 0 of the token's 5000 requests remain; retry in SOME s; wait 40 min, and check for other programs that use the same token
        ");
    });
}
