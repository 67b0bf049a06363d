//! Faults as they look on the wire.

use std::io::ErrorKind;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Running, droplet, eventually, options, start};

/// Sends a create over a bare connection; answers what came back until the connection ended.
async fn create_on_the_wire(running: &Running) -> std::io::Result<String> {
    let body = droplet("web").to_string();
    let head = format!(
        "POST /v2/droplets HTTP/1.1\r\nhost: emulator\r\nauthorization: Bearer any\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(running.emulator.address()).await?;
    stream.write_all((head + &body).as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn next_create(running: &Running, effect: Value) {
    let fault = json!({ "method": "POST", "path": "/v2/droplets", "when": { "next": 1 }, "effect": effect });
    running.set_faults(json!({ "calls": [fault] })).await;
}

async fn droplets(running: &Running) -> Value {
    running.get("/v2/droplets").await.body["meta"]["total"].clone()
}

#[tokio::test]
async fn a_dropped_response_ends_the_connection_after_the_droplet_was_made() {
    let running = start(options()).await;
    next_create(&running, json!("drop_response")).await;

    let answer = create_on_the_wire(&running).await;

    assert_eq!(answer.unwrap(), "");
    assert_eq!(droplets(&running).await, 1);
}

#[tokio::test]
async fn a_reset_ends_the_connection_before_anything_was_made() {
    let running = start(options()).await;
    next_create(&running, json!("reset")).await;

    let answer = create_on_the_wire(&running).await;

    assert_eq!(answer.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(droplets(&running).await, 0);
    assert_eq!(running.get("/_emulator/calls").await.body["calls"]["POST /v2/droplets"], 1);
}

#[tokio::test]
async fn a_slow_create_has_happened_long_before_its_answer() {
    let running = Arc::new(start(options()).await);
    next_create(&running, json!({ "latency_ms": 600_000 })).await;

    let waiting = tokio::spawn({
        let running = Arc::clone(&running);
        async move { create_on_the_wire(&running).await }
    });

    eventually(async || (droplets(&running).await == 1).then_some(())).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}
