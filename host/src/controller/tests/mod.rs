//! The controller in a simulated world, in virtual time.

mod create;
mod delete;
mod guard;
mod import;
mod interrupted;
mod safety;
mod world;
