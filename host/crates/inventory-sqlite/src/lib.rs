//! The SQLite adapter of the inventory: droplets with their history, and the operation journal, in a single file.
//!
//! `path` locates the file, `schema` opens it, migrates its schema and detects damage, `checksums` detects altered rows,
//! `backup` copies it, `lock` ensures a single writer, `rows` reads and writes rows. `sqlite_inventory` defines the
//! effect of a transition on a droplet's phase, but not when to make one.

mod backup;
mod checksums;
mod error;
mod lock;
mod path;
mod recovery_hint;
mod rows;
mod schema;
mod sqlite_inventory;
#[cfg(test)]
mod tests;

pub use error::SqliteError;
pub use lock::{ServiceLock, WriteLock};
pub use recovery_hint::RecoveryHint;
pub use sqlite_inventory::SqliteInventory;
