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
mod tests;
