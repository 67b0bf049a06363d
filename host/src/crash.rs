//! Where a test may stop the process: before and after each durable write, each call of the API, and each action on a
//! file, a socket or another program.
//!
//! Points have no numbers in the code: they are counted as they are passed, so that a new one is found by the test that
//! stops at each. `DOPROXY_CRASH_TRACE=FILE` appends the name of each to a file, and `DOPROXY_CRASH_AT=N` aborts the
//! process at the N-th; a simulation uses [`stop_at`] on its own thread instead. Release builds have none of it.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a simulated stop unwinds with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// Carries out `action` between two points.
pub fn around<T>(what: &'static str, action: impl FnOnce() -> T) -> T {
    point("before", what);
    let result = action();
    point("after", what);
    result
}

/// As [`around`], for what takes time.
pub async fn around_async<T>(what: &'static str, action: impl Future<Output = T>) -> T {
    point("before", what);
    let result = action.await;
    point("after", what);
    result
}

/// From here on this thread passes points: it unwinds with [`Stopped`] at the `at`-th, where there is one. Answers how
/// many were passed since the last call.
pub fn stop_at(at: Option<u64>) -> u64 {
    SIMULATED.with_borrow_mut(|simulated| simulated.replace(Simulated { passed: 0, at }).map_or(0, |old| old.passed))
}

#[derive(Debug)]
struct Simulated {
    passed: u64,
    at: Option<u64>,
}

thread_local! {
    static SIMULATED: RefCell<Option<Simulated>> = const { RefCell::new(None) };
}

/// What the environment asks of this process.
#[derive(Debug)]
struct Armed {
    at: Option<u64>,
    trace: Option<File>,
    passed: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED
        .get_or_init(|| {
            let at = std::env::var("DOPROXY_CRASH_AT").ok().and_then(|at| at.parse().ok());
            let trace = std::env::var_os("DOPROXY_CRASH_TRACE")
                .and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
            (at.is_some() || trace.is_some()).then(|| Armed { at, trace, passed: AtomicU64::new(0) })
        })
        .as_ref()
}

fn point(side: &str, what: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some(armed) = armed() {
        let passed = armed.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(mut trace) = armed.trace.as_ref() {
            // Without the trace the test that reads it fails; nothing else depends on it.
            let _ = writeln!(trace, "{side} {what}");
        }
        if armed.at == Some(passed) {
            std::process::abort();
        }
    }
    let stops = SIMULATED.with_borrow_mut(|simulated| {
        simulated.as_mut().is_some_and(|simulated| {
            simulated.passed += 1;
            simulated.at == Some(simulated.passed)
        })
    });
    if stops {
        // Without the panic hook: it is no panic, and thousands of them would be written down.
        std::panic::resume_unwind(Box::new(Stopped));
    }
}
