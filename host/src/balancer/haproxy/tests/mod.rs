//! Against the real HAProxy.

mod changes;
mod crashes;
mod disk;
mod edits;
mod failures;
mod gone;
mod part;
mod rig;
mod text;
