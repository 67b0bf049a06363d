//! pipeline

pub(crate) mod evaluate;
pub(crate) mod guard;
pub(crate) mod observe;
pub mod rates;
pub(crate) mod scaling_history;
pub(crate) mod select;

pub use evaluate::{Evaluated, ScalingRules, evaluate, requested_prices};
pub use guard::circuit_breaker::{BreakerTrip, WINDOW, check};
pub use guard::guard;
pub use observe::{ObserveInput, observe};
pub use rates::{BalancerSample, REQUESTS_PER_SECOND, SERIES};
pub use scaling_history::ScalingHistory;
pub use select::select;
