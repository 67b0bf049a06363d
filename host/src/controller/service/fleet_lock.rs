//! Who changes the fleet now: the loops of this process together, or a command by hand in another.
//!
//! The inventory's write lock is held for a tick or a pass and let go between them, so that a command by hand gets its turn.
//! Within this process the loops share it: each change is a transaction with its own precondition, and a pass that waits
//! for the API must not delay a tick.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::inventory::sqlite::{InventoryError, WriteLock};

/// What other commands are told while they wait.
const COMMAND: &str = "run";

/// The right to change the fleet, time and again.
#[derive(Debug, Default)]
pub struct FleetLock {
    inventory: Option<PathBuf>,
    held: Mutex<Weak<WriteLock>>,
}

/// The right to change the fleet, until it is dropped.
#[derive(Debug, Clone)]
pub struct FleetLockGuard(#[expect(dead_code, reason = "held, not read")] Option<Arc<WriteLock>>);

impl FleetLock {
    /// Shared with other processes by the write lock of the inventory at `inventory`.
    pub fn for_inventory(inventory: PathBuf) -> Self {
        Self { inventory: Some(inventory), held: Mutex::default() }
    }

    /// For an inventory that no other process has.
    pub fn unshared() -> Self {
        Self::default()
    }

    /// A turn now; an error where another process has it.
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
    async fn loops_share_a_turn_and_other_processes_wait_for_its_end() {
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
