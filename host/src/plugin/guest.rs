//! The state of one call: what a store holds besides the guest's own memory.

use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{WasiCtxView, WasiView};

use super::engine::{EPOCH, Engine};
use super::log::{Log, LogLine};
use super::meter::Meter;
use super::moment::Moment;
use super::wasi::Wasi;
use super::{CallError, GuestTrace, Limit, Limits, LogLevel, text};

/// Most frames of a backtrace.
const FRAMES: usize = 20;

/// The longest function name that is taken apart.
const LONGEST_NAME: usize = 256;

/// What a store holds.
pub(super) struct Guest {
    moment: Moment,
    /// Made when it is first asked for: most guests never do.
    wasi: Option<Wasi>,
    resources: ResourceTable,
    log: Log,
    meter: Meter,
    epochs_left: u128,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi.get_or_insert_with(|| Wasi::empty(&self.moment));
        WasiCtxView { ctx: &mut wasi.context, table: &mut self.resources }
    }
}

impl Guest {
    /// Keeps a line that it logs.
    pub(super) fn log(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        Ok(self.log.write(level, message)?)
    }
}

/// A store for one call, within `limits`.
pub(super) fn store(engine: &Engine, limits: &Limits, moment: &Moment) -> wasmtime::Result<Store<Guest>> {
    let guest = Guest {
        moment: *moment,
        wasi: None,
        resources: resources(),
        log: Log::new(limits.log_lines),
        meter: Meter::new(limits.memory_bytes),
        epochs_left: limits.deadline.as_nanos().div_ceil(EPOCH.as_nanos()),
    };
    let mut store = Store::new(engine.wasmtime(), guest);
    store.limiter(|guest| &mut guest.meter);
    store.set_fuel(limits.fuel)?;
    store.set_hostcall_fuel(limits.crossing_bytes());
    store.set_epoch_deadline(1);
    // At each epoch the guest gives way, so that one that takes long does not keep everything else waiting.
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

/// What a call used: fuel, and bytes of memory.
pub(super) fn used(store: &Store<Guest>, limits: &Limits) -> (u64, usize) {
    (limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)), store.data().meter.memory())
}

/// What was logged and printed.
pub(super) fn log(store: Store<Guest>) -> Vec<LogLine> {
    let Guest { log, wasi, .. } = store.into_data();
    log.finish(&wasi.map(|wasi| wasi.printed.contents()).unwrap_or_default())
}

/// Why a guest broke off.
pub(super) fn failure(error: &wasmtime::Error, store: &Store<Guest>, limits: &Limits) -> CallError {
    let backtrace = backtrace(error);
    match over(error, store.data(), limits) {
        Some(limit) => CallError::Over { limit, backtrace },
        None => CallError::Trapped { reason: text::line(&reason(error), 500), backtrace },
    }
}

fn over(error: &wasmtime::Error, guest: &Guest, limits: &Limits) -> Option<Limit> {
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return Some(*limit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Some(Limit::Fuel(limits.fuel)),
        Some(Trap::Interrupt) => return Some(Limit::Deadline(limits.deadline)),
        _ => {}
    }
    // wasmtime has no public type for this one.
    if error.chain().any(|cause| cause.to_string().starts_with("too much data is being copied")) {
        return Some(Limit::Crossing(limits.crossing_bytes()));
    }
    guest.meter.refused()
}

/// The innermost cause: what is around it speaks of the host.
fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None => error.root_cause().to_string(),
    }
}

fn backtrace(error: &wasmtime::Error) -> GuestTrace {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return GuestTrace::default() };
    let frames = trace.frames().iter().take(FRAMES).enumerate();
    GuestTrace(frames.map(|(depth, frame)| format!("{depth}: {}", function_name(frame.func_name()))).collect())
}

/// A function's name as its source has it. A name is the guest's to choose: a long one could mean a text without end.
fn function_name(mangled: Option<&str>) -> String {
    match mangled {
        None => "<unknown>".to_owned(),
        Some(name) if name.len() <= LONGEST_NAME => text::line(&format!("{:#}", rustc_demangle::demangle(name)), 300),
        Some(name) => text::line(name, 300),
    }
}

/// Handles of WASI that one call may hold; wasmtime's own limit is a million.
fn resources() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(1000);
    table
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_name_is_shown_as_its_source_has_it() {
        assert_eq!(function_name(Some("_ZN6policy6decide17h0123456789abcdefE")), "policy::decide");
        assert_eq!(function_name(Some("spin\u{1b}[2J")), "spin\u{fffd}[2J");
        assert_eq!(function_name(None), "<unknown>");
    }

    #[test]
    fn a_name_that_means_a_text_without_end_is_cut_before_it_is_taken_apart() {
        // Each back reference stands for the whole of the type before it, twice.
        let endless = format!("_RMC0{}u{}", "TB_".repeat(100_000), "E".repeat(100_000));
        let started = Instant::now();

        let shown = function_name(Some(&endless));

        assert_eq!(shown.chars().count(), 301, "{shown}");
        assert!(shown.starts_with("_RMC0TB_") && shown.ends_with('…'), "{shown}");
        assert!(started.elapsed() < Duration::from_millis(100));
    }
}
