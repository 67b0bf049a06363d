//! Making plugins: from nothing to a project, and from a project to a component.
//!
//! `scaffold` writes a project from the starters in `templates/plugin`; `project` reads what a folder says of itself;
//! `toolchain` finds the programs that a language needs, and says how to get those that are missing; `rust`, `python`,
//! `javascript` and `c` call them; `settled` makes the start of an engine repeatable; `component` makes a component of
//! a core module. Whatever the language, `strip` takes debug information out, `metadata` writes down who made it from
//! what, and `build` puts these together.
//!
//! The programs of a toolchain run as they are, on the author's own machine. They get no token in their environment.

mod c;
mod component;
pub mod component_metadata;
mod error;
mod javascript;
mod js_determinism;
mod project;
mod python;
mod rust;
mod scaffold;
mod strip;
mod tool;
mod toolchain;

pub use component_metadata::Metadata;
pub use error::BuildError;
pub use project::{Language, PackageMetadata, Project};
pub use scaffold::{ScaffoldError, scaffold};
pub use tool::{Built, build};
