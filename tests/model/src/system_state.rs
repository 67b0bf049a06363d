//! The state of the model: the journal, the droplets at the API, the requests in flight, the processes.

use crate::{Fault, Guard, Process, ProcessId, ProcessState, Protocol};

/// A droplet's ID: its index in the list of all droplets ever created, so that later droplets have higher IDs.
pub type Id = usize;

/// The maximum number of faults on one path through the model.
const MAX_FAULTS: u8 = 4;

/// A state of the whole system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SystemState {
    /// The durable state.
    pub journal: Journal,
    /// The existing and former droplets at the API.
    pub droplets: Vec<Droplet>,
    /// Create requests in flight, or with a response in flight.
    pub requests: Vec<Request>,
    /// Two processes that share a journal.
    pub processes: [Process; 2],
    /// The number of faults that may still occur.
    pub faults_left: u8,
    /// `true` if the API took longer than the grace period.
    pub grace_exceeded: bool,
    /// The violation that occurred, if any.
    pub violation: Option<Violation>,
}

/// A forbidden action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// The deletion of a droplet outside the fleet, or not created by the operation.
    DeletedForeignDroplet,
    /// The deletion of a droplet without a request to delete it.
    DeletedServingDroplet,
}

/// The durable state, which survives a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The operation, once it exists.
    pub create: Option<Create>,
    /// Surplus droplets created by our requests.
    pub duplicates: Vec<Duplicate>,
}

/// The operation that creates the droplet, and its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Create {
    /// `true` if a request may have been sent.
    pub sent: bool,
    /// The phase of the droplet.
    pub phase: Phase,
}

/// The lifecycle phase of the droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The create is pending.
    Requested,
    /// The droplet exists and belongs to the fleet.
    Serving(Id),
    /// The deletion is pending.
    Deleting(Id),
    /// The droplet is deleted, or has left the fleet.
    Closed(Id),
    /// The create was abandoned.
    Abandoned,
}

/// A surplus droplet created by our requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Duplicate {
    /// Its id.
    pub id: Id,
    /// `true` once its deletion is complete according to the journal.
    pub closed: bool,
}

/// A droplet at the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Droplet {
    /// Its creator; the protocol never reads this.
    pub origin: Origin,
    /// Its name.
    pub name: Name,
    /// `true` if it has the fleet's tag.
    pub tagged: bool,
    /// `true` if lists and look-ups show it.
    pub listed: bool,
    /// Its status at the API.
    pub status: DropletStatus,
    /// `true` if it was reported to the user.
    pub reported: bool,
}

/// The creator of a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operation of this model.
    Ours,
    /// The fleet, before its inventory was lost.
    Earlier,
    /// Another user of the same account.
    Foreign,
}

/// A droplet's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// The name in the operation.
    Requested,
    /// Any other name.
    Other,
}

/// The status of a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropletStatus {
    /// It exists and is billed.
    Active,
    /// Its deletion was accepted.
    Deleting,
    /// GET returns 404.
    Deleted,
}

/// A create request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// The process that waits for the response.
    pub from: Option<ProcessId>,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The request is in flight.
    InFlight,
    /// The request created this droplet.
    Created(Id),
    /// The request was rejected, and the response reports it.
    Rejected,
}

impl Journal {
    /// Returns the droplet adopted by the operation.
    pub fn adopted(&self) -> Option<Id> {
        match self.create?.phase {
            Phase::Serving(id) | Phase::Deleting(id) | Phase::Closed(id) => Some(id),
            Phase::Requested | Phase::Abandoned => None,
        }
    }

    /// Reports whether the operation still waits for its droplet.
    pub fn is_requested(&self) -> bool {
        self.create.is_some_and(|create| create.phase == Phase::Requested)
    }

    pub(crate) fn set(&mut self, sent: bool, phase: Phase) {
        self.create = Some(Create { sent, phase });
    }
}

impl SystemState {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let there = |origin, name, tagged| Droplet {
            origin,
            name,
            tagged,
            listed: true,
            status: DropletStatus::Active,
            reported: false,
        };
        let of_before = if protocol.has(Guard::UniqueName) { Name::Other } else { Name::Requested };
        Self {
            journal: Journal::default(),
            droplets: vec![there(Origin::Foreign, Name::Requested, false), there(Origin::Earlier, of_before, true)],
            requests: Vec::new(),
            processes: [Process::default(); 2],
            faults_left: MAX_FAULTS,
            grace_exceeded: false,
            violation: None,
        }
    }

    /// Returns the number of droplets ever created by the operation.
    pub fn created_count(&self) -> usize {
        self.droplets.iter().filter(|droplet| droplet.origin == Origin::Ours).count()
    }

    /// Reports whether every request has arrived and every list is complete.
    pub(crate) fn is_converged(&self) -> bool {
        self.requests.is_empty() && self.droplets.iter().all(|droplet| droplet.listed)
    }

    pub(crate) fn may_start(&self, protocol: Protocol, who: ProcessId) -> bool {
        let is_down = |process: &Process| process.state == ProcessState::Down;
        // The operating system owns the lock and releases it when its process ends.
        is_down(&self.processes[who]) && (self.processes.iter().all(is_down) || !protocol.has(Guard::Lock))
    }

    pub(crate) fn is_waiting_for_grace(&self, who: ProcessId) -> bool {
        let process = self.processes[who];
        let sent = self.journal.is_requested() && self.journal.create.is_some_and(|create| create.sent);
        process.state == ProcessState::Idle && !process.waited && sent
    }

    /// Executes a request at the API.
    pub(crate) fn create_droplet(&mut self, number: usize) {
        let id = self.droplets.len();
        self.droplets.push(Droplet {
            origin: Origin::Ours,
            name: Name::Requested,
            tagged: true,
            listed: false,
            status: DropletStatus::Active,
            reported: false,
        });
        self.requests[number].outcome = Outcome::Created(id);
    }

    /// Delivers the response to the waiting process.
    pub(crate) fn deliver_response(&mut self, number: usize) {
        let request = self.requests.remove(number);
        if let Some(who) = request.from {
            let at = &mut self.processes[who].state;
            *at = match (request.outcome, *at) {
                (Outcome::Created(id), _) => ProcessState::Responded(id),
                (_, ProcessState::AwaitingResponse { sent_before }) => ProcessState::Rejected { sent_before },
                (_, at) => at,
            };
        }
    }

    /// Drops the response, so that the waiting process gets an error.
    fn drop_response(&mut self, number: usize) {
        if let Some(who) = self.requests[number].from.take() {
            self.processes[who].state = ProcessState::Idle;
        }
    }

    pub(crate) fn apply_fault(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(who) => {
                self.processes[who] = Process::default();
                for request in self.requests.iter_mut().filter(|request| request.from == Some(who)) {
                    request.from = None;
                }
            }
            Fault::RequestLost(number) | Fault::ResponseLost(number) => {
                self.drop_response(number);
                self.requests.remove(number);
            }
            Fault::TimedOut(number) => self.drop_response(number),
            Fault::Rejected(number) => self.requests[number].outcome = Outcome::Rejected,
            Fault::GraceExceeded(who) => {
                self.processes[who].waited = true;
                self.grace_exceeded = true;
            }
            Fault::ClockSet(who) => self.processes[who].waited = true,
            Fault::DeleteDropped(id) => self.droplets[id].status = DropletStatus::Active,
            Fault::Untagged(id) => self.droplets[id].tagged = false,
        }
    }
}
