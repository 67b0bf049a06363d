//! In-process conversion of a core module to a component.

use std::fmt;
use std::path::Path;

use doproxy_core::domain::PluginKind;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::build::BuildError;

/// Converts a core module without embedded world information to a component for the world of `kind` in the directory
/// `wit`.
pub(super) fn from_core_module(module: &[u8], wit: &Path, kind: PluginKind) -> Result<Vec<u8>, BuildError> {
    let of_contract = "failed to read the contract in wit/";
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).map_err(component_error(of_contract))?;
    let world = resolve.select_world(&[package], Some(kind.world())).map_err(component_error(of_contract))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(component_error(of_contract))?;

    let no_component = "failed to convert the module to a component of the contract";
    let mut encoder =
        ComponentEncoder::default().validate(true).module(&module).map_err(component_error(no_component))?;
    if imports_preview1(&module) {
        // A libc based on WASI 0.1 gets an adapter to WASI 0.2, which the host links as stubs.
        encoder = encoder
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
            .map_err(component_error(no_component))?;
    }
    encoder.encode().map_err(component_error(no_component))
}

fn component_error<E: fmt::Display>(what: &'static str) -> impl FnOnce(E) -> BuildError {
    move |error| BuildError::Component { what, reason: format!("{error:#}") }
}

fn imports_preview1(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).any(|payload| {
        let Ok(Payload::ImportSection(section)) = payload else { return false };
        section.into_imports().flatten().any(|import| import.module == WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME)
    })
}
