//! Tests against a real HAProxy.

mod changes;
mod crashes;
mod disk;
mod edits;
mod failures;
mod gone;
mod harness;
mod load;
mod run_time;
mod same_server;
mod subtest;
mod text;
