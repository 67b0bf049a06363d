//! Plain data and its rules: what a droplet, an observation, a decision and a plan are.
//!
//! No I/O, no async, and no knowledge of any other module.

pub mod decision;
pub mod droplet;
pub mod ids;
pub mod money;
pub mod observation;
pub mod operation;
pub mod phase;
pub mod plan;
pub mod plugin;
pub mod secret;
pub mod time;
pub mod user_data;

pub use decision::{Change, Decision, DropletRequest, Outcome, ScaleTo, Signal};
pub use droplet::{Droplet, Template};
pub use ids::{DropletId, DropletName, FleetName, InvalidName, OperationId, Tag};
pub use money::HourlyPrice;
pub use observation::{Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Sample, Series};
pub use operation::{Operation, OperationKind, OperationState};
pub use phase::Phase;
pub use plan::{Cut, Plan, PlannedCreate, PlannedDelete};
pub use plugin::{Manifest, MetricNeed, PluginKind, Problem};
pub use secret::Token;
pub use time::Timestamp;
pub use user_data::{UserData, UserDataKind, UserDataRequest};
