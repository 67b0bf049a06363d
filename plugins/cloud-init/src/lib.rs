//! User-data generator: fills in templates, and packs several parts into the MIME message that cloud-init reads.
//!
//! [`template`] fills in, [`mime`] packs, [`config`] is what an operator sets, and [`generate`] is all of it over plain
//! data; the component around it only says what the contract's words are in its own.

pub mod config;
pub mod generate;
pub mod mime;
pub mod template;

#[cfg(target_family = "wasm")]
mod guest;
