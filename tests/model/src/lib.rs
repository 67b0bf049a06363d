//! A model of the protocol that creates and deletes droplets, small enough to check every order of events.
//!
//! The protocol is the one in `host/src/controller`: the modules for creation, orphans and reconciling. The model has
//! one droplet to create and delete, a journal that survives crashes, an API with lagging lists and lost responses, and
//! two processes that may crash between any two steps. The account also contains an unrelated droplet with the same
//! name, and an earlier droplet of the fleet.
//!
//! One assumption is not modeled: within the grace period (`scaling.timeouts.create_visibility`) a request arrives or
//! never does, and lists become complete. If this does not hold, a second droplet cannot be prevented, only collected;
//! this is modeled as a fault. The second sighting required before an orphan is reported is not modeled: it has no
//! effect here, because it exists for lists that are briefly wrong.
//!
//! Each [`Guard`] can be disabled, and the search must then find a violation.

mod guard;
mod process;
mod properties;
mod system_state;
#[cfg(test)]
mod tests;

pub use guard::Guard;
pub use process::{Process, ProcessState, Step};
use stateright::{Model, Property};
pub use system_state::{
    Create, Droplet, DropletStatus, Duplicate, Id, Journal, Name, Origin, Outcome, Phase, Request, SystemState,
    Violation,
};

/// The index of one of the two processes.
pub type ProcessId = usize;

/// The protocol, with all guards or without one of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protocol {
    /// The disabled guard.
    pub without: Option<Guard>,
}

/// A possible next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process starts.
    ProcessStarts(ProcessId),
    /// A process executes its next step.
    ProcessSteps(ProcessId, Step),
    /// The grace period of a process ends.
    GraceEnds(ProcessId),
    /// A request reaches the API, which creates a droplet.
    RequestArrives(usize),
    /// A response reaches the waiting process.
    ResponseArrives(usize),
    /// The droplet becomes visible in lists.
    DropletListed(Id),
    /// The API completes an accepted delete.
    DropletDeleted(Id),
    /// A fault occurs.
    FaultOccurs(Fault),
}

/// A possible fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process ends in the middle of a step.
    Crash(ProcessId),
    /// A request is lost before it reaches the API, without an error to the process.
    RequestLost(usize),
    /// The API executes the request, but its response is lost: a reset, or a 5xx.
    ResponseLost(usize),
    /// The process times out while its request is still in flight.
    TimedOut(usize),
    /// The API definitely rejects the request, for example with a 429.
    Rejected(usize),
    /// The API takes longer than the grace period.
    GraceExceeded(ProcessId),
    /// The wall clock is changed.
    ClockSet(ProcessId),
    /// A delete was accepted, but is not executed.
    DeleteDropped(Id),
    /// An operator removes the fleet's tag from a droplet.
    Untagged(Id),
}

impl Protocol {
    /// Reports whether the guard is enabled.
    pub fn has(self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// Reports whether any event is possible without a fault or a request of the user.
    pub fn can_progress(self, state: &SystemState) -> bool {
        let mut events = Vec::new();
        self.regular_events(state, &mut events);
        events.iter().any(|event| !matches!(event, Event::ProcessSteps(_, Step::RequestDelete)))
    }

    fn regular_events(self, state: &SystemState, events: &mut Vec<Event>) {
        for who in 0..state.processes.len() {
            if state.may_start(self, who) {
                events.push(Event::ProcessStarts(who));
            }
            events.extend(self.steps(state, who).into_iter().map(|step| Event::ProcessSteps(who, step)));
            if state.is_waiting_for_grace(who) && state.is_converged() {
                events.push(Event::GraceEnds(who));
            }
        }
        for (number, request) in state.requests.iter().enumerate() {
            events.push(match request.outcome {
                Outcome::InFlight => Event::RequestArrives(number),
                Outcome::Created(_) | Outcome::Rejected => Event::ResponseArrives(number),
            });
        }
        for (id, droplet) in state.droplets.iter().enumerate() {
            if !droplet.listed {
                events.push(Event::DropletListed(id));
            }
            if droplet.status == DropletStatus::Deleting {
                events.push(Event::DropletDeleted(id));
            }
        }
    }

    fn fault_events(self, state: &SystemState, events: &mut Vec<Event>) {
        let mut fails = |fault| events.push(Event::FaultOccurs(fault));
        for (who, process) in state.processes.iter().enumerate() {
            if process.state != ProcessState::Down {
                fails(Fault::Crash(who));
            }
            if state.is_waiting_for_grace(who) {
                if !state.is_converged() {
                    fails(Fault::GraceExceeded(who));
                }
                if !self.has(Guard::MonotonicClock) {
                    fails(Fault::ClockSet(who));
                }
            }
        }
        for (number, request) in state.requests.iter().enumerate() {
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
        for (id, droplet) in state.droplets.iter().enumerate() {
            if droplet.status == DropletStatus::Deleting {
                fails(Fault::DeleteDropped(id));
            }
            if droplet.status == DropletStatus::Active && droplet.tagged && state.journal.adopted() == Some(id) {
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

    fn actions(&self, state: &SystemState, events: &mut Vec<Event>) {
        self.regular_events(state, events);
        if state.faults_left > 0 {
            self.fault_events(state, events);
        }
    }

    fn next_state(&self, before: &SystemState, event: Event) -> Option<SystemState> {
        let mut state = before.clone();
        match event {
            Event::ProcessStarts(who) => state.processes[who] = Process { state: ProcessState::Idle, waited: false },
            Event::ProcessSteps(who, step) => self.execute(&mut state, who, step),
            Event::GraceEnds(who) => state.processes[who].waited = true,
            Event::RequestArrives(number) => state.create_droplet(number),
            Event::ResponseArrives(number) => state.deliver_response(number),
            Event::DropletListed(id) => state.droplets[id].listed = true,
            Event::DropletDeleted(id) => state.droplets[id].status = DropletStatus::Deleted,
            Event::FaultOccurs(fault) => {
                state.faults_left -= 1;
                state.apply_fault(fault);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
