//! The emulator over real HTTP on the loopback network.

mod api;
mod monitoring;
mod schemas;
mod servers;
mod wire;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::cloud::Settings;
use crate::emulator::{Emulator, Options};

/// An emulator and a client for it.
struct TestEmulator {
    emulator: Emulator,
    client: Client,
    droplet_port: u16,
}

/// Returns options for tests that run in parallel: each gets its own network and port.
fn options() -> Options {
    static SEEDS: AtomicU64 = AtomicU64::new(0);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Options {
        droplet_port: free.local_addr().unwrap().port(),
        settings: Settings {
            seed: SEEDS.fetch_add(1, Ordering::Relaxed),
            boot_time: Duration::from_millis(20),
            ..Settings::default()
        },
        ..Options::default()
    }
}

fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that another test has already installed it.
        let _installed = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn start(options: Options) -> TestEmulator {
    let droplet_port = options.droplet_port;
    TestEmulator { emulator: Emulator::start(options).await.unwrap(), client: client(), droplet_port }
}

/// The status, headers and body of a response.
struct TestResponse {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl TestEmulator {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.emulator.url())).bearer_auth("any")
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> TestResponse {
        let request = self.request(method, path);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        parse_response(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> TestResponse {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> TestResponse {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn delete(&self, path: &str) -> TestResponse {
        self.send(Method::DELETE, path, None).await
    }

    async fn set_faults(&self, faults: Value) {
        assert_eq!(self.send(Method::PUT, "/_emulator/faults", Some(faults)).await.status, StatusCode::NO_CONTENT);
    }

    /// Creates a droplet and returns its ID.
    async fn create(&self, name: &str) -> u64 {
        let response = self.post("/v2/droplets", droplet(name)).await;
        assert_eq!(response.status, StatusCode::ACCEPTED, "{}", response.body);
        response.body["droplet"]["id"].as_u64().unwrap()
    }

    /// Waits for a droplet to boot and returns its private address.
    async fn wait_for_boot(&self, id: u64) -> SocketAddr {
        let address = eventually(async || {
            let body = self.get(&format!("/v2/droplets/{id}")).await.body;
            body["droplet"]["networks"]["v4"][0]["ip_address"].as_str().map(str::to_owned)
        });
        SocketAddr::from((address.await.parse::<Ipv4Addr>().unwrap(), self.droplet_port))
    }

    /// Waits for a droplet's server and returns a page from it.
    async fn page(&self, address: SocketAddr, path: &str) -> reqwest::Response {
        eventually(async || self.client.get(format!("http://{address}{path}")).send().await.ok()).await
    }
}

async fn parse_response(response: reqwest::Response) -> TestResponse {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    TestResponse { status, headers, body }
}

/// Polls until there is a result.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the condition was not met in time")
}

fn droplet(name: &str) -> Value {
    json!({ "name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-22-04-x64", "tags": ["www"] })
}
