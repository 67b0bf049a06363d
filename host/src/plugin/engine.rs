//! wasmtime, set up so that the same call gives the same answer, and none can run for ever.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, WasmBacktraceDetails};

use super::bindings::{log, types};
use super::guest::Guest;

/// The length of an epoch: how exactly a deadline is kept.
pub(super) const EPOCH: Duration = Duration::from_millis(10);

/// The engine, and what every component is linked with.
pub(super) struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<Guest>,
}

impl Engine {
    /// Starts it, with a thread that counts epochs until the engine is dropped.
    pub(super) fn start() -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&config())?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        log::add_to_linker::<Guest, wasmtime::component::HasSelf<Guest>>(&mut linker, |guest| guest)?;
        types::add_to_linker::<Guest, wasmtime::component::HasSelf<Guest>>(&mut linker, |guest| guest)?;

        let counted = engine.weak();
        thread::Builder::new().name("plugin-epochs".to_owned()).spawn(move || {
            while let Some(engine) = counted.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(EPOCH);
            }
        })?;
        Ok(Self { engine, linker })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(super) fn linker(&self) -> &Linker<Guest> {
        &self.linker
    }

    /// Tells apart engines that cannot run each other's code: other versions, settings and processors.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No two calls run in one store: worth about 15 % of a call.
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        // The three things in which one processor may differ from another.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        // Not what an environment variable says, so that an error reads the same everywhere.
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    config
}
