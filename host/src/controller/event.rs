//! What happens while operations are carried on, for whoever watches: a terminal, a log, a test.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{DropletId, DropletName, Phase};

/// Something that happened. `Display` is a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The intent to create is on disk, and the request is about to be sent.
    Requesting {
        /// The droplets that one request asks for.
        droplets: Vec<DropletName>,
    },
    /// A droplet has an id.
    Created {
        /// Its name.
        droplet: DropletName,
        /// Its id.
        id: DropletId,
        /// It was found at the API after a request whose answer was lost.
        found: bool,
    },
    /// It is not known whether a request to create was carried out.
    OutcomeUnknown {
        /// The droplets that it asked for.
        droplets: Vec<DropletName>,
        /// Why.
        why: String,
    },
    /// The cloud could not do something now; it is tried again.
    Retrying {
        /// The droplet.
        droplet: DropletName,
        /// Why.
        why: String,
    },
    /// A droplet is in another phase.
    Phase {
        /// Its name.
        droplet: DropletName,
        /// The phase.
        phase: Phase,
        /// Its address, once it has one.
        address: Option<IpAddr>,
    },
    /// A droplet has another address.
    AddressChanged {
        /// Its name.
        droplet: DropletName,
        /// Where it was.
        from: Option<IpAddr>,
        /// Where it is.
        to: IpAddr,
    },
    /// A droplet is given up.
    Abandoned {
        /// Its name.
        droplet: DropletName,
        /// Why.
        why: String,
    },
    /// A droplet of the inventory is not at the API any more, and nobody asked for that.
    DropletMissing {
        /// Its name.
        droplet: DropletName,
        /// Its id.
        id: Option<DropletId>,
    },
    /// A request of ours made a droplet too much, or too late; it is deleted.
    DuplicateFound {
        /// The name that both have.
        droplet: DropletName,
        /// The one that goes.
        id: DropletId,
    },
    /// A droplet bears the fleet's tag, and the inventory does not know it. It is left alone.
    OrphanFound {
        /// Its name at the API, cleaned.
        name: String,
        /// Its id.
        id: DropletId,
        /// It was in the fleet before.
        former_member: bool,
    },
    /// A droplet that bears the fleet's tag was taken into the fleet.
    Adopted {
        /// Its name.
        droplet: DropletName,
        /// Its id.
        id: DropletId,
    },
    /// HAProxy has other servers, and no connection noticed.
    DynamicUpdate {
        /// The servers that it has now.
        servers: usize,
    },
    /// HAProxy was reloaded.
    Reloaded {
        /// The servers that it has now.
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
                f.write_str("asking DigitalOcean for ")?;
                list(f, droplets)
            }
            Self::Created { droplet, id, found: false } => write!(f, "{droplet} is booting (id {id})"),
            Self::Created { droplet, id, found: true } => {
                write!(f, "{droplet} was made after all and is booting (id {id})")
            }
            Self::OutcomeUnknown { droplets, why } => {
                f.write_str("it is not known whether the request for ")?;
                list(f, droplets)?;
                write!(f, " was carried out ({why}); looking for it")
            }
            Self::Retrying { droplet, why } => write!(f, "{droplet} waits: {why}"),
            Self::Phase { droplet, phase: Phase::Warming, address: Some(address) } => {
                write!(f, "{droplet} is active at {address}; waiting for its health check")
            }
            Self::Phase { droplet, phase: Phase::Draining, .. } => {
                write!(f, "{droplet} is draining: no new sessions, open ones may end")
            }
            Self::Phase { droplet, phase, .. } => write!(f, "{droplet} is {phase}"),
            Self::AddressChanged { droplet, from: Some(from), to } => write!(f, "{droplet} moved from {from} to {to}"),
            Self::AddressChanged { droplet, from: None, to } => write!(f, "{droplet} is at {to} now"),
            Self::Abandoned { droplet, why } => write!(f, "gave up {droplet}: {why}"),
            Self::DropletMissing { droplet, id } => {
                write!(f, "{droplet}")?;
                if let Some(id) = id {
                    write!(f, " (id {id})")?;
                }
                f.write_str(" is not at DigitalOcean any more, and not by our doing; taken out of the fleet")
            }
            Self::DuplicateFound { droplet, id } => {
                write!(f, "{droplet} was made twice or too late; deleting the one with id {id}")
            }
            Self::OrphanFound { name, id, former_member: came_back } => {
                let why = if *came_back { "left the inventory before" } else { "is not in the inventory" };
                write!(
                    f,
                    "{name} (id {id}) bears the fleet's tag and {why}; left alone. `doproxy recover` takes it in (--adopt) or deletes it (--delete-unknown)"
                )
            }
            Self::Adopted { droplet, id } => write!(f, "{droplet} (id {id}) is of the fleet now"),
            Self::DynamicUpdate { servers } => {
                write!(f, "HAProxy has {servers} server{} now (no reload)", if *servers == 1 { "" } else { "s" })
            }
            Self::Reloaded { servers } => {
                write!(f, "HAProxy reloaded with {servers} server{}", if *servers == 1 { "" } else { "s" })
            }
        }
    }
}

/// Passes events on; a clone passes them to the same place.
#[derive(Clone)]
pub struct EventSink(Arc<dyn Fn(&Event) + Send + Sync>);

impl EventSink {
    /// Calls `receive` with each event.
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
