//! The decision log: writes a record of each tick, reads, replays and explains them.

mod bundle;
mod codec;
mod components;
mod counterfactual;
mod delta;
mod error;
mod explain;
mod reader;
mod replay;
mod rule_impact;
mod sample_refs;
mod selection;
mod sqlite;
mod summary;
#[cfg(test)]
mod tests;
mod what_if;
mod writer;

pub use bundle::export;
pub use components::{Components, load_component};
pub use error::RecordError;
pub use explain::{explain, format_number};
pub use reader::{LogReader, StoredRecord};
pub use replay::{ReplayMismatch, ReplayResult, ReplaySummary, replay_all};
pub use selection::{RecordRange, RecordSelector};
pub use summary::RecordSummary;
pub use what_if::{Comparison, WhatIf};
pub use writer::{DEFAULT_RETENTION, LogWriter};
