//! What must always be so, and what the model has to reach for its "always" to mean something.

use stateright::Property;

use crate::{Droplet, DropletStatus, Origin, Phase, ProcessState, Protocol, SystemState, Violation};

impl Droplet {
    /// Whether it is nothing that this fleet may delete.
    pub(crate) fn is_foreign(self) -> bool {
        !self.tagged || self.origin != Origin::Ours
    }

    fn is_billed(self) -> bool {
        self.tagged && self.status == DropletStatus::Active
    }
}

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always("an operation makes one droplet", |_, world: &SystemState| {
            world.grace_exceeded || world.created_count() <= 1
        }),
        Property::always("what we made is in the journal", |_, world: &SystemState| {
            world.created_count() == 0 || world.journal.create.is_some()
        }),
        Property::always("what we took we made", |_, world: &SystemState| {
            world.journal.adopted().is_none_or(|id| world.droplets[id].origin == Origin::Ours)
        }),
        Property::always("only what is ours is deleted", |_, world: &SystemState| {
            world.violation != Some(Violation::DeletedForeignDroplet)
        }),
        Property::always("what is wanted stays", |_, world: &SystemState| {
            world.violation != Some(Violation::DeletedServingDroplet)
        }),
        Property::always("what the journal calls gone is gone", |_, world: &SystemState| {
            closed_droplets(world).all(|droplet| droplet.status == DropletStatus::Deleted || !droplet.tagged)
        }),
        Property::always("in the end nothing is open", |protocol: &Protocol, world: &SystemState| {
            protocol.can_progress(world) || is_closed(world)
        }),
        Property::always(
            "in the end nothing is billed that nobody knows",
            |protocol: &Protocol, world: &SystemState| protocol.can_progress(world) || all_billed_known(world),
        ),
        Property::sometimes("a droplet serves", |_, world: &SystemState| {
            phase_matches(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet is deleted", |_, world: &SystemState| {
            closed_droplets(world).any(|droplet| droplet.status == DropletStatus::Deleted)
        }),
        Property::sometimes("a droplet is given up", |_, world: &SystemState| {
            phase_matches(world, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a request is sent again", |_, world: &SystemState| {
            world.processes.iter().any(|process| process.state == ProcessState::AwaitingResponse { sent_before: true })
        }),
        Property::sometimes("a twin is deleted, and the other serves", |_, world: &SystemState| {
            let twin_is_gone = world.journal.duplicates.iter().any(|condemned| condemned.closed);
            twin_is_gone && phase_matches(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet that came too late is deleted", |_, world: &SystemState| {
            let late_is_gone = world.journal.duplicates.iter().any(|condemned| condemned.closed);
            late_is_gone && phase_matches(world, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a droplet leaves the fleet alive", |_, world: &SystemState| {
            closed_droplets(world).any(|droplet| droplet.status == DropletStatus::Active)
        }),
    ]
}

fn phase_matches(world: &SystemState, is: impl Fn(Phase) -> bool) -> bool {
    world.journal.create.is_some_and(|create| is(create.phase))
}

/// The droplets that the journal has no open operation for any more.
fn closed_droplets(world: &SystemState) -> impl Iterator<Item = &Droplet> {
    let taken = match world.journal.create.map(|create| create.phase) {
        Some(Phase::Closed(id)) => Some(id),
        _ => None,
    };
    let condemned = world.journal.duplicates.iter().filter(|condemned| condemned.closed).map(|condemned| condemned.id);
    taken.into_iter().chain(condemned).map(|id| &world.droplets[id])
}

fn is_closed(world: &SystemState) -> bool {
    !phase_matches(world, |phase| matches!(phase, Phase::Requested | Phase::Deleting(_)))
        && world.journal.duplicates.iter().all(|condemned| condemned.closed)
}

fn all_billed_known(world: &SystemState) -> bool {
    world.droplets.iter().enumerate().filter(|(_, droplet)| droplet.is_billed()).all(|(id, droplet)| {
        let serves = phase_matches(world, |phase| phase == Phase::Serving(id));
        serves || droplet.reported && droplet.origin == Origin::Earlier
    })
}
