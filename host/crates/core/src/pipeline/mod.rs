//! The tick as pure functions: rates, observe, select, guard, plan.

mod evaluate;
mod guard;
mod observe;
mod rates;
mod scaling_history;
mod select;

pub use evaluate::{Evaluated, ScalingRules, evaluate, requested_prices};
pub use guard::circuit_breaker::{BreakerTrip, WINDOW, check};
pub use guard::guard;
pub use observe::{ObserveInput, observe};
pub use rates::{BalancerSample, FleetLoad, REQUESTS_PER_SECOND, SERIES, ServerLoad};
pub use scaling_history::ScalingHistory;
pub use select::select;
