//! The decision log: a record of each tick, for replay and explanation.
//!
//! [`LogWriter`] writes records, with one cheap call per tick; [`LogReader`] reads them. Both use the database of the
//! time-series store: a record refers to the samples in it and contains the others itself. `codec` defines the format
//! of a record as a difference (`delta`) to the previous one, `sqlite` has the SQL statements, `sample_refs` converts
//! between samples and references, and `summary` determines which records are significant.
//!
//! Operations on records: [`replay`] re-evaluates the components and compares the results bit by bit, `what_if`
//! evaluates a different policy, [`counterfactual`] searches for tipping points, `rule_impact` determines the impact of
//! each guard rule, [`explain`] describes a record in sentences, and `bundle` writes records, samples and components to
//! one file. [`Components`] finds a component by its digest. Nothing here modifies a fleet or prints.

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
