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
        Property::always("an operation creates one droplet", |_, state: &SystemState| {
            state.grace_exceeded || state.created_count() <= 1
        }),
        Property::always("created droplets are in the journal", |_, state: &SystemState| {
            state.created_count() == 0 || state.journal.create.is_some()
        }),
        Property::always("adopted droplets were created by us", |_, state: &SystemState| {
            state.journal.adopted().is_none_or(|id| state.droplets[id].origin == Origin::Ours)
        }),
        Property::always("only our droplets are deleted", |_, state: &SystemState| {
            state.violation != Some(Violation::DeletedForeignDroplet)
        }),
        Property::always("serving droplets are kept", |_, state: &SystemState| {
            state.violation != Some(Violation::DeletedServingDroplet)
        }),
        Property::always("droplets closed in the journal are deleted", |_, state: &SystemState| {
            closed_droplets(state).all(|droplet| droplet.status == DropletStatus::Deleted || !droplet.tagged)
        }),
        Property::always("finally no operation is open", |protocol: &Protocol, state: &SystemState| {
            protocol.can_progress(state) || is_closed(state)
        }),
        Property::always("finally every billed droplet is known", |protocol: &Protocol, state: &SystemState| {
            protocol.can_progress(state) || all_billed_known(state)
        }),
        Property::sometimes("a droplet serves", |_, state: &SystemState| {
            phase_matches(state, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a droplet is deleted", |_, state: &SystemState| {
            closed_droplets(state).any(|droplet| droplet.status == DropletStatus::Deleted)
        }),
        Property::sometimes("a droplet is abandoned", |_, state: &SystemState| {
            phase_matches(state, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a request is retried", |_, state: &SystemState| {
            state.processes.iter().any(|process| process.state == ProcessState::AwaitingResponse { sent_before: true })
        }),
        Property::sometimes("a duplicate is deleted, and the other serves", |_, state: &SystemState| {
            let twin_is_gone = state.journal.duplicates.iter().any(|condemned| condemned.closed);
            twin_is_gone && phase_matches(state, |phase| matches!(phase, Phase::Serving(_)))
        }),
        Property::sometimes("a late droplet is deleted", |_, state: &SystemState| {
            let late_is_gone = state.journal.duplicates.iter().any(|condemned| condemned.closed);
            late_is_gone && phase_matches(state, |phase| phase == Phase::Abandoned)
        }),
        Property::sometimes("a droplet leaves the fleet without being deleted", |_, state: &SystemState| {
            closed_droplets(state).any(|droplet| droplet.status == DropletStatus::Active)
        }),
    ]
}

fn phase_matches(state: &SystemState, is: impl Fn(Phase) -> bool) -> bool {
    state.journal.create.is_some_and(|create| is(create.phase))
}

/// Returns the droplets whose operations are closed in the journal.
fn closed_droplets(state: &SystemState) -> impl Iterator<Item = &Droplet> {
    let taken = match state.journal.create.map(|create| create.phase) {
        Some(Phase::Closed(id)) => Some(id),
        _ => None,
    };
    let condemned = state.journal.duplicates.iter().filter(|condemned| condemned.closed).map(|condemned| condemned.id);
    taken.into_iter().chain(condemned).map(|id| &state.droplets[id])
}

fn is_closed(state: &SystemState) -> bool {
    !phase_matches(state, |phase| matches!(phase, Phase::Requested | Phase::Deleting(_)))
        && state.journal.duplicates.iter().all(|condemned| condemned.closed)
}

fn all_billed_known(state: &SystemState) -> bool {
    state.droplets.iter().enumerate().filter(|(_, droplet)| droplet.is_billed()).all(|(id, droplet)| {
        let serves = phase_matches(state, |phase| phase == Phase::Serving(id));
        serves || droplet.reported && droplet.origin == Origin::Earlier
    })
}
