//! The wasmtime engine, configured so that calls are deterministic and always terminate.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use std::{fmt, thread};

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use crate::contract;
use crate::resource_limiter::MAX_TABLE_ELEMENTS;
use crate::store_data::StoreData;

/// The length of an epoch, and so the precision of the call timeout.
pub(super) const EPOCH_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum number of concurrent calls; further calls wait for a free slot.
pub(super) const MAX_CONCURRENT_CALLS: u32 = 16;

/// Maximum number of core instances, memories and tables of one component. A component written in a language other than
/// Rust has about ten instances and as many tables.
const CORE_INSTANCES: u32 = 50;
const MEMORIES: u32 = 4;
const TABLES: u32 = 20;

/// The engine and the linker shared by all components.
pub(super) struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<StoreData>,
    permits: Semaphore,
}

impl Engine {
    /// Starts the engine and a thread that advances the epoch until the engine is dropped.
    pub(super) fn start() -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&config(pool(MAX_CONCURRENT_CALLS).into())).or_else(|error| {
            // With a limited address space (`ulimit -v`), calls are slower but still correct.
            tracing::debug!("no room for an instance pool: {error:#}");
            wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand))
        })?;
        let mut linker = Linker::new(&engine);
        crate::wasi::add_to_linker(&mut linker)?;
        contract::add_to_linker(&mut linker)?;

        let counted = engine.weak();
        thread::Builder::new().name("plugin-epochs".to_owned()).spawn(move || {
            while let Some(engine) = counted.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(EPOCH_INTERVAL);
            }
        })?;
        Ok(Self { wasmtime: engine, linker, permits: Semaphore::new(MAX_CONCURRENT_CALLS as usize) })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(super) fn linker(&self) -> &Linker<StoreData> {
        &self.linker
    }

    /// Acquires a permit for one call; an instance slot is available while the permit is held.
    pub(super) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so acquiring always succeeds.
        self.permits.acquire().await.ok()
    }

    /// A hash that differs between engines that cannot run each other's code: other versions, settings or processors.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Creates an engine that compiles code for [`Engine`] but never runs any, so it needs no instance pool.
pub(super) fn compiler_engine() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand))
}

fn config(strategy: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No two calls share a store: disabling concurrency support saves about 15 % of a call.
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        // The three areas in which processors may produce different results.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        // Function names come from the name section. Debug information is controlled by the guest, and parsing it has
        // no limit.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .allocation_strategy(strategy);
    config
}

/// Reused instance slots, so that instantiation maps no memory. Measured with `target-tracking` and a fleet of 100 in
/// one build: 77 µs a call, compared to 117 µs with on-demand allocation.
///
/// The pool reserves address space, not memory: each slot takes 4 GiB, which avoids bounds checks.
fn pool(calls: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_stacks(calls)
        .max_unused_warm_slots(calls)
        .max_core_instances_per_component(CORE_INSTANCES)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .max_memories_per_component(MEMORIES)
        .total_memories(calls.saturating_mul(MEMORIES))
        .max_tables_per_component(TABLES)
        .total_tables(calls.saturating_mul(TABLES))
        .table_elements(MAX_TABLE_ELEMENTS)
        // The few pages used by a small guest are zeroed in place, which is faster than returning them to the kernel;
        // with kernel support (Linux 6.7 and later), only pages written to.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(512 * 1024)
        .table_keep_resident(64 * 1024);
    pool
}

#[cfg(test)]
mod tests;
