//! These modules with a real HAProxy on loopback.

mod changes;
mod failures;
mod rig;
mod text;
