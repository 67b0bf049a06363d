//! The state of one call: the store data outside the guest's own memory.

use doproxy_support::sanitize;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::call_context::CallContext;
use crate::engine::{EPOCH_INTERVAL, Engine};
use crate::error::{CallError, GuestTrace, Limit};
use crate::limits::Limits;
use crate::log::{Log, LogLevel, LogLine};
use crate::resource_limiter::StoreLimiter;
use crate::wasi::Wasi;

/// Maximum number of frames in a backtrace.
const MAX_FRAMES: usize = 20;

/// Maximum length of a function name that is demangled.
const MAX_NAME_LEN: usize = 256;

/// The data in a store.
pub struct StoreData {
    context: CallContext,
    /// Created on first use: most guests never use WASI.
    wasi: Option<Wasi>,
    resources: ResourceTable,
    log: Log,
    limiter: StoreLimiter,
    epochs_left: u128,
}

impl WasiView for StoreData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::isolated(&self.context));
        WasiCtxView { ctx: &mut wasi.context, table: &mut self.resources }
    }
}

impl StoreData {
    /// Records a line logged by the guest.
    pub(super) fn log(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        Ok(self.log.write(level, message)?)
    }
}

/// Creates a store for one call with the given limits.
pub(super) fn store(engine: &Engine, limits: &Limits, context: &CallContext) -> wasmtime::Result<Store<StoreData>> {
    let guest = StoreData {
        context: *context,
        wasi: None,
        resources: resource_table(),
        log: Log::new(limits.log_lines),
        limiter: StoreLimiter::new(limits.memory_bytes),
        epochs_left: limits.call_timeout.as_nanos().div_ceil(EPOCH_INTERVAL.as_nanos()),
    };
    let mut store = Store::new(engine.wasmtime(), guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_fuel(limits.fuel)?;
    store.set_hostcall_fuel(limits.transfer_bytes());
    store.set_epoch_deadline(1);
    // The guest yields at each epoch, so that a long call does not block other tasks.
    store.epoch_deadline_callback(|mut store| {
        let left = &mut store.data_mut().epochs_left;
        if *left == 0 {
            return Ok(UpdateDeadline::Interrupt);
        }
        *left -= 1;
        Ok(UpdateDeadline::Yield(1))
    });
    Ok(store)
}

/// Returns the resources used by a call: fuel, and bytes of memory.
pub(super) fn usage(store: &Store<StoreData>, limits: &Limits) -> (u64, usize) {
    (limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)), store.data().limiter.memory())
}

/// Returns the lines logged and printed by the guest.
pub(super) fn take_log(store: Store<StoreData>) -> Vec<LogLine> {
    let StoreData { log, wasi, .. } = store.into_data();
    log.finish(&wasi.map(|wasi| wasi.output.contents()).unwrap_or_default())
}

/// Converts a failed call into its error.
pub(super) fn call_error(error: &wasmtime::Error, store: &Store<StoreData>, limits: &Limits) -> CallError {
    let backtrace = backtrace(error);
    match exceeded_limit(error, store.data(), limits) {
        Some(limit) => CallError::LimitExceeded { limit, backtrace },
        None => CallError::Trapped { reason: sanitize::sanitize_line(&root_cause(error), 500), backtrace },
    }
}

fn exceeded_limit(error: &wasmtime::Error, guest: &StoreData, limits: &Limits) -> Option<Limit> {
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return Some(*limit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Some(Limit::Fuel(limits.fuel)),
        Some(Trap::Interrupt) => return Some(Limit::CallTimeout(limits.call_timeout)),
        _ => {}
    }
    // wasmtime has no public type for this error.
    if error.chain().any(|cause| cause.to_string().starts_with("too much data is being copied")) {
        return Some(Limit::Transfer(limits.transfer_bytes()));
    }
    guest.limiter.exceeded_limit()
}

/// Returns the innermost cause; the outer errors describe the host.
fn root_cause(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    }
}

fn backtrace(error: &wasmtime::Error) -> GuestTrace {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return GuestTrace::default() };
    let frames = trace.frames().iter().take(MAX_FRAMES).enumerate();
    GuestTrace(frames.map(|(depth, frame)| format!("{depth}: {}", function_name(frame.func_name()))).collect())
}

/// Returns the demangled name of a function. Guests choose their names, and a long one could expand without bound.
fn function_name(mangled: Option<&str>) -> String {
    match mangled {
        None => "<unknown>".to_owned(),
        Some(name) if name.len() <= MAX_NAME_LEN => {
            sanitize::sanitize_line(&format!("{:#}", rustc_demangle::demangle(name)), 300)
        }
        Some(name) => sanitize::sanitize_line(name, 300),
    }
}

/// Creates the table of WASI handles for one call; wasmtime's own limit is a million handles.
fn resource_table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(1000);
    table
}

#[cfg(test)]
mod tests;
