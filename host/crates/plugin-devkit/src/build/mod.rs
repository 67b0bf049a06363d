//! Plugin development: creating projects and building components.
//!
//! `scaffold` creates a project from the starters in `templates/plugin`; `project` reads a project's manifest;
//! `toolchain` locates the programs that a language needs, and reports how to install missing ones; `rust`, `python`,
//! `javascript` and `c` run them; `js_determinism` makes the initialization of a JavaScript engine reproducible;
//! `component` converts a core module to a component. For all languages, `strip` removes debug information, `metadata`
//! records authors and producers, and `build` combines these steps.
//!
//! Toolchains run unmodified on the author's own machine, but without tokens in their environment.

pub(crate) mod built;
mod c;
mod component;
mod embed_metadata;
pub(crate) mod error;
mod javascript;
mod js_determinism;
mod python;
mod rust;
mod strip;
mod tool;
mod toolchain;

pub use crate::build::error::BuildError;
pub use crate::project::{Language, PackageMetadata, Project};
