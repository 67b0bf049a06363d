//! The loop: a fleet kept at the size that its policies want, for months, by two loops that never wait for each other.
//!
//! The `ticker` looks, asks the policies and writes down what is to be done: each interval, earlier where a policy asks for
//! it, and when something was loaded anew. The `mover` carries on what is written down: at once when it is woken, each
//! second while something is under way, and now and then to see what vanished. A third task, `market`, keeps prices and the
//! account's room at hand, so that a tick asks the API nothing. `policies` loads policies and replaces them, `watch` sees
//! files change, `turns` shares the right to change the fleet with commands by hand, `waiting` says when one takes long,
//! `trouble` says what begins and ends, `tell` writes log lines and counts.
//!
//! A panic in any of them is a fault of ours: it ends the service, and whoever supervises it starts it anew. Everything
//! that matters is in the journal.

mod market;
mod mover;
mod policies;
mod tell;
mod ticker;
mod trouble;
mod turns;
mod waiting;
mod watch;

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use policies::{Components, Loader, PolicyWish};
pub use tell::reporter;
pub use turns::{Turn, Turns};

use market::Keeper;
use mover::Mover;
use ticker::Ticker;
use waiting::{News, Waiting};

use super::{Bounds, Controller, ControllerError};
use crate::balancer::Balancer;
use crate::cloud::Cloud;
use crate::inventory::Inventory;
use crate::inventory::sqlite::InventoryError;
use crate::metrics::{self, Collector};
use crate::model::TickRecord;
use crate::telemetry::Telemetry;
use crate::telemetry::status::WaitStatus;

/// How long what is under way may go on after the service was asked to stop. What is cut off then is resumed later.
const GRACE: Duration = Duration::from_secs(3);

/// What is wanted of the loop, and can be changed while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The policies.
    pub policies: Vec<PolicyWish>,
    /// What the operator allows.
    pub bounds: Bounds,
    /// The time between two ticks.
    pub interval: Duration,
}

/// A configuration that was read again.
#[derive(Debug)]
pub struct Reread {
    /// What is wanted now.
    pub wish: Wish,
    /// The sources of series, where they are others than those in effect.
    pub collector: Option<Collector>,
    /// Keys that differ and take effect only when the service is restarted.
    pub needs_restart: Vec<String>,
}

/// Reads a configuration, told which sources of series are in effect; the error says what is wrong with it.
pub type Read = Box<dyn FnMut(&metrics::Options) -> Result<Reread, String> + Send>;

/// Where the wish comes from, so that it can be read again.
pub struct Configuration {
    /// The file that is watched.
    pub file: PathBuf,
    /// Reads it again.
    pub read: Read,
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Who is told of what the loop does.
pub struct Hooks {
    /// Each tick, once it is written down.
    pub on_tick: Box<dyn FnMut(&TickRecord) + Send>,
    /// Something is about to be loaded anew (`true`), or was (`false`).
    pub on_reload: Box<dyn FnMut(bool) + Send>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { on_tick: Box::new(|_| {}), on_reload: Box::new(|_| {}) }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}

/// What a service is made of.
pub struct Parts<C, B, I> {
    /// The controller.
    pub controller: Arc<Controller<C, B, I>>,
    /// What loads policies.
    pub loader: Loader,
    /// Where series come from.
    pub collector: Collector,
    /// What is wanted.
    pub wish: Wish,
    /// Where that can be read again.
    pub configuration: Option<Configuration>,
    /// The right to change the fleet.
    pub turns: Turns,
    /// Where the loop is counted.
    pub telemetry: Telemetry,
    /// Who is told.
    pub hooks: Hooks,
}

impl<C, B, I> fmt::Debug for Parts<C, B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("wish", &self.wish).finish_non_exhaustive()
    }
}

/// Why a service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The inventory cannot be read, so there is nothing to begin with.
    #[error(transparent)]
    Start(#[from] ControllerError),
    /// A fault in doproxy. Fatal: whoever supervises the service starts it anew.
    #[error(
        "a fault in doproxy ended the loop: {0}; what was under way is in the journal, and the next start carries it on"
    )]
    Panicked(String),
}

/// What the loops share.
struct Shared<C, B, I> {
    controller: Arc<Controller<C, B, I>>,
    turns: Turns,
    /// Whom the loops wait for.
    waiting: Mutex<Waiting>,
    telemetry: Telemetry,
    /// Something was written down: the mover has work.
    wake: Notify,
    /// Somebody wants everything loaded anew.
    reload: Notify,
    stop: CancellationToken,
    /// Why nothing can be done at the API, as the mover met it last.
    api_failure: Mutex<Option<String>>,
    interval_ms: AtomicU64,
}

impl<C, B, I> Shared<C, B, I> {
    fn api_failure(&self) -> Option<String> {
        self.api_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_api_failure(&self, why: Option<String>) {
        self.telemetry.tell(|status| status.api_failure.clone_from(&why));
        *self.api_failure.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms.load(Ordering::Relaxed))
    }

    fn set_interval(&self, interval: Duration) {
        self.interval_ms.store(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl<C: Cloud, B: Balancer, I: Inventory> Shared<C, B, I> {
    /// A turn now; an error where another process has it, which is shown until a turn is taken.
    async fn take_turn(&self) -> Result<Turn, InventoryError> {
        let turn = self.turns.take_now().await;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(InventoryError::Locked { holder, .. }) = &turn {
            match waiting.refused(holder) {
                News::Begins => {
                    let wait = WaitStatus { holder: holder.clone(), since: self.controller.now() };
                    self.telemetry.tell(|status| status.waits_for = Some(wait));
                }
                News::IsLong(waited) => tracing::warn!(
                    "{holder} has been changing the fleet for {} s: nothing is begun or carried on until it is done",
                    waited.as_secs()
                ),
                News::Nothing => {}
            }
        } else if let Some((holder, told)) = waiting.over() {
            self.telemetry.tell(|status| status.waits_for = None);
            if told {
                tracing::info!("{holder} is done; going on");
            }
        }
        turn
    }
}

/// Stops a service, or makes it load everything anew.
#[derive(Debug)]
pub struct Remote<C, B, I>(Arc<Shared<C, B, I>>);

impl<C, B, I> fmt::Debug for Shared<C, B, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("turns", &self.turns).finish_non_exhaustive()
    }
}

impl<C, B, I> Remote<C, B, I> {
    /// The service ends within seconds. What is under way stays in the journal.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Configuration and components are loaded anew, and there is a tick.
    pub fn reload(&self) {
        self.0.reload.notify_one();
    }
}

/// A service that is about to run.
#[derive(Debug)]
pub struct Service<C, B, I> {
    shared: Arc<Shared<C, B, I>>,
    ticker: Ticker<C, B, I>,
}

impl<C: Cloud, B: Balancer, I: Inventory> Service<C, B, I> {
    /// Loads the policies and what they remember. One that cannot be loaded does not keep the service from starting.
    pub async fn start(parts: Parts<C, B, I>) -> Result<Self, ServiceError> {
        let Parts { controller, loader, collector, wish, configuration, turns, telemetry, hooks } = parts;
        controller.keep_market();
        let shared = Arc::new(Shared {
            controller,
            turns,
            waiting: Mutex::default(),
            telemetry,
            wake: Notify::new(),
            reload: Notify::new(),
            stop: CancellationToken::new(),
            api_failure: Mutex::default(),
            interval_ms: AtomicU64::default(),
        });
        shared.set_interval(wish.interval);
        let ticker = Ticker::start(Arc::clone(&shared), loader, collector, wish, configuration, hooks).await?;
        Ok(Self { shared, ticker })
    }

    /// What stops it.
    pub fn remote(&self) -> Remote<C, B, I> {
        Remote(Arc::clone(&self.shared))
    }

    /// Runs until it is stopped, or until a fault of ours ends it. The loops take turns on one task, each at every wait of
    /// another; what computes for long does so elsewhere.
    pub async fn run(self) -> Result<(), ServiceError> {
        let Self { shared, ticker } = self;
        let (mover, keeper) = (Mover::new(Arc::clone(&shared)), Keeper::new(Arc::clone(&shared)));
        let loops = async { tokio::join!(ticker.run(), mover.run(), keeper.run()) };
        let overdue = async {
            shared.stop.cancelled().await;
            sleep(GRACE).await;
        };
        let ended = async {
            tokio::select! {
                _ = loops => {}
                () = overdue => tracing::info!("cut off what was under way; it is in the journal"),
            }
        };
        let mut ended = pin!(ended);
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| ended.as_mut().poll(context)));
            polled.map_or_else(|panic| Poll::Ready(Err(panicked(panic))), |polled| polled.map(Ok))
        })
        .await
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> ServiceError {
    // A simulated stop is no panic: it ends this process, as far as the simulation goes.
    if panic.is::<crate::crash::Stopped>() {
        std::panic::resume_unwind(panic);
    }
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    ServiceError::Panicked(words.unwrap_or_else(|| "a panic without words".to_owned()))
}
