//! Tests against a real HAProxy.

mod changes;
mod crashes;
mod disk;
mod edits;
mod failures;
mod gone;
mod load;
mod part;
mod rig;
mod run_time;
mod same_server;
mod text;
