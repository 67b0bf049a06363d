use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;

async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn metrics_health_and_status_are_served() {
    let telemetry = Telemetry::default();
    telemetry.update_status(|status| status.fleet = "www".to_owned());
    telemetry.add_collector(|registry| registry.set(&crate::families::DESIRED_DROPLETS, &[], 4.0));
    telemetry.health().heartbeat("autoscaler", Duration::from_mins(1));
    let listener = TelemetryServer::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(listener.serve(telemetry.clone(), stop.clone()));

    let (code, text) = ask(address, "/metrics").await;
    assert!(code == 200 && text.contains("doproxy_desired_droplets 4\n"), "{text}");
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
    let (_, text) = ask(address, "/status").await;
    let status: crate::status::Status = serde_json::from_str(&text).unwrap();
    assert_eq!((status.fleet.as_str(), status.loops.len()), ("www", 1));
    telemetry.health().heartbeat("reconciler", Duration::ZERO);
    let (code, text) = ask(address, "/healthz").await;
    assert!(code == 503 && text.starts_with("the reconciler has made no progress"), "{text}");
    assert_eq!(ask(address, "/else").await.0, 404);

    stop.cancel();
    served.await.unwrap().unwrap();
}
