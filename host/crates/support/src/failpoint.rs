//! Failpoints, at which a test can stop the process: before and after each durable write, each API call, and each
//! action on a file, a socket or another program.
//!
//! Failpoints have no numbers in the code: they are counted as they are passed, so the tests that stop at each one find
//! new failpoints automatically. `DOPROXY_FAILPOINT_TRACE=FILE` appends the name of each to a file, and
//! `DOPROXY_FAILPOINT=N` aborts the process at the N-th; a simulation uses [`abort_at`] on its own thread instead.
//! Failpoints are compiled out of release builds.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The panic payload of a simulated abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted;

/// Runs `action` between two failpoints.
pub fn failpoint<T>(what: &'static str, action: impl FnOnce() -> T) -> T {
    hit("before", what);
    let result = action();
    hit("after", what);
    result
}

/// Runs an async `action` between two failpoints.
pub async fn failpoint_async<T>(what: &'static str, action: impl Future<Output = T>) -> T {
    hit("before", what);
    let result = action.await;
    hit("after", what);
    result
}

/// Activates failpoints on this thread: the `at`-th one, if given, unwinds with [`Aborted`]. Returns the number of
/// failpoints passed since the last call.
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

/// The failpoint settings from the environment.
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
            let at = std::env::var("DOPROXY_FAILPOINT").ok().and_then(|at| at.parse().ok());
            let trace = std::env::var_os("DOPROXY_FAILPOINT_TRACE")
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
            // A missing trace fails the test that reads it; nothing else depends on it.
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
        // Bypasses the panic hook: this is a simulated abort, and thousands of messages would be logged.
        std::panic::resume_unwind(Box::new(Aborted));
    }
}
