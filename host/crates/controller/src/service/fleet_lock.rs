//! The right to modify the fleet, shared by the loops of this process and exclusive between processes.
//!
//! The inventory's write lock is held for one tick or pass and released in between, so that manual commands get a
//! chance. Within this process the loops share the lock: each change is a transaction with its own precondition, and a
//! pass that waits for the API must not delay a tick.

use std::sync::{Arc, Weak};

use doproxy_core::seams::{Inventory, InventoryError};
use tokio::sync::Mutex;

/// The command name that other processes see while they wait.
const COMMAND: &str = "run";

/// Acquires the right to modify the fleet, repeatedly.
pub struct FleetLock<I: Inventory> {
    held: Mutex<Weak<I::Lock>>,
}

/// Grants the right to modify the fleet until it is dropped.
pub struct FleetLockGuard<I: Inventory>(#[expect(dead_code, reason = "held, not read")] Arc<I::Lock>);

impl<I: Inventory> Default for FleetLock<I> {
    fn default() -> Self {
        Self { held: Mutex::new(Weak::new()) }
    }
}

impl<I: Inventory> FleetLock<I> {
    /// Acquires the lock of `inventory` without waiting; fails if another process holds it.
    pub async fn try_acquire(&self, inventory: &I) -> Result<FleetLockGuard<I>, InventoryError> {
        let mut held = self.held.lock().await;
        if let Some(lock) = held.upgrade() {
            return Ok(FleetLockGuard(lock));
        }
        let lock = Arc::new(inventory.try_lock(COMMAND).await?);
        *held = Arc::downgrade(&lock);
        Ok(FleetLockGuard(lock))
    }
}

#[cfg(test)]
mod tests {
    use doproxy_inventory_sqlite::SqliteInventory;

    use super::*;

    #[tokio::test]
    async fn loops_share_the_lock_and_exclude_other_processes() {
        let dir = tempfile::tempdir().unwrap();
        let inventory = SqliteInventory::open(dir.path().join("doproxy.db")).unwrap();
        let (ours, theirs) = (FleetLock::default(), FleetLock::default());

        let (one, two) = (ours.try_acquire(&inventory).await.unwrap(), ours.try_acquire(&inventory).await.unwrap());
        drop(one);
        let refused = theirs.try_acquire(&inventory).await.err().unwrap().to_string();
        assert!(refused.contains("doproxy run"), "{refused}");
        drop(two);

        theirs.try_acquire(&inventory).await.unwrap();
    }
}
