//! The droplets' servers.

use std::net::SocketAddr;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::cloud::CloudState;
use crate::emulator::EmulatorError;
use crate::tests::{Emulator, droplet, eventually, options, start};

#[tokio::test]
async fn booted_droplet_serves_its_identity() {
    let running = start(options()).await;
    let id = running.create("web-0").await;

    let address = running.wait_for_boot(id).await;

    let page = running.page(address, "/?delay_ms=1").await;
    assert_eq!((page.headers()["x-droplet-id"].to_str().unwrap(), page.status()), (&*id.to_string(), StatusCode::OK));
    assert_eq!(page.headers()["x-droplet-name"], "web-0");
    let html = page.text().await.unwrap();
    for words in ["Hostname: web-0".to_owned(), format!("Droplet id: {id}"), format!("Address: {}", address.ip())] {
        assert!(html.contains(&words), "{words}: {html}");
    }
    assert_eq!(running.page(address, "/health").await.text().await.unwrap(), "ok\n");
}

#[tokio::test]
async fn connections_end_when_droplet_is_deleted() {
    let running = start(options()).await;
    let id = running.create("web-0").await;
    let address = running.wait_for_boot(id).await;
    running.page(address, "/health").await;
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all(b"GET /?delay_ms=60000 HTTP/1.1\r\nhost: web-0\r\n\r\n").await.unwrap();

    running.delete(&format!("/v2/droplets/{id}")).await;

    let mut response = Vec::new();
    let _ended_well_or_badly = open.read_to_end(&mut response).await;
    assert_eq!(response, b"");
    eventually(async || TcpStream::connect(address).await.err()).await;
}

#[tokio::test]
async fn powered_off_droplet_serves_nothing() {
    let running = start(options()).await;
    let id = running.create("web-0").await;
    let address = running.wait_for_boot(id).await;
    running.page(address, "/health").await;
    let actions = format!("/v2/droplets/{id}/actions");

    assert_eq!(running.post(&actions, json!({ "type": "power_off" })).await.status, StatusCode::CREATED);

    eventually(async || TcpStream::connect(address).await.err()).await;
    eventually(async || {
        let switched_on = running.post(&actions, json!({ "type": "power_on" })).await.status;
        (switched_on == StatusCode::CREATED).then_some(())
    })
    .await;
    running.page(address, "/health").await;
}

#[tokio::test]
async fn metadata_contains_user_data() {
    let running = start(options()).await;
    let mut body = droplet("web-0");
    body["user_data"] = json!("#!/bin/sh\necho \"hello\"\n");
    let id = running.post("/v2/droplets", body).await.body["droplet"]["id"].as_u64().unwrap();
    let address = running.wait_for_boot(id).await;
    let get = async |path: &str| running.page(address, path).await.text().await.unwrap();

    assert_eq!(get("/metadata/v1/user-data").await, "#!/bin/sh\necho \"hello\"\n");
    assert_eq!(get("/metadata/v1/id").await, id.to_string());
    assert_eq!(get("/metadata/v1/hostname").await, "web-0");
    assert_eq!(get("/metadata/v1/region").await, "nyc3");
    assert_eq!(get("/metadata/v1/tags/").await, "www");
    assert_eq!(get("/metadata/v1/interfaces/private/0/ipv4/address").await, address.ip().to_string());
    insta::assert_snapshot!(get("/metadata/v1/").await, @r"
    id
    hostname
    user-data
    vendor-data
    public-keys
    region
    interfaces/
    dns/
    tags
    features/
    ");
    let all: Value = serde_json::from_str(&get("/metadata/v1.json").await).unwrap();
    assert_eq!(all["interfaces"]["private"][0]["ipv4"]["ip_address"], address.ip().to_string());
    let branch = running.page(address, "/metadata/v1/interfaces").await;
    assert_eq!(
        (branch.status(), &branch.headers()["location"]),
        (StatusCode::MOVED_PERMANENTLY, &"/metadata/v1/interfaces/".parse().unwrap())
    );
    assert_eq!(running.page(address, "/metadata/v1/nothing").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn invalid_droplet_port_fails_at_start() {
    let options = options();
    let next = CloudState::new(options.settings.clone()).next_address();
    let busy = TcpListener::bind(SocketAddr::from((next, options.droplet_port))).await.unwrap();

    let error = Emulator::start(options.clone()).await.unwrap_err();

    assert!(matches!(&error, EmulatorError::DropletPort { address, .. } if *address == busy.local_addr().unwrap()));
    assert!(error.to_string().contains("choose another port for droplets"), "{error}");
    drop(busy);
    Emulator::start(options).await.unwrap().stop().await;
}
