//! The SQLite adapter of the inventory: droplets, operation journal, write lock, backups.

mod backup;
mod checksums;
mod error;
mod lock;
mod path;
mod rows;
mod schema;
mod sqlite_inventory;
#[cfg(test)]
mod tests;

pub use error::SqliteError;
pub use lock::{ServiceLock, WriteLock};
pub use sqlite_inventory::SqliteInventory;
