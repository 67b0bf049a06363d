//! Plain data and its rules: what a droplet, an observation, a decision and a plan are.
//!
//! No I/O, no async, and no knowledge of any other module.

pub mod decision;
pub mod droplet;
pub mod guard;
pub mod ids;
pub mod money;
pub mod observation;
pub mod operation;
pub mod pause;
pub mod phase;
pub mod plan;
pub mod plugin;
pub mod record;
pub mod secret;
pub mod time;
pub mod user_data;

pub use decision::{Change, Decision, DropletRequest, Outcome, ScaleTo, Signal};
pub use droplet::{Droplet, Template};
pub use guard::{Creates, Fallback, GuardFacts, GuardRules, VictimOrder};
pub use ids::{DropletId, DropletName, FleetName, InvalidName, OperationId, Tag};
pub use money::{HourlyPrice, Money};
pub use observation::{
    Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Sample, Series, SeriesId, SeriesRef,
};
pub use operation::{Operation, OperationKind, OperationState};
pub use pause::{Direction, Pause, Pauses};
pub use phase::Phase;
pub use plan::{Cut, Plan, PlannedCreate, PlannedDelete};
pub use plugin::{Manifest, MetricNeed, PluginKind, Problem};
pub use record::{Answer, Mode, RecordId, Rung, TickOutcome, TickRecord, Trigger};
pub use secret::Token;
pub use time::Timestamp;
pub use user_data::{UserData, UserDataKind, UserDataRequest};
