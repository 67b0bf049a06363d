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
pub struct Aborted;

/// Carries out `action` between two points.
pub fn failpoint<T>(what: &'static str, action: impl FnOnce() -> T) -> T {
    hit("before", what);
    let result = action();
    hit("after", what);
    result
}

/// As [`around`], for what takes time.
pub async fn failpoint_async<T>(what: &'static str, action: impl Future<Output = T>) -> T {
    hit("before", what);
    let result = action.await;
    hit("after", what);
    result
}

/// From here on this thread passes points: it unwinds with [`Stopped`] at the `at`-th, where there is one. Answers how
/// many were passed since the last call.
pub fn abort_at(at: Option<u64>) -> u64 {
    THREAD_FAILPOINTS.with_borrow_mut(|simulated| {
        simulated.replace(ThreadFailpoints { hits: 0, abort_at: at }).map_or(0, |old| old.hits)
    })
}

#[derive(Debug)]
struct ThreadFailpoints {
    hits: u64,
    abort_at: Option<u64>,
}

thread_local! {
    static THREAD_FAILPOINTS: RefCell<Option<ThreadFailpoints>> = const { RefCell::new(None) };
}

/// What the environment asks of this process.
#[derive(Debug)]
struct FailpointConfig {
    abort_at: Option<u64>,
    trace: Option<File>,
    hits: AtomicU64,
}

fn config() -> Option<&'static FailpointConfig> {
    static CONFIG: OnceLock<Option<FailpointConfig>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let at = std::env::var("DOPROXY_CRASH_AT").ok().and_then(|at| at.parse().ok());
            let trace = std::env::var_os("DOPROXY_CRASH_TRACE")
                .and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok());
            (at.is_some() || trace.is_some()).then(|| FailpointConfig { abort_at: at, trace, hits: AtomicU64::new(0) })
        })
        .as_ref()
}

fn hit(side: &str, what: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some(armed) = config() {
        let passed = armed.hits.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(mut trace) = armed.trace.as_ref() {
            // Without the trace the test that reads it fails; nothing else depends on it.
            let _ = writeln!(trace, "{side} {what}");
        }
        if armed.abort_at == Some(passed) {
            std::process::abort();
        }
    }
    let stops = THREAD_FAILPOINTS.with_borrow_mut(|simulated| {
        simulated.as_mut().is_some_and(|simulated| {
            simulated.hits += 1;
            simulated.abort_at == Some(simulated.hits)
        })
    });
    if stops {
        // Without the panic hook: it is no panic, and thousands of them would be written down.
        std::panic::resume_unwind(Box::new(Aborted));
    }
}
