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
pub use process::{At, Deed, Process};
pub use world::{Condemned, Create, Droplet, Fate, Id, Journal, Life, Name, Origin, Phase, Request, World, Wrong};

/// Which of the two processes.
pub type Who = usize;

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
    Starts(Who),
    /// A process takes its next step.
    Does(Who, Deed),
    /// What a process waits for has had its time.
    GraceEnds(Who),
    /// A request reaches the API, which makes a droplet.
    Arrives(usize),
    /// An answer reaches whoever waits for it.
    Answers(usize),
    /// From now on lists show the droplet.
    Shows(Id),
    /// The API has done what it was told.
    Deletes(Id),
    /// Something goes wrong.
    Fails(Fault),
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process ends in the middle of what it does.
    Crash(Who),
    /// A request never reaches the API, and nobody is told.
    RequestLost(usize),
    /// The API acted, and nobody is told: a reset, or a 5xx.
    AnswerLost(usize),
    /// Nobody waits any longer for a request that is still on its way.
    TimedOut(usize),
    /// The API refuses for certain, such as with a 429.
    Refused(usize),
    /// The API takes longer than the grace.
    TooLate(Who),
    /// Somebody sets the clock.
    ClockSet(Who),
    /// A delete was accepted, and does not happen.
    DeleteForgotten(Id),
    /// Somebody takes the fleet's tag from a droplet.
    Untagged(Id),
}

impl Protocol {
    /// Whether the guard is there.
    pub fn has(self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    /// What can happen next when nothing goes wrong and nobody wants anything.
    pub fn goes_on(self, world: &World) -> bool {
        let mut events = Vec::new();
        self.regular(world, &mut events);
        events.iter().any(|event| !matches!(event, Event::Does(_, Deed::OrderDelete)))
    }

    fn regular(self, world: &World, events: &mut Vec<Event>) {
        for who in 0..world.processes.len() {
            if world.may_start(self, who) {
                events.push(Event::Starts(who));
            }
            events.extend(self.deeds(world, who).into_iter().map(|deed| Event::Does(who, deed)));
            if world.is_waiting_for_grace(who) && world.is_settled() {
                events.push(Event::GraceEnds(who));
            }
        }
        for (number, request) in world.requests.iter().enumerate() {
            events.push(match request.fate {
                Fate::Travelling => Event::Arrives(number),
                Fate::Made(_) | Fate::Refused => Event::Answers(number),
            });
        }
        for (id, droplet) in world.droplets.iter().enumerate() {
            if !droplet.listed {
                events.push(Event::Shows(id));
            }
            if droplet.life == Life::Leaving {
                events.push(Event::Deletes(id));
            }
        }
    }

    fn faults(self, world: &World, events: &mut Vec<Event>) {
        let mut fails = |fault| events.push(Event::Fails(fault));
        for (who, process) in world.processes.iter().enumerate() {
            if process.at != At::Down {
                fails(Fault::Crash(who));
            }
            if world.is_waiting_for_grace(who) {
                if !world.is_settled() {
                    fails(Fault::TooLate(who));
                }
                if !self.has(Guard::OwnClock) {
                    fails(Fault::ClockSet(who));
                }
            }
        }
        for (number, request) in world.requests.iter().enumerate() {
            match request.fate {
                Fate::Travelling => {
                    fails(Fault::RequestLost(number));
                    fails(Fault::Refused(number));
                    if request.from.is_some() {
                        fails(Fault::TimedOut(number));
                    }
                }
                Fate::Made(_) if request.from.is_some() => fails(Fault::AnswerLost(number)),
                Fate::Made(_) | Fate::Refused => {}
            }
        }
        for (id, droplet) in world.droplets.iter().enumerate() {
            if droplet.life == Life::Leaving {
                fails(Fault::DeleteForgotten(id));
            }
            if droplet.life == Life::Live && droplet.tagged && world.journal.taken() == Some(id) {
                fails(Fault::Untagged(id));
            }
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Event;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(*self)]
    }

    fn actions(&self, world: &World, events: &mut Vec<Event>) {
        self.regular(world, events);
        if world.faults_left > 0 {
            self.faults(world, events);
        }
    }

    fn next_state(&self, before: &World, event: Event) -> Option<World> {
        let mut world = before.clone();
        match event {
            Event::Starts(who) => world.processes[who] = Process { at: At::Idle, waited: false },
            Event::Does(who, deed) => self.carry_out(&mut world, who, deed),
            Event::GraceEnds(who) => world.processes[who].waited = true,
            Event::Arrives(number) => world.make(number),
            Event::Answers(number) => world.answer(number),
            Event::Shows(id) => world.droplets[id].listed = true,
            Event::Deletes(id) => world.droplets[id].life = Life::Gone,
            Event::Fails(fault) => {
                world.faults_left -= 1;
                world.fail(fault);
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
