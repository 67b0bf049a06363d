//! Plain data and its rules: droplets, observations, decisions and plans.
//!
//! No I/O, no async code, and no dependency on any other module.

pub mod api_token;
pub mod deadlines;
mod decision;
pub mod decision_record;
pub mod droplet;
pub mod guard_rules;
pub mod ids;
pub mod manifest;
pub mod money;
pub mod observation;
pub mod operation;
pub mod pause;
pub mod phase;
pub mod plan;
pub mod timestamp;
pub mod user_data;

pub use api_token::{Token, redacted};
pub use deadlines::Deadlines;
pub use decision::{Change, Decision, DropletRequest, Outcome, ScaleTo, Signal};
pub use decision_record::{AnswerSource, Evaluation, Mode, RecordId, TickOutcome, TickRecord, Trigger};
pub use droplet::{Droplet, Template};
pub use guard_rules::{CreateHistory, Fallback, GuardFacts, GuardRules, TerminationPolicy};
pub use ids::{DropletId, DropletName, FleetName, InvalidName, OperationId, Tag};
pub use manifest::{Manifest, MetricRequirement, PluginKind, Problem};
pub use money::{HourlyPrice, Money};
pub use observation::{
    Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Sample, Series, SeriesId, SeriesRef,
};
pub use operation::{Operation, OperationKind, OperationState};
pub use pause::{Direction, Pause, Pauses};
pub use phase::Phase;
pub use plan::{Plan, PlannedCreate, PlannedDelete, Restriction};
pub use timestamp::Timestamp;
pub use user_data::{MAX_BYTES, UserData, UserDataError, UserDataKind, UserDataRequest};
