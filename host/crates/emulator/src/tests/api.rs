//! Authentication, limits, pagination and persistence of the API.

use doproxy_core::domain::Token;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cloud::{RateLimits, Settings};
use crate::emulator::EmulatorError;
use crate::tests::{Emulator, Options, client, droplet, options, start};

#[tokio::test]
async fn any_bearer_token_is_accepted_by_default() {
    let any = start(options()).await;
    let one = start(Options { token: Token::parse("the-one"), ..options() }).await;

    for (running, header, status) in [
        (&any, None, 401),
        (&any, Some("Bearer "), 401),
        (&any, Some("Basic abc"), 401),
        (&any, Some("Bearer abc"), 200),
        (&one, Some("Bearer abc"), 401),
        (&one, Some("bearer the-one"), 200),
    ] {
        let mut request = running.client.get(format!("{}/v2/account", running.emulator.url()));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }

        let response = crate::tests::parse_response(request.send().await.unwrap()).await;

        assert_eq!(response.status.as_u16(), status, "{header:?}");
        let refused = json!("Unable to authenticate you.");
        assert_eq!(response.body.get("message"), (status == 401).then_some(&refused));
    }
}

#[tokio::test]
async fn null_counts_as_missing() {
    let running = start(options()).await;
    let mut body = droplet("web");
    for key in ["names", "ssh_keys", "backups", "ipv6", "monitoring", "user_data", "volumes", "vpc_uuid", "region"] {
        body[key] = Value::Null;
    }

    let response = running.post("/v2/droplets", body).await;

    assert_eq!(response.status, StatusCode::ACCEPTED, "{}", response.body);
}

#[tokio::test]
async fn list_pages_link_to_each_other() {
    let running = start(options()).await;
    let names: Vec<String> = (0..5).map(|n| format!("web-{n}")).collect();
    let body = json!({ "names": names, "size": "1gb", "image": "debian-12-x64", "tags": ["a:b"] });
    running.post("/v2/droplets", body).await;
    let page = async |query: &str| {
        let body = running.get(&format!("/v2/droplets?{query}")).await.body;
        let names: Vec<Value> = body["droplets"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        let links = body["links"].to_string().replace(&running.emulator.url(), "");
        (json!(names).to_string(), links, body["meta"]["total"].clone())
    };

    let (names, links, total) = page("tag_name=a%3Ab&per_page=2&page=2").await;
    assert_eq!(names, r#"["web-2","web-3"]"#);
    assert_eq!(total, 5);
    insta::assert_snapshot!(links, @r#"{"pages":{"first":"/v2/droplets?page=1&tag_name=a%3Ab&per_page=2","prev":"/v2/droplets?page=1&tag_name=a%3Ab&per_page=2","next":"/v2/droplets?page=3&tag_name=a%3Ab&per_page=2","last":"/v2/droplets?page=3&tag_name=a%3Ab&per_page=2"}}"#);
    assert_eq!(page("name=WEB-4").await, (r#"["web-4"]"#.to_owned(), "{}".to_owned(), json!(1)));
    assert_eq!(page("page=7&per_page=5").await.0, "[]");
    assert_eq!(page("type=gpus").await.2, 0);
    for bad in ["per_page=201", "per_page=0", "page=x", "tag_name=a&name=b", "type=vans"] {
        assert_eq!(running.get(&format!("/v2/droplets?{bad}")).await.status, 422, "{bad}");
    }
}

#[tokio::test]
async fn rate_limit_returns_retry_after() {
    let limits = RateLimits { per_minute: 1, ..RateLimits::default() };
    let settings = Settings { rate_limits: Some(limits), ..options().settings };
    let running = start(Options { settings, ..options() }).await;
    running.get("/v2/account").await;

    let refused = running.get("/v2/account").await;

    assert_eq!((refused.status, &refused.body["id"]), (StatusCode::TOO_MANY_REQUESTS, &json!("too_many_requests")));
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn calls_are_counted_by_route() {
    let running = start(options()).await;
    let id = running.create("web").await;
    running.get(&format!("/v2/droplets/{id}")).await;
    running.get("/v2/droplets/1").await;

    let counted = running.get("/_emulator/calls").await.body;
    running.delete("/_emulator/calls").await;

    assert_eq!(counted, json!({ "total": 3, "calls": { "GET /v2/droplets/{id}": 2, "POST /v2/droplets": 1 } }));
    assert_eq!(running.get("/_emulator/calls").await.body["total"], 0);
}

#[tokio::test]
async fn faults_can_be_changed_at_run_time() {
    let running = start(options()).await;
    let fault = json!({ "path": "/v2/account", "when": { "next": 2 }, "effect": { "status": { "code": 503 } } });
    running.set_faults(json!({ "calls": [fault] })).await;

    assert_eq!(running.get("/v2/account").await.status, 503);
    assert_eq!(running.get("/v2/sizes").await.status, 200);
    assert_eq!(running.get("/_emulator/faults").await.body["calls"][0]["when"], json!({ "next": 1 }));

    running.delete("/_emulator/faults").await;
    assert_eq!(running.get("/v2/account").await.status, 200);
    let refused = running.send(Method::PUT, "/_emulator/faults", Some(json!({ "stuck": 1 }))).await;
    assert_eq!(refused.status, 422);
    assert!(refused.body["message"].as_str().unwrap().contains("unknown field `stuck`"), "{}", refused.body);
}

#[tokio::test]
async fn restarted_emulator_keeps_its_droplets() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { state: Some(folder.path().join("cloud.json")), ..options() };
    let running = start(options.clone()).await;
    let id = running.create("web").await;
    let deleted = running.create("gone").await;
    running.delete(&format!("/v2/droplets/{deleted}")).await;
    let before = running.wait_for_boot(id).await;
    running.emulator.stop().await;

    let running = start(options).await;

    assert_eq!(running.wait_for_boot(id).await, before);
    assert_eq!(running.page(before, "/health").await.status(), 200);
    assert_eq!(running.get(&format!("/v2/droplets/{deleted}")).await.status, 404);
    assert_eq!(running.create("next").await, deleted + 1);
}

#[tokio::test]
async fn create_fails_when_state_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(Options { state: Some(folder.path().join("cloud.json")), ..options() }).await;
    drop(folder);

    let response = running.post("/v2/droplets", droplet("web")).await;

    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(response.body["message"].as_str().unwrap().contains("failed to write its state file"), "{}", response.body);
}

#[tokio::test]
async fn unreadable_state_file_is_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    std::fs::write(&path, "{\"version\": 1,").unwrap();

    let error = Emulator::start(Options { state: Some(path.clone()), ..options() }).await.unwrap_err();

    assert!(matches!(error, EmulatorError::State { .. }));
    let text = error.to_string().replace(folder.path().to_str().unwrap(), "");
    insta::assert_snapshot!(text, @"failed to use the state file /cloud.json: EOF while parsing a value at line 1 column 14; move it away to start with an empty cloud");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"version\": 1,");
}

#[tokio::test]
async fn stopped_emulator_refuses_connections() {
    let running = start(options()).await;
    let url = format!("{}/v2/account", running.emulator.url());
    running.emulator.stop().await;

    assert!(client().get(url).bearer_auth("any").send().await.unwrap_err().is_connect());
}
