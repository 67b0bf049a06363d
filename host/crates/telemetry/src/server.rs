//! The loopback HTTP server: `/metrics` for Prometheus, `/healthz` for health checks, and `/status` for `doproxy
//! status`.

use std::net::SocketAddr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Telemetry;

/// A bound socket that is not being served yet.
#[derive(Debug)]
pub struct TelemetryServer(TcpListener);

impl TelemetryServer {
    /// Binds the socket.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Returns the local address.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves requests until `stop` is cancelled.
    pub async fn serve(self, telemetry: Telemetry, stop: CancellationToken) -> std::io::Result<()> {
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .route("/status", get(status))
            .with_state(telemetry);
        // An open client connection must not prevent the service from exiting.
        tokio::select! {
            served = async { axum::serve(self.0, routes).await } => served,
            () = stop.cancelled() => Ok(()),
        }
    }
}

async fn metrics(State(telemetry): State<Telemetry>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry.metrics())
}

async fn healthz(State(telemetry): State<Telemetry>) -> (StatusCode, String) {
    match telemetry.health().check() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(stuck) => (StatusCode::SERVICE_UNAVAILABLE, format!("{stuck}\n")),
    }
}

async fn status(State(telemetry): State<Telemetry>) -> impl IntoResponse {
    Json(telemetry.status())
}

#[cfg(test)]
mod tests {
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
}
