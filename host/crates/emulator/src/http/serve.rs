//! A small HTTP/1.1 server that can deliberately abort connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::emulator::SHUTDOWN_GRACE;

/// The treatment of open connections when the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownMode {
    /// Calls in progress are answered.
    Graceful,
    /// Connections end immediately, as when a machine is switched off.
    Abrupt,
}

/// A marker in a response's extensions; the server aborts the connection instead of sending the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Abort {
    /// The connection is closed.
    #[error("the connection is closed deliberately")]
    Close,
    /// The connection is reset (RST).
    #[error("the connection is reset deliberately")]
    Reset,
}

/// The delay before accepting again when the system is out of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop`. Dropping the future ends all connections at once.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken, ending: ShutdownMode) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, router.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if ending == ShutdownMode::Graceful {
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, all_ended).await.is_err() {
            tracing::warn!("closing connections that did not end within the grace period");
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Responses are small and sent in one piece; waiting for more data would only add latency.
    let _best_effort = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let router = TowerToHyperService::new(router);
    let reset_wanted = Arc::clone(&reset);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let response = router.call(request);
        let reset_wanted = Arc::clone(&reset_wanted);
        async move { abort_or_respond(response.await, &reset_wanted) }
    });
    let mut connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "connection ended");
    }
    if reset.load(Ordering::Relaxed) {
        let _best_effort = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

fn abort_or_respond(reply: Result<Response, Infallible>, reset_wanted: &AtomicBool) -> Result<Response, Abort> {
    let Ok(response) = reply;
    match response.extensions().get::<Abort>() {
        None => Ok(response),
        Some(abort) => {
            reset_wanted.store(*abort == Abort::Reset, Ordering::Relaxed);
            Err(*abort)
        }
    }
}
