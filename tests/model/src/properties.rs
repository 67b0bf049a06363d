//! The invariants of the model, and the states it must reach for the invariants to be meaningful.

use stateright::Property;

use crate::{Droplet, DropletStatus, Origin, Phase, ProcessState, Protocol, SystemState, Violation};

impl Droplet {
    /// Reports whether the fleet must not delete this droplet.
    pub(crate) fn is_foreign(self) -> bool {
        !self.tagged || self.origin != Origin::Ours
    }

    fn is_billed(self) -> bool {
        self.tagged && self.status == DropletStatus::Active
    }
}

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always("an operation creates one droplet", |_, world: &SystemState| {
            world.grace_exceeded || world.created_count() <= 1
        }),
        Property::always("created droplets are in the journal", |_, world: &SystemState| {
            world.created_count() == 0 || world.journal.create.is_some()
        }),
        Property::always("adopted droplets were created by us", |_, world: &SystemState| {
            world.journal.adopted().is_none_or(|id| world.droplets[id].origin == Origin::Ours)
        }),
        Property::always("only our droplets are deleted", |_, world: &SystemState| {
            world.violation != Some(Violation::DeletedForeignDroplet)
        }),
        Property::always("serving droplets are kept", |_, world: &SystemState| {
            world.violation != Some(Violation::DeletedServingDroplet)
        }),
        Property::always("droplets closed in the journal are deleted", |_, world: &SystemState| {
            closed_droplets(world).all(|droplet| droplet.status == DropletStatus::Deleted || !droplet.tagged)
        }),
        Property::always("finally no operation is open", |protocol: &Protocol, world: &SystemState| {
            protocol.can_progress(world) || is_closed(world)
        }),
        Property::always("finally every billed droplet is known", |protocol: &Protocol, world: &SystemState| {
            protocol.can_progress(world) || all_billed_known(world)
        }),
        Property::sometimes("a droplet serves", |_, world: &SystemState| {
            phase_matches(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet is deleted", |_, world: &SystemState| {
            closed_droplets(world).any(|droplet| droplet.status == DropletStatus::Deleted)
        }),
        Property::sometimes("a droplet is abandoned", |_, world: &SystemState| {
            phase_matches(world, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a request is retried", |_, world: &SystemState| {
            world.processes.iter().any(|process| process.state == ProcessState::AwaitingResponse { sent_before: true })
        }),
        Property::sometimes("a duplicate is deleted, and the other serves", |_, world: &SystemState| {
            let twin_is_gone = world.journal.duplicates.iter().any(|condemned| condemned.closed);
            twin_is_gone && phase_matches(world, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a late droplet is deleted", |_, world: &SystemState| {
            let late_is_gone = world.journal.duplicates.iter().any(|condemned| condemned.closed);
            late_is_gone && phase_matches(world, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a droplet leaves the fleet without being deleted", |_, world: &SystemState| {
            closed_droplets(world).any(|droplet| droplet.status == DropletStatus::Active)
        }),
    ]
}

fn phase_matches(world: &SystemState, is: impl Fn(Phase) -> bool) -> bool {
    world.journal.create.is_some_and(|create| is(create.phase))
}

/// Returns the droplets whose operations are closed in the journal.
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
