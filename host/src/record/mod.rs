//! Decision records: each tick as it was, kept to be done again and to be explained.
//!
//! [`Recorder`] writes them, one cheap call a tick; [`Archive`] reads them. Both over the database of
//! [`crate::history`], where a record refers to the samples that the history has and keeps the others itself.
//! `codec` is the form of a record: all of it, as the difference (`delta`) to the one before. `table` has the statements of SQL, `windows`
//! the way from references to samples and back, `gist` what makes a record worth a line.
//!
//! What can be done with a record: [`replay`] asks its components again and compares bit for bit, [`other`] asks another
//! policy, [`counterfactual`] looks for the values at which the answer turns, [`loosened`] for what a rule of the guard
//! cut, [`explain`] says it all in sentences, [`export`] puts records, samples and components into one file. [`Components`]
//! finds a component by its digest. Nothing here acts, and nothing prints.

pub mod bundle;
mod codec;
mod components;
pub mod counterfactual;
#[cfg(test)]
pub(crate) mod decision_record;
mod delta;
mod error;
pub mod explain;
mod reader;
pub mod replay;
pub mod rule_impact;
mod sample_refs;
mod selection;
mod sqlite;
mod summary;
#[cfg(test)]
mod tests;
pub mod what_if;
mod writer;

pub use components::{Components, load_component as component_bytes};
pub use error::{Corruption, RecordError};
pub use reader::{LogReader, StoredRecord};
pub use selection::{InvalidRecordRange, RecordRange, RecordSelector};
pub use summary::RecordSummary;
pub use writer::{DEFAULT_RETENTION, LogWriter};
