//! What there is: the journal, the droplets at the API, the requests on their way, the processes.

use crate::{Fault, Guard, Process, ProcessId, ProcessState, Protocol};

/// A droplet's id: its place in the list of all that ever were, so that a later one has a higher id.
pub type Id = usize;

/// How many things may go wrong on one way through the model.
const MAX_FAULTS: u8 = 4;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SystemState {
    /// What survives a crash.
    pub journal: Journal,
    /// What is at the API, and what was.
    pub droplets: Vec<Droplet>,
    /// Requests to create that are on their way, or whose answers are.
    pub requests: Vec<Request>,
    /// Two processes on one journal.
    pub processes: [Process; 2],
    /// How much more may go wrong.
    pub faults_left: u8,
    /// Whether the API took longer than the grace.
    pub grace_exceeded: bool,
    /// What was done that must never be.
    pub violation: Option<Violation>,
}

/// What must never be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Violation {
    /// A droplet was deleted that is not of the fleet, or not of our making.
    DeletedForeignDroplet,
    /// A droplet was deleted that nobody wanted to be deleted.
    DeletedServingDroplet,
}

/// What survives a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The operation, once there is one.
    pub create: Option<Create>,
    /// What our requests made too much of.
    pub duplicates: Vec<Duplicate>,
}

/// The operation that creates the droplet, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Create {
    /// Whether a request may have gone out.
    pub sent: bool,
    /// How far it is.
    pub phase: Phase,
}

/// How far the droplet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Asked for, or to be asked for.
    Requested,
    /// There, and ours.
    Serving(Id),
    /// To be deleted.
    Deleting(Id),
    /// Deleted, or not ours any more.
    Closed(Id),
    /// Given up.
    Abandoned,
}

/// A droplet that our requests made too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Duplicate {
    /// Its id.
    pub id: Id,
    /// Whether it is gone, by the journal.
    pub closed: bool,
}

/// A droplet at the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Droplet {
    /// Who made it; nobody in the model looks at this.
    pub origin: Origin,
    /// Its name.
    pub name: Name,
    /// Whether it bears the fleet's tag.
    pub tagged: bool,
    /// Whether lists and look-ups show it.
    pub listed: bool,
    /// How alive it is.
    pub status: DropletStatus,
    /// Whether the user was told of it.
    pub reported: bool,
}

/// Who made a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The operation of this model.
    Ours,
    /// The fleet, before it lost its inventory.
    Earlier,
    /// Somebody else in the same account.
    Foreign,
}

/// A droplet's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    /// The one that the operation asks for.
    Requested,
    /// Another.
    Other,
}

/// How alive a droplet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropletStatus {
    /// It costs money.
    Active,
    /// Its delete was accepted.
    Deleting,
    /// GET answers 404.
    Deleted,
}

/// A request to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// Who waits for the answer.
    pub from: Option<ProcessId>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is on its way.
    InFlight,
    /// It made this droplet.
    Created(Id),
    /// It made nothing, and the answer says so.
    Rejected,
}

impl Journal {
    /// The droplet that the operation took for its own.
    pub fn adopted(&self) -> Option<Id> {
        match self.create?.phase {
            Phase::Serving(id) | Phase::Deleting(id) | Phase::Closed(id) => Some(id),
            Phase::Requested | Phase::Abandoned => None,
        }
    }

    /// Whether the operation still waits for its droplet.
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

    /// How many droplets the operation ever made.
    pub fn created_count(&self) -> usize {
        self.droplets.iter().filter(|droplet| droplet.origin == Origin::Ours).count()
    }

    /// Whether every request has arrived and every list is complete.
    pub(crate) fn is_converged(&self) -> bool {
        self.requests.is_empty() && self.droplets.iter().all(|droplet| droplet.listed)
    }

    pub(crate) fn may_start(&self, protocol: Protocol, who: ProcessId) -> bool {
        let is_down = |process: &Process| process.state == ProcessState::Down;
        // The lock is the system's: it falls with whoever holds it.
        is_down(&self.processes[who]) && (self.processes.iter().all(is_down) || !protocol.has(Guard::Lock))
    }

    pub(crate) fn is_waiting_for_grace(&self, who: ProcessId) -> bool {
        let process = self.processes[who];
        let sent = self.journal.is_requested() && self.journal.create.is_some_and(|create| create.sent);
        process.state == ProcessState::Idle && !process.waited && sent
    }

    /// The API carries a request out.
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

    /// Whoever waits for the answer gets it.
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

    /// Whoever waits for the answer gets none.
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
