//! Deadlines of a droplet's lifecycle.

use std::time::Duration;

/// Deadlines of the lifecycle phases; a droplet that exceeds one is abandoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// The list-consistency window: a droplet that has not appeared this long after a request with an unknown outcome
    /// was never created. Lists lag behind creates by seconds.
    pub create_visibility: Duration,
    /// From ID to `active` with an address.
    pub boot: Duration,
    /// From address to a passed health check.
    pub warm_up: Duration,
    /// For open sessions to end.
    pub drain: Duration,
    /// From the delete request until the API returns 404.
    pub delete: Duration,
    /// The interval between two reconcile passes while a command waits.
    pub poll_interval: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            create_visibility: Duration::from_mins(2),
            boot: Duration::from_mins(10),
            warm_up: Duration::from_mins(10),
            drain: Duration::from_mins(1),
            delete: Duration::from_mins(10),
            poll_interval: Duration::from_secs(5),
        }
    }
}
