//! The time-series store: recent samples in memory, and all of them in SQLite at decreasing resolution.

pub(crate) mod downsampling;
pub(crate) mod error;
pub(crate) mod ring_buffer;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod time_series_store;
