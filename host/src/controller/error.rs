//! What stops the controller; whatever it had begun stays in the journal and is carried on by the next command.

use std::error::Error;
use std::time::Duration;

use super::circuit_breaker::BreakerTrip;
use crate::cloud::CloudError;
use crate::inventory::Freeze;
use crate::inventory::sqlite::InventoryError;
use crate::model::{DropletName, Phase};

/// What stops the controller.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The cloud refused, or cannot be reached.
    #[error("{}", .0.with_hint())]
    Cloud(#[from] CloudError),
    /// The balancer could not be changed or read.
    #[error("{0}")]
    Balancer(#[source] Box<dyn Error + Send + Sync>),
    /// The inventory could not be changed or read.
    #[error("{0}")]
    Inventory(#[source] Box<dyn Error + Send + Sync>),
    /// A plugin failed.
    #[error("{0}")]
    Plugin(#[source] Box<dyn Error + Send + Sync>),
    /// The user data cannot be sent.
    #[error("the user data of {droplet} cannot be sent: {why}")]
    UserData {
        /// The droplet that it was made for.
        droplet: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing of the wanted size.
    #[error("DigitalOcean has no size {size:?}{suggestion}; `doproxy check` lists what there is")]
    UnknownSize {
        /// The slug that was asked for.
        size: String,
        /// The nearest that there is.
        suggestion: String,
    },
    /// A droplet that does not exist yet cannot be deleted.
    #[error("{0} is still being asked for; try again when it has an id")]
    NotCreatedYet(DropletName),
    /// A wait took longer than the configuration allows.
    #[error(
        "{droplet} is still {phase} after {elapsed:?}; the operation stays in the journal, and the next command carries it on"
    )]
    Overdue {
        /// The droplet.
        droplet: DropletName,
        /// Where it is.
        phase: Phase,
        /// How long it has been there.
        elapsed: Duration,
    },
    /// Not one droplet of the inventory is at the API.
    #[error(
        "nothing that the inventory has (droplets: {0}) is at DigitalOcean: is this the token of the right account, and the right API? Nothing was changed. If they were really deleted elsewhere, `doproxy recover --forget` takes them out of the inventory"
    )]
    AllMissing(usize),
    /// The API was asked for prices and has not answered yet, since the process began. Passes.
    #[error("what droplets cost is not known yet: the API has not said")]
    PricesUnavailable,
    /// Somebody froze the fleet.
    #[error("the fleet is frozen since {}: {}; `doproxy unfreeze` lifts it", .0.since, .0.reason)]
    Frozen(Freeze),
    /// Too much was created, or too little came of it.
    #[error("{0}; `--force` creates all the same")]
    Breaker(BreakerTrip),
    /// What was asked for cannot be asked of the API.
    #[error("{0}")]
    InvalidRequest(String),
    /// Every droplet of a create was given up.
    #[error("{}", .0.join("\n"))]
    Abandoned(Vec<String>),
}

impl ControllerError {
    /// Whether somebody else changed what was about to be changed: nothing was, and it can be done anew.
    pub fn is_conflict(&self) -> bool {
        let Self::Inventory(error) = self else { return false };
        error
            .downcast_ref()
            .is_some_and(|error: &InventoryError| matches!(error, InventoryError::PreconditionFailed(_)))
    }

    pub(super) fn balancer(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Balancer(Box::new(error))
    }

    pub(in crate::controller) fn inventory(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Inventory(Box::new(error))
    }
}
