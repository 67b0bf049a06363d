//! A component that is ready to be called, whatever its kind, and what is common to all calls.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::SemaphorePermit;
use wasmtime::Store;

use super::guest::{self, Guest};
use super::moment::Moment;
use super::schema::SchemaError;
use super::{CallError, Limit, LoadError, LogLine, PluginError, PluginHost, Reference};
use crate::model::Problem;

/// What a call used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallStats {
    /// Wall-clock time, from making the instance to dropping it.
    pub duration: Duration,
    /// Fuel: the same for the same call, on every machine.
    pub fuel: u64,
    /// Bytes of linear memory, all memories together.
    pub memory_bytes: usize,
}

/// An answer, and what came with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Called<T> {
    /// The answer.
    pub value: T,
    /// What the plugin logged and printed.
    pub log: Vec<LogLine>,
    /// What it used up.
    pub stats: CallStats,
}

/// A component that is ready to be called.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) host: PluginHost,
    pub(super) reference: Reference,
    pub(super) digest: String,
}

/// One call that is going on.
pub(super) struct Call<'a> {
    loaded: &'a Loaded,
    function: &'static str,
    started: Instant,
    /// Given back only after the store is dropped.
    turn: Option<SemaphorePermit<'a>>,
}

impl Loaded {
    /// Begins a call of `function`: a fresh store, and what is needed to end it.
    pub(super) async fn begin(
        &self,
        function: &'static str,
        moment: &Moment,
    ) -> Result<(Call<'_>, Store<Guest>), PluginError> {
        let turn = self.host.engine().turn().await;
        let started = Instant::now();
        let store = guest::store(self.host.engine(), self.host.limits(), moment)
            .map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        Ok((Call { loaded: self, function, started, turn }, store))
    }

    /// An error of this plugin's configuration.
    pub(super) fn config_error(&self, problems: Vec<Problem>) -> PluginError {
        PluginError::Config { reference: self.reference.clone(), problems }
    }

    /// What a check against the schema found.
    pub(super) fn refused(&self, error: SchemaError) -> PluginError {
        match error {
            SchemaError::Config(problems) => self.config_error(problems),
            SchemaError::Schema(reason) => {
                PluginError::Load { reference: self.reference.clone(), source: LoadError::Schema(reason) }
            }
        }
    }
}

impl Call<'_> {
    /// Waits for a guest, no longer than its deadline. Fuel and epochs stop one that runs; this stops one that waits in
    /// a call of the host.
    pub(super) async fn within_deadline<T>(
        &self,
        guest: impl Future<Output = wasmtime::Result<T>>,
    ) -> wasmtime::Result<T> {
        let deadline = self.loaded.host.limits().deadline;
        match tokio::time::timeout(deadline, guest).await {
            Ok(answer) => answer,
            Err(_) => Err(Limit::Deadline(deadline).into()),
        }
    }

    /// Ends the call: `check` makes the value of the answer, or says why it is none.
    pub(super) fn end<T, U>(
        self,
        store: Store<Guest>,
        answer: wasmtime::Result<T>,
        check: impl FnOnce(T) -> Result<U, CallError>,
    ) -> Result<Called<U>, PluginError> {
        let limits = self.loaded.host.limits();
        let value = match answer {
            Ok(answer) => check(answer),
            Err(error) => Err(guest::failure(&error, &store, limits)),
        };
        let (fuel, memory_bytes) = guest::used(&store, limits);
        let log = guest::log(store);
        drop(self.turn);
        match value {
            Ok(value) => {
                Ok(Called { value, log, stats: CallStats { duration: self.started.elapsed(), fuel, memory_bytes } })
            }
            Err(source) => Err(PluginError::Call {
                reference: self.loaded.reference.clone(),
                function: self.function,
                source: Box::new(source),
                log,
            }),
        }
    }
}
