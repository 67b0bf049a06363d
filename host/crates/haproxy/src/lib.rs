//! The HAProxy adapter: the configuration file is the source of truth, and the running process is reconciled with it.
//!
//! An update takes these steps: render (Tera) → doproxy's own checks → `haproxy -c` → install the file, keeping the
//! last good one beside it → if servers are only added, removed or change state, send commands to the running worker;
//! reload for any other change, or if the worker does not end up in the desired state → verify the servers of the
//! worker. If a step fails, the last good file is restored. Edits made outside doproxy are saved beside the file. If
//! file and process are already as desired, the update is a no-op. A warming or draining droplet is in the file with
//! weight 0: it is health-checked and receives no new sessions.
//!
//! The head of [`BUILT_IN_TEMPLATE`] documents the variables of a template. `apply` is the transaction of an update and
//! `update` has its operations; `update_plan` selects the method, based on the state of file and worker that
//! `parsed_config`, `running_server` and `loaded_config` report; `runtime_update` and `reload` implement the two
//! methods. Queries to HAProxy are in `runtime_api`, its statistics in `stats`; [`Process`] runs an HAProxy for the demo
//! and for tests.

mod apply;
mod config_file;
mod counters;
mod desired_server;
mod error;
mod escape;
mod failed_update;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod haproxy;
mod lint;
mod loaded_config;
mod options;
mod parsed_config;
mod process;
mod reload;
mod reload_command;
mod reload_error;
mod reload_throttle;
mod running_server;
mod runtime_api;
mod runtime_update;
mod socket_error;
mod stats;
mod table;
mod template;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
mod update;
mod update_plan;
mod validate;

pub use counters::Counters;
pub use error::HaProxyError;
pub use failed_update::{DiskState, FailedUpdate, ProcessState};
pub use haproxy::HaProxy;
pub use options::{Deadlines, Options, ReloadMethod, RunAs, Timeouts, UpdateMode};
pub use process::Process;
pub use reload_error::ReloadError;
pub use socket_error::SocketError;
pub use template::BUILT_IN_TEMPLATE;
