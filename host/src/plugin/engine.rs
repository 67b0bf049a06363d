//! wasmtime, set up so that the same call gives the same answer, and none can run for ever.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::contract;
use super::resource_limiter::MAX_TABLE_ELEMENTS;
use super::store_data::StoreData;

/// The length of an epoch: how exactly a deadline is kept.
pub(super) const EPOCH_INTERVAL: Duration = Duration::from_millis(10);

/// Calls at a time; more wait for their turn.
pub(super) const MAX_CONCURRENT_CALLS: u32 = 16;

/// Core instances, memories and tables of one component. One of another language brings about ten instances, and as many
/// tables.
const CORE_INSTANCES: u32 = 50;
const MEMORIES: u32 = 4;
const TABLES: u32 = 20;

/// The engine, and what every component is linked with.
pub(super) struct Engine {
    wasmtime: wasmtime::Engine,
    linker: Linker<StoreData>,
    permits: Semaphore,
}

impl Engine {
    /// Starts it, with a thread that counts epochs until the engine is dropped.
    pub(super) fn start() -> wasmtime::Result<Self> {
        let engine = wasmtime::Engine::new(&config(pool(MAX_CONCURRENT_CALLS).into())).or_else(|error| {
            // Where address space is limited (`ulimit -v`), calls are slower and right all the same.
            tracing::debug!("no room for a pool of instances: {error:#}");
            wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand))
        })?;
        let mut linker = Linker::new(&engine);
        super::wasi::add_to_linker(&mut linker)?;
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

    /// A turn for a call: as long as it is kept, there is room for an instance.
    pub(super) async fn acquire(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed, so there always is one.
        self.permits.acquire().await.ok()
    }

    /// Tells apart engines that cannot run each other's code: other versions, settings and processors.
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

/// An engine that makes code for [`Engine`] and runs none, so it needs no room for instances.
pub(super) fn compiler_engine() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(&config(InstanceAllocationStrategy::OnDemand))
}

fn config(strategy: InstanceAllocationStrategy) -> Config {
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
        // Names come from the name section. Debug information is the guest's to write, and reading it has no limit.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .allocation_strategy(strategy);
    config
}

/// Slots that are used again and again, so that making an instance maps no memory. Measured with `target-tracking` and a
/// fleet of 100 in one build: 77 µs a call, against 117 µs on demand.
///
/// All of it is address space, not memory: slots take 4 GiB each, which spares checks of bounds.
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
        // What a small guest uses is cleared by hand, which is faster than giving it back to the kernel; and only what it
        // wrote to, where the kernel can tell (Linux from 6.7 on).
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(512 * 1024)
        .table_keep_resident(64 * 1024);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compiles_and_what_runs_agree_on_the_code() {
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };

        assert_eq!(hash(&compiler_engine().unwrap()), Engine::start().unwrap().fingerprint());
    }
}
