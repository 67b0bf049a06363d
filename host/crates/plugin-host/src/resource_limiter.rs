//! Resource limiter of a store: limits all memories of a guest together, unlike wasmtime's own limiter, which limits
//! each separately.

use wasmtime::ResourceLimiter;

use crate::error::Limit;

/// Maximum number of elements of all tables together. JavaScript and Python need about ten thousand.
pub(super) const MAX_TABLE_ELEMENTS: usize = 200_000;

/// Maximum number of core instances, memories and tables in one store. A component written in a language other than
/// Rust has about ten.
const MAX_INSTANCES: usize = 100;

/// The memory and tables used by one call, and the first limit that a request exceeded.
#[derive(Debug)]
pub(super) struct StoreLimiter {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
    exceeded: Option<Limit>,
}

impl StoreLimiter {
    pub(super) fn new(memory_limit: usize) -> Self {
        Self { memory_limit, memory: 0, table_elements: 0, exceeded: None }
    }

    /// Bytes of linear memory; memory never shrinks, so this is also the peak.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The first limit that prevented growth, if any.
    pub(super) fn exceeded_limit(&self) -> Option<Limit> {
        self.exceeded
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory.saturating_add(desired.saturating_sub(current));
        if sum > self.memory_limit {
            // A guest may recover, as a garbage collector does; if it traps instead, this is the cause.
            self.exceeded.get_or_insert(Limit::Memory(self.memory_limit));
            return Ok(false);
        }
        self.memory = sum;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.table_elements.saturating_add(desired.saturating_sub(current));
        if sum > MAX_TABLE_ELEMENTS {
            self.exceeded.get_or_insert(Limit::Tables(MAX_TABLE_ELEMENTS));
            return Ok(false);
        }
        self.table_elements = sum;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_INSTANCES
    }
}
