//! The simulator: runs policies on traces of traffic and scores them against a proven lower bound.

mod bound;
mod columns;
mod compare;
mod faults;
pub mod gate;
mod key_values;
mod model;
mod number;
mod observation;
pub mod preset;
mod report;
mod runner;
pub mod scenario;
mod score;
#[cfg(test)]
mod tests;
mod traces;
mod tune;

pub use columns::{columns, rows};
pub use compare::{Comparison, compare, policy_row, total_ticks};
pub use faults::{Fault, FaultSchedule};
pub use gate::Rules;
pub use model::fluid::{Overload, Setup};
pub use model::requests::{Distribution, Service};
pub use number::{round_to_u64, to_f64};
pub use preset::{PRESETS, Preset};
pub use report::render_page;
pub use runner::{Progress, simulate};
pub use scenario::{BootTime, Model, Scenario};
pub use score::{PriceModel, Score};
pub use traces::{Generator, MAX_INTERVALS, ReadOptions, Repair, Trace, TraceError, read_file};
pub use tune::{MAX_PARAMETERS, Objective, Parameter, estimate_ticks, train_test_split, tune};
