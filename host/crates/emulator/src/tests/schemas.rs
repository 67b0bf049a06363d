//! Validates responses against the schemas of the API's published description.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Value, json};

use crate::tests::{TestEmulator, TestResponse, droplet, options, start};

static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../../tests/fixtures/digitalocean-schemas.json")).unwrap()
});

/// Checks a body against the named response of the description.
pub(super) fn assert_conforms(name: &str, body: &Value) {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": SCHEMAS["$defs"],
        "allOf": [{ "type": "object" }, SCHEMAS["responses"][name]],
    });
    assert!(SCHEMAS["responses"][name].is_object(), "no response named {name}");
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{body:#}");
}

impl TestEmulator {
    async fn conforms(&self, method: Method, path: &str, body: Option<Value>, status: u16, name: &str) -> TestResponse {
        let response = self.send(method, path, body).await;
        assert_eq!(response.status.as_u16(), status, "{path}: {}", response.body);
        assert_conforms(name, &response.body);
        response
    }
}

#[tokio::test]
async fn responses_conform_to_published_schemas() {
    let running = start(options()).await;
    let (get, post) = (Method::GET, Method::POST);
    let many = json!({ "names": ["b", "c"], "size": "1gb", "image": 6_918_990, "ipv6": true, "tags": ["www"] });

    let one = running.conforms(post.clone(), "/v2/droplets", Some(droplet("a")), 202, "droplet_create").await;
    let many = running.conforms(post.clone(), "/v2/droplets", Some(many), 202, "droplet_create").await;
    let id = one.body["droplet"]["id"].as_u64().unwrap();
    let action = one.body["links"]["actions"][0]["id"].as_u64().unwrap();
    running.wait_for_boot(id).await;
    running.wait_for_boot(many.body["droplets"][1]["id"].as_u64().unwrap()).await;
    let tag = Some(json!({ "name": "blue" }));
    running.conforms(post.clone(), "/v2/tags", tag, 201, "tags_new").await;
    let reboot = Some(json!({ "type": "reboot" }));
    running.conforms(post.clone(), &format!("/v2/droplets/{id}/actions"), reboot, 201, "droplet_action").await;

    for (path, name) in [
        ("/v2/account", "account"),
        ("/v2/droplets", "all_droplets"),
        ("/v2/droplets?per_page=1&page=2", "all_droplets"),
        (&format!("/v2/droplets/{id}"), "existing_droplet"),
        (&format!("/v2/droplets/{id}/actions"), "all_droplet_actions"),
        (&format!("/v2/droplets/{id}/actions/{action}"), "action"),
        (&format!("/v2/actions/{action}"), "action"),
        ("/v2/images", "all_images"),
        ("/v2/regions", "all_regions"),
        ("/v2/sizes", "all_sizes"),
        ("/v2/tags", "tags_all"),
        ("/v2/tags/www", "tags_existing"),
    ] {
        running.conforms(get.clone(), path, None, 200, name).await;
    }
    for (method, path, body, status, name) in [
        (get.clone(), "/v2/droplets/1", None, 404, "not_found"),
        (get, "/v2/nothing", None, 404, "not_found"),
        (Method::PUT, "/v2/droplets", None, 405, "unexpected_error"),
        (post.clone(), "/v2/droplets", Some(json!({})), 422, "unexpected_error"),
        (post.clone(), "/v2/droplets", Some(json!([])), 400, "unexpected_error"),
        (post, "/v2/tags", Some(json!({ "name": "здорово" })), 400, "tags_bad_request"),
        (Method::DELETE, "/v2/droplets", None, 422, "unexpected_error"),
    ] {
        running.conforms(method, path, body, status, name).await;
    }
}

#[tokio::test]
async fn every_response_has_request_id_and_rate_limit() {
    let running = start(options()).await;

    let first = running.get("/v2/account").await;
    let second = running.get("/v2/droplets/1").await;

    assert_eq!(first.headers["ratelimit-limit"], "5000");
    assert_eq!(first.headers["ratelimit-remaining"], "4999");
    assert_eq!(second.headers["ratelimit-remaining"], "4998");
    assert!(first.headers["ratelimit-reset"].to_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    assert_ne!(first.headers["x-request-id"], second.headers["x-request-id"]);
    assert_eq!(second.body["request_id"], second.headers["x-request-id"].to_str().unwrap());
    assert_eq!(first.headers["content-type"], "application/json; charset=utf-8");
}
