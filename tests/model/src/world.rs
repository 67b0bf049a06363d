//! What there is: the journal, the droplets at the API, the requests on their way, the processes.

use crate::{At, Fault, Guard, Process, Protocol, Who};

/// A droplet's id: its place in the list of all that ever were, so that a later one has a higher id.
pub type Id = usize;

/// How many things may go wrong on one way through the model.
const FAULTS: u8 = 4;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
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
    pub too_late: bool,
    /// What was done that must never be.
    pub wrong: Option<Wrong>,
}

/// What must never be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// A droplet was deleted that is not of the fleet, or not of our making.
    DeletedAnothers,
    /// A droplet was deleted that nobody wanted to be deleted.
    DeletedTheWanted,
}

/// What survives a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Journal {
    /// The operation, once there is one.
    pub create: Option<Create>,
    /// What our requests made too much of.
    pub condemned: Vec<Condemned>,
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
    Left(Id),
    /// Given up.
    NeverMade,
}

/// A droplet that our requests made too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Condemned {
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
    pub life: Life,
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
    Asked,
    /// Another.
    Other,
}

/// How alive a droplet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// It costs money.
    Live,
    /// Its delete was accepted.
    Leaving,
    /// GET answers 404.
    Gone,
}

/// A request to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// Who waits for the answer.
    pub from: Option<Who>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is on its way.
    Travelling,
    /// It made this droplet.
    Made(Id),
    /// It made nothing, and the answer says so.
    Refused,
}

impl Journal {
    /// The droplet that the operation took for its own.
    pub fn taken(&self) -> Option<Id> {
        match self.create?.phase {
            Phase::Serving(id) | Phase::Deleting(id) | Phase::Left(id) => Some(id),
            Phase::Requested | Phase::NeverMade => None,
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

impl World {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let there =
            |origin, name, tagged| Droplet { origin, name, tagged, listed: true, life: Life::Live, reported: false };
        let of_before = if protocol.has(Guard::UniqueName) { Name::Other } else { Name::Asked };
        Self {
            journal: Journal::default(),
            droplets: vec![there(Origin::Foreign, Name::Asked, false), there(Origin::Earlier, of_before, true)],
            requests: Vec::new(),
            processes: [Process::default(); 2],
            faults_left: FAULTS,
            too_late: false,
            wrong: None,
        }
    }

    /// How many droplets the operation ever made.
    pub fn made(&self) -> usize {
        self.droplets.iter().filter(|droplet| droplet.origin == Origin::Ours).count()
    }

    /// Whether every request has arrived and every list is complete.
    pub(crate) fn is_settled(&self) -> bool {
        self.requests.is_empty() && self.droplets.iter().all(|droplet| droplet.listed)
    }

    pub(crate) fn may_start(&self, protocol: Protocol, who: Who) -> bool {
        let is_down = |process: &Process| process.at == At::Down;
        // The lock is the system's: it falls with whoever holds it.
        is_down(&self.processes[who]) && (self.processes.iter().all(is_down) || !protocol.has(Guard::Lock))
    }

    pub(crate) fn is_waiting_for_grace(&self, who: Who) -> bool {
        let process = self.processes[who];
        let sent = self.journal.is_requested() && self.journal.create.is_some_and(|create| create.sent);
        process.at == At::Idle && !process.waited && sent
    }

    /// The API carries a request out.
    pub(crate) fn make(&mut self, number: usize) {
        let id = self.droplets.len();
        self.droplets.push(Droplet {
            origin: Origin::Ours,
            name: Name::Asked,
            tagged: true,
            listed: false,
            life: Life::Live,
            reported: false,
        });
        self.requests[number].fate = Fate::Made(id);
    }

    /// Whoever waits for the answer gets it.
    pub(crate) fn answer(&mut self, number: usize) {
        let request = self.requests.remove(number);
        if let Some(who) = request.from {
            let at = &mut self.processes[who].at;
            *at = match (request.fate, *at) {
                (Fate::Made(id), _) => At::Answered(id),
                (_, At::Asked { sent_before }) => At::Refused { sent_before },
                (_, at) => at,
            };
        }
    }

    /// Whoever waits for the answer gets none.
    fn answer_nothing(&mut self, number: usize) {
        if let Some(who) = self.requests[number].from.take() {
            self.processes[who].at = At::Idle;
        }
    }

    pub(crate) fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(who) => {
                self.processes[who] = Process::default();
                for request in self.requests.iter_mut().filter(|request| request.from == Some(who)) {
                    request.from = None;
                }
            }
            Fault::RequestLost(number) | Fault::AnswerLost(number) => {
                self.answer_nothing(number);
                self.requests.remove(number);
            }
            Fault::TimedOut(number) => self.answer_nothing(number),
            Fault::Refused(number) => self.requests[number].fate = Fate::Refused,
            Fault::TooLate(who) => {
                self.processes[who].waited = true;
                self.too_late = true;
            }
            Fault::ClockSet(who) => self.processes[who].waited = true,
            Fault::DeleteForgotten(id) => self.droplets[id].life = Life::Live,
            Fault::Untagged(id) => self.droplets[id].tagged = false,
        }
    }
}
