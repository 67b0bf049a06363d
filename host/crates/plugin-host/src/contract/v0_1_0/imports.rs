//! The interfaces that the host provides to components of this version.

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

use super::bindings::{log, types};
use super::convert;
use crate::store_data::StoreData;

/// The version in the names of interfaces.
pub(crate) const NAME: &str = "0.1.0";

/// The interfaces of the contract that a component of this version may import.
pub(crate) const IMPORTS: [&str; 2] = ["log", "types"];

/// Adds the interfaces available to components of this version to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<StoreData>) -> Result<()> {
    log::add_to_linker::<StoreData, HasSelf<StoreData>>(linker, |guest| guest)?;
    types::add_to_linker::<StoreData, HasSelf<StoreData>>(linker, |guest| guest)
}

impl log::Host for StoreData {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.log(convert::level(level), &message)
    }
}

impl types::Host for StoreData {}
