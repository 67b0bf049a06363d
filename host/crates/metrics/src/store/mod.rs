//! store

pub(crate) mod downsampling;
pub(crate) mod error;
pub(crate) mod ring_buffer;
pub(crate) mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod time_series_store;
