//! The service: starts the loops, and runs them until it is stopped or a bug ends it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doproxy_core::seams::Platform;
use tokio::time::sleep;

use crate::error::ControllerError;
use crate::service::autoscaler::Autoscaler;
use crate::service::catalog_refresher::CatalogRefresher;
use crate::service::reconciler::Reconciler;
use crate::service::service_builder::ServiceBuilder;
use crate::service::shared::Shared;

/// Time that running work gets after a stop request. Interrupted work is resumed later.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(3);

/// The error that ended a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The inventory cannot be read, so the service cannot start.
    #[error(transparent)]
    Start(#[from] ControllerError),
    /// A bug in doproxy. Fatal: the supervisor restarts the service.
    #[error(
        "bug in doproxy: the service panicked: {0}; operations in progress are in the journal, and the next start resumes them"
    )]
    Panicked(String),
}

/// A handle that stops or reloads a service.
pub struct ServiceHandle<P: Platform>(Arc<Shared<P>>);

impl<P: Platform> ServiceHandle<P> {
    /// Stops the service within seconds. Operations in progress stay in the journal.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Reloads configuration and components, followed by a tick.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }
}

/// A service that is ready to run.
pub struct Service<P: Platform> {
    shared: Arc<Shared<P>>,
    autoscaler: Autoscaler<P>,
}

impl<P: Platform> Service<P> {
    /// Loads the policies and their states. A policy that fails to load does not prevent the start.
    pub async fn start(parts: ServiceBuilder<P>) -> Result<Self, ServiceError> {
        let ServiceBuilder { controller, loader, collector, spec, config_source, telemetry, hooks } = parts;
        controller.enable_cache();
        let shared = Arc::new(Shared::new(controller, telemetry, spec.interval));
        let autoscaler = Autoscaler::start(Arc::clone(&shared), loader, collector, spec, config_source, hooks).await?;
        Ok(Self { shared, autoscaler })
    }

    /// Returns a handle that stops or reloads the service.
    pub fn handle(&self) -> ServiceHandle<P> {
        ServiceHandle(Arc::clone(&self.shared))
    }

    /// Runs until the service is stopped or a bug ends it. The loops share one task and yield to each other at every
    /// await; long computations run elsewhere.
    pub async fn run(self) -> Result<(), ServiceError> {
        let Self { shared, autoscaler } = self;
        let (reconciler, catalog_refresher) =
            (Reconciler::new(Arc::clone(&shared)), CatalogRefresher::new(Arc::clone(&shared)));
        let loops = async { tokio::join!(autoscaler.run(), reconciler.run(), catalog_refresher.run()) };
        let overdue = async {
            shared.stop.cancelled().await;
            sleep(SHUTDOWN_GRACE_PERIOD).await;
        };
        let ended = async {
            tokio::select! {
                _ = loops => {}
                () = overdue => tracing::info!("stopped with operations in progress; they are in the journal"),
            }
        };
        let mut ended = pin!(ended);
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| ended.as_mut().poll(context)));
            polled.map_or_else(|panic| Poll::Ready(Err(panic_error(panic))), |polled| polled.map(Ok))
        })
        .await
    }
}

fn panic_error(panic: Box<dyn std::any::Any + Send>) -> ServiceError {
    // A simulated crash is not a bug: it ends this process as far as the simulation is concerned.
    if panic.is::<doproxy_support::Aborted>() {
        std::panic::resume_unwind(panic);
    }
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    ServiceError::Panicked(words.unwrap_or_else(|| "panic without a message".to_owned()))
}
