//! Errors of the controller. Operations that were started stay in the journal, and the next command resumes them.

use std::error::Error;
use std::time::Duration;

use doproxy_core::domain::{DropletName, Phase};
use doproxy_core::pipeline::BreakerTrip;
use doproxy_core::seams::{CloudError, InventoryError, InventoryErrorKind, Maintenance};

/// An error that stops the controller.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The cloud rejected the request or is unreachable.
    #[error("{}", .0.with_hint())]
    Cloud(#[from] CloudError),
    /// The load balancer could not be changed or read.
    #[error("{0}")]
    Balancer(#[source] Box<dyn Error + Send + Sync>),
    /// The inventory could not be changed or read.
    #[error("{0}")]
    Inventory(#[from] InventoryError),
    /// A plugin failed.
    #[error("{0}")]
    Plugin(#[source] Box<dyn Error + Send + Sync>),
    /// The user data is invalid.
    #[error("invalid user data for {droplet}: {why}")]
    UserData {
        /// The droplet for which it was generated.
        droplet: String,
        /// The reason.
        why: String,
    },
    /// The API does not list the requested size.
    #[error("DigitalOcean has no size {size:?}{suggestion}; run `doproxy check` to list the available sizes")]
    UnknownSize {
        /// The requested slug.
        size: String,
        /// The most similar slug that exists.
        suggestion: String,
    },
    /// A droplet without an ID cannot be deleted.
    #[error("{0} has not been created yet; retry once it has an ID")]
    NotCreatedYet(DropletName),
    /// A wait exceeded its deadline.
    #[error(
        "{droplet} is still {phase} after {elapsed:?}; the operation stays in the journal and the next command resumes it"
    )]
    Overdue {
        /// The droplet.
        droplet: DropletName,
        /// Its phase.
        phase: Phase,
        /// Time spent in the phase.
        elapsed: Duration,
    },
    /// None of the inventory's droplets exists at the API.
    #[error(
        "none of the {0} inventory droplets exist at DigitalOcean; nothing was changed. Check the token and API URL, or run `doproxy recover --prune-missing` if they were deleted elsewhere"
    )]
    AllMissing(usize),
    /// Prices have not been fetched since the process started. Transient.
    #[error("droplet prices are not available yet; waiting for the first response of the API")]
    PricesUnavailable,
    /// The fleet is in maintenance mode.
    #[error("the fleet is in maintenance mode (since {}: {}); run `doproxy maintenance off` to resume", .0.since, .0.reason)]
    InMaintenance(Maintenance),
    /// A circuit breaker is open: creates are too frequent or keep failing.
    #[error("{0}; pass --force to create anyway")]
    Breaker(BreakerTrip),
    /// The request is invalid and was not sent to the API.
    #[error("{0}")]
    InvalidRequest(String),
    /// Every droplet of a create was abandoned.
    #[error("{}", .0.join("\n"))]
    Abandoned(Vec<String>),
}

impl ControllerError {
    /// Reports whether another process changed the same data. Nothing was changed, and the operation can be retried.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Inventory(error) if error.kind == InventoryErrorKind::Conflict)
    }

    pub(super) fn balancer(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Balancer(Box::new(error))
    }
}
