//! The right to modify the fleet, shared by the loops of this process and exclusive between processes.
//!
//! The inventory's write lock is held for one tick or pass and released in between, so that manual commands get a
//! chance. Within this process the loops share the lock: each change is a transaction with its own precondition, and a
//! pass that waits for the API must not delay a tick.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::inventory::sqlite::{InventoryError, WriteLock};

/// The command name that other processes see while they wait.
const COMMAND: &str = "run";

/// Acquires the right to modify the fleet, repeatedly.
#[derive(Debug, Default)]
pub struct FleetLock {
    inventory: Option<PathBuf>,
    held: Mutex<Weak<WriteLock>>,
}

/// Grants the right to modify the fleet until it is dropped.
#[derive(Debug, Clone)]
pub struct FleetLockGuard(#[expect(dead_code, reason = "held, not read")] Option<Arc<WriteLock>>);

impl FleetLock {
    /// Creates a lock shared with other processes through the write lock of the inventory at `inventory`.
    pub fn for_inventory(inventory: PathBuf) -> Self {
        Self { inventory: Some(inventory), held: Mutex::default() }
    }

    /// Creates a lock for an inventory that no other process uses.
    pub fn unshared() -> Self {
        Self::default()
    }

    /// Acquires the lock without waiting; fails if another process holds it.
    pub async fn try_acquire(&self) -> Result<FleetLockGuard, InventoryError> {
        let Some(inventory) = &self.inventory else { return Ok(FleetLockGuard(None)) };
        let mut held = self.held.lock().await;
        if let Some(lock) = held.upgrade() {
            return Ok(FleetLockGuard(Some(lock)));
        }
        let lock = Arc::new(WriteLock::acquire(inventory, Duration::ZERO, COMMAND, |_| {}).await?);
        *held = Arc::downgrade(&lock);
        Ok(FleetLockGuard(Some(lock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loops_share_the_lock_and_exclude_other_processes() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = dir.path().join("doproxy.db");
        let (ours, theirs) = (FleetLock::for_inventory(inventory.clone()), FleetLock::for_inventory(inventory));

        let (one, two) = (ours.try_acquire().await.unwrap(), ours.try_acquire().await.unwrap());
        drop(one);
        let refused = theirs.try_acquire().await.unwrap_err().to_string();
        assert!(refused.contains("doproxy run"), "{refused}");
        drop(two);

        theirs.try_acquire().await.unwrap();
    }
}
