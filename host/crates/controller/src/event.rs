//! Events emitted while operations run, for terminals, logs and tests.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use doproxy_core::domain::{DropletId, DropletName, Phase};

/// An event of the controller. `Display` formats it as one line for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The intent to create is journaled, and the request is about to be sent.
    Requesting {
        /// The droplets in the request.
        droplets: Vec<DropletName>,
    },
    /// A droplet has an ID.
    Created {
        /// The droplet's name.
        droplet: DropletName,
        /// The droplet's ID.
        id: DropletId,
        /// True if it was found by name after the response to the request was lost.
        found: bool,
    },
    /// The outcome of a create request is unknown.
    OutcomeUnknown {
        /// The droplets in the request.
        droplets: Vec<DropletName>,
        /// The reason.
        why: String,
    },
    /// The cloud failed to do something; the request will be retried.
    Retrying {
        /// The droplet.
        droplet: DropletName,
        /// The reason.
        why: String,
    },
    /// A droplet entered another phase.
    Phase {
        /// The droplet's name.
        droplet: DropletName,
        /// The phase.
        phase: Phase,
        /// The droplet's address, if it has one.
        address: Option<IpAddr>,
    },
    /// A droplet's address changed.
    AddressChanged {
        /// The droplet's name.
        droplet: DropletName,
        /// The previous address.
        from: Option<IpAddr>,
        /// The new address.
        to: IpAddr,
    },
    /// A droplet was abandoned.
    Abandoned {
        /// The droplet's name.
        droplet: DropletName,
        /// The reason.
        why: String,
    },
    /// A droplet of the inventory no longer exists at the API, although doproxy did not delete it.
    DropletMissing {
        /// The droplet's name.
        droplet: DropletName,
        /// The droplet's ID.
        id: Option<DropletId>,
    },
    /// A create request produced a surplus or late droplet, which is being deleted.
    DuplicateFound {
        /// The name that both droplets have.
        droplet: DropletName,
        /// The ID of the droplet that is being deleted.
        id: DropletId,
    },
    /// A droplet with the fleet's tag is missing from the inventory. It is left alone.
    OrphanFound {
        /// Its name at the API, without control characters.
        name: String,
        /// The droplet's ID.
        id: DropletId,
        /// True if the droplet was in the fleet before.
        former_member: bool,
    },
    /// A droplet with the fleet's tag was adopted into the fleet.
    Adopted {
        /// The droplet's name.
        droplet: DropletName,
        /// The droplet's ID.
        id: DropletId,
    },
    /// HAProxy's servers changed through the Runtime API; no connection was affected.
    DynamicUpdate {
        /// Number of servers after the change.
        servers: usize,
    },
    /// HAProxy was reloaded.
    Reloaded {
        /// Number of servers after the reload.
        servers: usize,
    },
}

fn list(f: &mut fmt::Formatter<'_>, names: &[DropletName]) -> fmt::Result {
    for (index, name) in names.iter().enumerate() {
        write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requesting { droplets } => {
                f.write_str("requesting from DigitalOcean: ")?;
                list(f, droplets)
            }
            Self::Created { droplet, id, found: false } => write!(f, "{droplet} is booting (id {id})"),
            Self::Created { droplet, id, found: true } => {
                write!(f, "{droplet} was created after all and is booting (id {id})")
            }
            Self::OutcomeUnknown { droplets, why } => {
                f.write_str("create request for ")?;
                list(f, droplets)?;
                write!(f, " has an unknown outcome ({why}); looking up the droplet by name")
            }
            Self::Retrying { droplet, why } => write!(f, "{droplet} will be retried: {why}"),
            Self::Phase { droplet, phase: Phase::Warming, address: Some(address) } => {
                write!(f, "{droplet} is active at {address}; waiting for its health check")
            }
            Self::Phase { droplet, phase: Phase::Draining, .. } => {
                write!(f, "{droplet} is draining: no new sessions, waiting for open ones to end")
            }
            Self::Phase { droplet, phase, .. } => write!(f, "{droplet} is {phase}"),
            Self::AddressChanged { droplet, from: Some(from), to } => {
                write!(f, "{droplet} changed its address from {from} to {to}")
            }
            Self::AddressChanged { droplet, from: None, to } => write!(f, "{droplet} now has the address {to}"),
            Self::Abandoned { droplet, why } => write!(f, "abandoned {droplet}: {why}"),
            Self::DropletMissing { droplet, id } => {
                write!(f, "{droplet}")?;
                if let Some(id) = id {
                    write!(f, " (id {id})")?;
                }
                f.write_str(" was deleted outside of doproxy; removed from the fleet")
            }
            Self::DuplicateFound { droplet, id } => {
                write!(f, "{droplet} has a duplicate; deleting the droplet with id {id}")
            }
            Self::OrphanFound { name, id, former_member: came_back } => {
                let why =
                    if *came_back { "was removed from the inventory before" } else { "is missing from the inventory" };
                write!(
                    f,
                    "{name} (id {id}) has the fleet's tag and {why}; left alone. Run `doproxy recover --adopt` to adopt it or `doproxy recover --delete-orphans` to delete it"
                )
            }
            Self::Adopted { droplet, id } => write!(f, "adopted {droplet} (id {id}) into the fleet"),
            Self::DynamicUpdate { servers } => {
                write!(
                    f,
                    "HAProxy updated to {servers} server{} without a reload",
                    if *servers == 1 { "" } else { "s" }
                )
            }
            Self::Reloaded { servers } => {
                write!(f, "HAProxy reloaded with {servers} server{}", if *servers == 1 { "" } else { "s" })
            }
        }
    }
}

/// Delivers events to a callback. Clones share the callback.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    /// Creates a sink that calls `receive` for each event.
    pub fn new(receive: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(receive))
    }

    pub(super) fn report(&self, event: &Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for EventSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
