//! What must always be so, and what the model has to reach for its "always" to mean something.

use stateright::Property;

use crate::{At, Droplet, Life, Origin, Phase, Protocol, World, Wrong};

impl Droplet {
    /// Whether it is nothing that this fleet may delete.
    pub(crate) fn is_anothers(self) -> bool {
        !self.tagged || self.origin != Origin::Ours
    }

    fn is_billed_to_us(self) -> bool {
        self.tagged && self.life == Life::Live
    }
}

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always("an operation makes one droplet", |_, world: &World| world.too_late || world.made() <= 1),
        Property::always("what we made is in the journal", |_, world: &World| {
            world.made() == 0 || world.journal.create.is_some()
        }),
        Property::always("what we took we made", |_, world: &World| {
            world.journal.taken().is_none_or(|id| world.droplets[id].origin == Origin::Ours)
        }),
        Property::always("only what is ours is deleted", |_, world: &World| {
            world.wrong != Some(Wrong::DeletedAnothers)
        }),
        Property::always("what is wanted stays", |_, world: &World| world.wrong != Some(Wrong::DeletedTheWanted)),
        Property::always("what the journal calls gone is gone", |_, world: &World| {
            left(world).all(|droplet| droplet.life == Life::Gone || !droplet.tagged)
        }),
        Property::always("in the end nothing is open", |protocol: &Protocol, world: &World| {
            protocol.goes_on(world) || is_closed(world)
        }),
        Property::always("in the end nothing is billed that nobody knows", |protocol: &Protocol, world: &World| {
            protocol.goes_on(world) || all_known(world)
        }),
        Property::sometimes("a droplet serves", |_, world: &World| {
            is_in(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet is deleted", |_, world: &World| {
            left(world).any(|droplet| droplet.life == Life::Gone)
        }),
        Property::sometimes("a droplet is given up", |_, world: &World| {
            is_in(world, |phase| phase == Phase::NeverMade)
        }),
        Property::sometimes("a request is sent again", |_, world: &World| {
            world.processes.iter().any(|process| process.at == At::Asked { sent_before: true })
        }),
        Property::sometimes("a twin is deleted, and the other serves", |_, world: &World| {
            let twin_is_gone = world.journal.condemned.iter().any(|condemned| condemned.closed);
            twin_is_gone && is_in(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet that came too late is deleted", |_, world: &World| {
            let late_is_gone = world.journal.condemned.iter().any(|condemned| condemned.closed);
            late_is_gone && is_in(world, |phase| phase == Phase::NeverMade)
        }),
        Property::sometimes("a droplet leaves the fleet alive", |_, world: &World| {
            left(world).any(|droplet| droplet.life == Life::Live)
        }),
    ]
}

fn is_in(world: &World, is: impl Fn(Phase) -> bool) -> bool {
    world.journal.create.is_some_and(|create| is(create.phase))
}

/// The droplets that the journal has no open operation for any more.
fn left(world: &World) -> impl Iterator<Item = &Droplet> {
    let taken = match world.journal.create.map(|create| create.phase) {
        Some(Phase::Left(id)) => Some(id),
        _ => None,
    };
    let condemned = world.journal.condemned.iter().filter(|condemned| condemned.closed).map(|condemned| condemned.id);
    taken.into_iter().chain(condemned).map(|id| &world.droplets[id])
}

fn is_closed(world: &World) -> bool {
    !is_in(world, |phase| matches!(phase, Phase::Requested | Phase::Deleting(_)))
        && world.journal.condemned.iter().all(|condemned| condemned.closed)
}

fn all_known(world: &World) -> bool {
    world.droplets.iter().enumerate().filter(|(_, droplet)| droplet.is_billed_to_us()).all(|(id, droplet)| {
        let serves = is_in(world, |phase| phase == Phase::Serving(id));
        serves || droplet.reported && droplet.origin == Origin::Earlier
    })
}
