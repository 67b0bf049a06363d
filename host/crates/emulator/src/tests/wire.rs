//! Faults on the wire.

use std::io::ErrorKind;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tests::{TestEmulator, droplet, eventually, options, start};

/// Sends a create over a bare connection and returns the bytes received until the connection ended.
async fn send_raw_create(running: &TestEmulator) -> std::io::Result<String> {
    let body = droplet("web").to_string();
    let head = format!(
        "POST /v2/droplets HTTP/1.1\r\nhost: emulator\r\nauthorization: Bearer any\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(running.emulator.address()).await?;
    stream.write_all((head + &body).as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

async fn next_create(running: &TestEmulator, effect: Value) {
    let fault = json!({ "method": "POST", "path": "/v2/droplets", "when": { "next": 1 }, "effect": effect });
    running.set_faults(json!({ "calls": [fault] })).await;
}

async fn droplets(running: &TestEmulator) -> Value {
    running.get("/v2/droplets").await.body["meta"]["total"].clone()
}

#[tokio::test]
async fn dropped_response_closes_connection_after_create() {
    let running = start(options()).await;
    next_create(&running, json!("drop_response")).await;

    let response = send_raw_create(&running).await;

    assert_eq!(response.unwrap(), "");
    assert_eq!(droplets(&running).await, 1);
}

#[tokio::test]
async fn reset_ends_connection_before_create() {
    let running = start(options()).await;
    next_create(&running, json!("reset")).await;

    let response = send_raw_create(&running).await;

    assert_eq!(response.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(droplets(&running).await, 0);
    assert_eq!(running.get("/_emulator/calls").await.body["calls"]["POST /v2/droplets"], 1);
}

#[tokio::test]
async fn slow_create_executes_before_its_response() {
    let running = Arc::new(start(options()).await);
    next_create(&running, json!({ "latency_ms": 600_000 })).await;

    let waiting = tokio::spawn({
        let running = Arc::clone(&running);
        async move { send_raw_create(&running).await }
    });

    eventually(async || (droplets(&running).await == 1).then_some(())).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test]
async fn truncated_response_declares_longer_body() {
    let running = start(options()).await;
    next_create(&running, json!({ "corrupt": { "kind": "truncated" } })).await;

    let response = send_raw_create(&running).await.unwrap();

    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(head.starts_with("HTTP/1.1 202"), "{head}");
    assert_eq!(body.len(), announced.parse::<usize>().unwrap().div_ceil(2));
    assert_eq!(droplets(&running).await, 1);
}

#[tokio::test]
async fn silent_create_never_gets_a_response() {
    for applied in [true, false] {
        let running = Arc::new(start(options()).await);
        next_create(&running, json!({ "no_response": { "applied": applied } })).await;

        let waiting = tokio::spawn({
            let running = Arc::clone(&running);
            async move { send_raw_create(&running).await }
        });

        eventually(async || {
            let calls = running.get("/_emulator/calls").await.body["calls"]["POST /v2/droplets"].clone();
            (calls == 1 && droplets(&running).await == i32::from(applied)).then_some(())
        })
        .await;
        assert!(!waiting.is_finished());
        waiting.abort();
    }
}

#[tokio::test]
async fn http_only_faults_have_expected_responses() {
    let running = start(options()).await;
    let mut seen = Vec::new();
    for effect in [
        json!({ "page": { "code": 502 } }),
        json!({ "corrupt": { "kind": "malformed" } }),
        json!({ "corrupt": { "kind": "page", "applied": false } }),
        json!({ "corrupt": { "kind": "wrong_content_type" } }),
        json!({ "corrupt": { "kind": "unfamiliar" } }),
        json!({ "hourly_limit": { "reset_after_s": 3000 } }),
    ] {
        next_create(&running, effect.clone()).await;
        let response = running.request(Method::POST, "/v2/droplets").json(&droplet("web")).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let kind = header("content-type").unwrap_or_default();
        let limit = [header("retry-after"), header("ratelimit-remaining")];
        let status = response.status().as_u16();
        let body = response.text().await.unwrap();
        let json = serde_json::from_str::<Value>(&body).map(|json| json["droplet"]["status"].clone());
        let json = json.map_err(|error| error.classify());
        seen.push(format!("{effect}: {status} {kind}, {limit:?}, {json:?}"));
    }

    insta::assert_snapshot!(seen.join("\n"), @r#"
    {"page":{"code":502}}: 502 text/html; charset=utf-8, [None, Some("4999")], Err(Syntax)
    {"corrupt":{"kind":"malformed"}}: 202 application/json; charset=utf-8, [None, Some("4998")], Err(Eof)
    {"corrupt":{"kind":"page","applied":false}}: 200 text/html; charset=utf-8, [None, Some("4997")], Err(Syntax)
    {"corrupt":{"kind":"wrong_content_type"}}: 202 text/plain, [None, Some("4996")], Ok(String("new"))
    {"corrupt":{"kind":"unfamiliar"}}: 202 application/json; charset=utf-8, [None, Some("4995")], Ok(String("levitating"))
    {"hourly_limit":{"reset_after_s":3000}}: 429 application/json; charset=utf-8, [None, Some("0")], Ok(Null)
    "#);
    assert_eq!(droplets(&running).await, 3);
}
