//! Traces: requests per second over time, from files of several formats and from generators.
//!
//! `read` detects the format of a file and dispatches to its reader. `rows` turns the readers' rows into a trace with a
//! regular interval; it is the only place that reports or repairs irregularities. `synthetic` needs no file. Metrics
//! recorded by the host itself enter through [`Trace::from_samples`].

mod access_log;
mod csv;
mod error;
mod prometheus;
mod read;
mod rows;
mod synthetic;
mod trace;

pub use crate::traces::error::TraceError;
pub use crate::traces::read::{ReadOptions, read_file};
pub use crate::traces::rows::Repair;
pub use crate::traces::synthetic::Generator;
pub use crate::traces::trace::{MAX_INTERVALS, Trace};
