//! A model of the protocol by which droplets are created and deleted, small enough to go through every order of events.
//!
//! The protocol is that of `host/src/controller`: `requested`, `strangers` and `advance`. The model has one droplet to
//! create and to delete, a journal that survives crashes, an API whose lists lag and whose answers get lost, and two
//! processes that may crash between any two steps. In the account there are a droplet of somebody else with the same
//! name, and one that the fleet had before.
//!
//! One thing is taken for granted and not modelled: within the grace (`scaling.timeouts.visible`) a request arrives or
//! never does, and lists show what there is. Where that is not so, a second droplet cannot be prevented, only
//! collected, and that is modelled as a fault. Waiting to see a stranger twice is not modelled: nothing depends on it
//! here, it is for lists that are wrong for a moment.
//!
//! Each [`Guard`] can be left out, and then the search must find what goes wrong.

mod guard;
mod process;
mod properties;
#[cfg(test)]
mod tests;
mod world;

use stateright::{Model, Property};

pub use guard::Guard;
pub use process::{Process, ProcessState, Step};
pub use world::{
    Create, Droplet, DropletStatus, Duplicate, Id, Journal, Name, Origin, Outcome, Phase, Request, SystemState,
    Violation,
};

/// Which of the two processes.
pub type ProcessId = usize;

/// The protocol, with all its guards or without one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protocol {
    /// The guard that is left out.
    pub without: Option<Guard>,
}

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process starts.
    ProcessStarts(ProcessId),
    /// A process takes its next step.
    ProcessSteps(ProcessId, Step),
    /// What a process waits for has had its time.
    GraceEnds(ProcessId),
    /// A request reaches the API, which makes a droplet.
    RequestArrives(usize),
    /// An answer reaches whoever waits for it.
    ResponseArrives(usize),
    /// From now on lists show the droplet.
    DropletListed(Id),
    /// The API has done what it was told.
    DropletDeleted(Id),
    /// Something goes wrong.
    FaultOccurs(Fault),
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process ends in the middle of what it does.
    Crash(ProcessId),
    /// A request never reaches the API, and nobody is told.
    RequestLost(usize),
    /// The API acted, and nobody is told: a reset, or a 5xx.
    ResponseLost(usize),
    /// Nobody waits any longer for a request that is still on its way.
    TimedOut(usize),
    /// The API refuses for certain, such as with a 429.
    Rejected(usize),
    /// The API takes longer than the grace.
    GraceExceeded(ProcessId),
    /// Somebody sets the clock.
    ClockSet(ProcessId),
    /// A delete was accepted, and does not happen.
    DeleteDropped(Id),
    /// Somebody takes the fleet's tag from a droplet.
    Untagged(Id),
}

impl Protocol {
    /// Whether the guard is there.
    pub fn has(self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// What can happen next when nothing goes wrong and nobody wants anything.
    pub fn can_progress(self, world: &SystemState) -> bool {
        let mut events = Vec::new();
        self.regular_events(world, &mut events);
        events.iter().any(|event| !matches!(event, Event::ProcessSteps(_, Step::RequestDelete)))
    }

    fn regular_events(self, world: &SystemState, events: &mut Vec<Event>) {
        for who in 0..world.processes.len() {
            if world.may_start(self, who) {
                events.push(Event::ProcessStarts(who));
            }
            events.extend(self.steps(world, who).into_iter().map(|deed| Event::ProcessSteps(who, deed)));
            if world.is_waiting_for_grace(who) && world.is_converged() {
                events.push(Event::GraceEnds(who));
            }
        }
        for (number, request) in world.requests.iter().enumerate() {
            events.push(match request.outcome {
                Outcome::InFlight => Event::RequestArrives(number),
                Outcome::Created(_) | Outcome::Rejected => Event::ResponseArrives(number),
            });
        }
        for (id, droplet) in world.droplets.iter().enumerate() {
            if !droplet.listed {
                events.push(Event::DropletListed(id));
            }
            if droplet.status == DropletStatus::Deleting {
                events.push(Event::DropletDeleted(id));
            }
        }
    }

    fn fault_events(self, world: &SystemState, events: &mut Vec<Event>) {
        let mut fails = |fault| events.push(Event::FaultOccurs(fault));
        for (who, process) in world.processes.iter().enumerate() {
            if process.state != ProcessState::Down {
                fails(Fault::Crash(who));
            }
            if world.is_waiting_for_grace(who) {
                if !world.is_converged() {
                    fails(Fault::GraceExceeded(who));
                }
                if !self.has(Guard::MonotonicClock) {
                    fails(Fault::ClockSet(who));
                }
            }
        }
        for (number, request) in world.requests.iter().enumerate() {
            match request.outcome {
                Outcome::InFlight => {
                    fails(Fault::RequestLost(number));
                    fails(Fault::Rejected(number));
                    if request.from.is_some() {
                        fails(Fault::TimedOut(number));
                    }
                }
                Outcome::Created(_) if request.from.is_some() => fails(Fault::ResponseLost(number)),
                Outcome::Created(_) | Outcome::Rejected => {}
            }
        }
        for (id, droplet) in world.droplets.iter().enumerate() {
            if droplet.status == DropletStatus::Deleting {
                fails(Fault::DeleteDropped(id));
            }
            if droplet.status == DropletStatus::Active && droplet.tagged && world.journal.adopted() == Some(id) {
                fails(Fault::Untagged(id));
            }
        }
    }
}

impl Model for Protocol {
    type State = SystemState;
    type Action = Event;

    fn init_states(&self) -> Vec<SystemState> {
        vec![SystemState::new(*self)]
    }

    fn actions(&self, world: &SystemState, events: &mut Vec<Event>) {
        self.regular_events(world, events);
        if world.faults_left > 0 {
            self.fault_events(world, events);
        }
    }

    fn next_state(&self, before: &SystemState, event: Event) -> Option<SystemState> {
        let mut world = before.clone();
        match event {
            Event::ProcessStarts(who) => world.processes[who] = Process { state: ProcessState::Idle, waited: false },
            Event::ProcessSteps(who, deed) => self.execute(&mut world, who, deed),
            Event::GraceEnds(who) => world.processes[who].waited = true,
            Event::RequestArrives(number) => world.create_droplet(number),
            Event::ResponseArrives(number) => world.deliver_response(number),
            Event::DropletListed(id) => world.droplets[id].listed = true,
            Event::DropletDeleted(id) => world.droplets[id].status = DropletStatus::Deleted,
            Event::FaultOccurs(fault) => {
                world.faults_left -= 1;
                world.apply_fault(fault);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
