//! Counting what a guest takes: all its memories together, not each alone as wasmtime's own limiter does.

use wasmtime::ResourceLimiter;

use super::Limit;

/// Elements of all tables together. JavaScript and Python need some ten thousand.
pub(super) const MAX_TABLE_ELEMENTS: usize = 200_000;

/// Core instances, memories and tables in one store. A component of another language brings about ten.
const MAX_INSTANCES: usize = 100;

/// What one call took, and the first limit that it was refused for.
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

    /// Bytes of linear memory; it never shrinks, so this is the most that there was.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// The limit that made something fail to grow, if that happened.
    pub(super) fn exceeded_limit(&self) -> Option<Limit> {
        self.exceeded
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let sum = self.memory.saturating_add(desired.saturating_sub(current));
        if sum > self.memory_limit {
            // A guest may cope with that, as a collector of garbage does; when it cannot, this tells why it trapped.
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
