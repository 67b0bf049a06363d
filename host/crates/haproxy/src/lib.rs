//! The HAProxy adapter: renders the configuration, applies changes through the Runtime API or a reload, reads statistics.

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
mod reload_throttle;
mod running_server;
mod runtime_api;
mod runtime_update;
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

pub use error::HaProxyError;
pub use haproxy::HaProxy;
pub use options::{Options, ReloadMethod, RunAs, UpdateMode};
pub use process::Process;
pub use template::BUILT_IN_TEMPLATE;
