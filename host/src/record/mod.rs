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

mod archive;
mod codec;
mod components;
pub mod counterfactual;
mod delta;
mod error;
pub mod explain;
pub mod export;
mod gist;
pub mod loosened;
pub mod other;
mod recorder;
pub mod replay;
#[cfg(test)]
pub(crate) mod sample;
mod selection;
mod table;
#[cfg(test)]
mod tests;
mod windows;

pub use archive::{Archive, Recorded};
pub use components::{Components, kept as component_bytes};
pub use error::{Damage, RecordError};
pub use gist::Gist;
pub use recorder::{DEFAULT_RETENTION, Recorder};
pub use selection::{InvalidSelection, Selection, Which};
