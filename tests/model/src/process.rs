//! The next steps of one process, derived from its observation and the journal.

use crate::{
    DropletStatus, Duplicate, Guard, Id, Name, Outcome, Phase, ProcessId, Protocol, Request, SystemState, Violation,
};

/// A process, with its state outside the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Its position in the protocol.
    pub state: ProcessState,
    /// `true` once the grace period has passed since it first observed or sent the open request.
    pub waited: bool,
}

/// The state of a process between two steps. It may crash in each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Not running.
    #[default]
    Down,
    /// Observing.
    Idle,
    /// It has decided to send a request.
    Decided,
    /// The journal marks the request as sent.
    Marked {
        /// `true` if an earlier request has an unknown outcome.
        sent_before: bool,
    },
    /// The request is in flight.
    AwaitingResponse {
        /// See `Marked`.
        sent_before: bool,
    },
    /// The response has arrived, but is not in the journal yet.
    Responded(Id),
    /// The rejection has arrived, but is not in the journal yet.
    Rejected {
        /// See `Marked`.
        sent_before: bool,
    },
}

/// A step of a process: one observation with a decision, one durable write, or one API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The user requests a droplet: the intent is journaled.
    Intend,
    /// The process decides to send a request, because none was sent or none succeeded.
    Decide,
    /// The request is marked as sent in the journal.
    MarkSent,
    /// The request is sent.
    SendRequest,
    /// The ID is journaled.
    Adopt(Id),
    /// The journal entry from before the rejected request is restored.
    UnmarkSent,
    /// The create is abandoned after the grace period.
    Abandon,
    /// The user requests the deletion of the droplet.
    RequestDelete,
    /// GET, and DELETE if the droplet belongs to the fleet. A single step, because the API has no conditional delete.
    Delete(Id),
    /// The deletion of the droplet is complete.
    Close(Id),
    /// The deletion of a duplicate is journaled before it starts.
    ScheduleDuplicateDeletion(Id),
    /// A droplet missing from the journal is reported to the user.
    ReportOrphan(Id),
}

impl Protocol {
    /// Returns the possible next steps of a process.
    pub fn steps(self, state: &SystemState, who: ProcessId) -> Vec<Step> {
        match state.processes[who].state {
            ProcessState::Down | ProcessState::AwaitingResponse { .. } => Vec::new(),
            ProcessState::Decided => vec![Step::MarkSent],
            ProcessState::Marked { .. } => vec![Step::SendRequest],
            ProcessState::Responded(id) => vec![Step::Adopt(id)],
            ProcessState::Rejected { .. } => vec![Step::UnmarkSent],
            ProcessState::Idle => self.steps_when_idle(state, who),
        }
    }

    fn steps_when_idle(self, state: &SystemState, who: ProcessId) -> Vec<Step> {
        let mut deeds = Vec::new();
        match state.journal.create.map(|create| (create.phase, create.sent)) {
            None if self.has(Guard::Intent) => deeds.push(Step::Intend),
            None | Some((Phase::Requested, false)) => deeds.push(Step::Decide),
            Some((Phase::Requested, true)) => {
                if let Some(id) = self.find_by_name(state) {
                    deeds.push(Step::Adopt(id));
                } else if state.processes[who].waited || !self.has(Guard::GracePeriod) {
                    deeds.extend([Step::Decide, Step::Abandon]);
                }
            }
            Some((Phase::Serving(_), _)) => deeds.push(Step::RequestDelete),
            Some((Phase::Deleting(id), _)) => deeds.extend(self.deletion_step(state, id)),
            Some((Phase::Closed(_) | Phase::Abandoned, _)) => {}
        }
        let open = state.journal.duplicates.iter().filter(|condemned| !condemned.closed);
        deeds.extend(open.filter_map(|condemned| self.deletion_step(state, condemned.id)));
        deeds.extend(self.orphan_steps(state));
        deeds
    }

    /// Returns the oldest droplet with the requested name.
    fn find_by_name(self, state: &SystemState) -> Option<Id> {
        let is_ours = |id: &Id| {
            let droplet = &state.droplets[*id];
            let tagged = droplet.tagged || !self.has(Guard::TagOnLookUp);
            droplet.name == Name::Requested && droplet.listed && tagged && droplet.status != DropletStatus::Deleted
        };
        (0..state.droplets.len()).find(is_ours).filter(|_| self.has(Guard::LookUpByName))
    }

    fn deletion_step(self, state: &SystemState, id: Id) -> Option<Step> {
        let droplet = &state.droplets[id];
        let answers_404 = droplet.status == DropletStatus::Deleted || !droplet.listed;
        if answers_404 {
            return (droplet.listed || !self.has(Guard::ListedBeforeGone)).then_some(Step::Close(id));
        }
        if !droplet.tagged && self.has(Guard::TagOnDelete) {
            // The droplet left the fleet, and the journal records that.
            return Some(Step::Close(id));
        }
        (droplet.status == DropletStatus::Active).then_some(Step::Delete(id))
    }

    fn orphan_steps(self, state: &SystemState) -> impl Iterator<Item = Step> {
        let seen = state.droplets.iter().enumerate();
        seen.filter(|(_, droplet)| droplet.listed && droplet.tagged && droplet.status == DropletStatus::Active)
            .filter_map(move |(id, droplet)| {
                let journal = &state.journal;
                let taken = journal.adopted() == Some(id) && self.has(Guard::KeepAdopted);
                let condemned = journal.duplicates.iter().any(|condemned| condemned.id == id);
                let asked_for = droplet.name == Name::Requested && journal.create.is_some();
                if taken || condemned || journal.is_requested() && asked_for {
                    return None;
                }
                if asked_for && self.has(Guard::CollectDuplicates) {
                    return Some(Step::ScheduleDuplicateDeletion(id));
                }
                (!asked_for && !droplet.reported).then_some(Step::ReportOrphan(id))
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Executes a step.
    pub(crate) fn execute(self, state: &mut SystemState, who: ProcessId, step: Step) {
        let phase = state.journal.create.map(|create| create.phase);
        let sent = state.journal.create.is_some_and(|create| create.sent);
        match step {
            Step::Intend => state.journal.set(false, Phase::Requested),
            Step::Decide => state.processes[who].state = ProcessState::Decided,
            Step::MarkSent => {
                // Without the guard there may be no entry to mark, or a mark that is never written.
                if state.journal.is_requested() && self.has(Guard::MarkSent) {
                    state.journal.set(true, Phase::Requested);
                }
                state.processes[who] = Process { state: ProcessState::Marked { sent_before: sent }, waited: false };
            }
            Step::SendRequest => {
                let at = &mut state.processes[who].state;
                if let ProcessState::Marked { sent_before } = *at {
                    *at = ProcessState::AwaitingResponse { sent_before };
                }
                state.requests.push(Request { from: Some(who), outcome: Outcome::InFlight });
            }
            Step::Adopt(id) => {
                state.journal.set(sent, Phase::Serving(id));
                state.processes[who].state = ProcessState::Idle;
            }
            Step::UnmarkSent => {
                let at = &mut state.processes[who].state;
                if let (ProcessState::Rejected { sent_before }, true) = (*at, state.journal.is_requested()) {
                    state.journal.set(sent_before, Phase::Requested);
                }
                *at = ProcessState::Idle;
            }
            Step::Abandon => state.journal.set(sent, Phase::Abandoned),
            Step::RequestDelete => {
                if let Some(Phase::Serving(id)) = phase {
                    state.journal.set(sent, Phase::Deleting(id));
                }
            }
            Step::Delete(id) => {
                if state.droplets[id].is_foreign() {
                    state.violation = Some(Violation::DeletedForeignDroplet);
                } else if phase == Some(Phase::Serving(id)) {
                    state.violation = Some(Violation::DeletedServingDroplet);
                }
                state.droplets[id].status = DropletStatus::Deleting;
                if !self.has(Guard::DeleteUntilGone) {
                    close(state, id);
                }
            }
            Step::Close(id) => close(state, id),
            Step::ScheduleDuplicateDeletion(id) => state.journal.duplicates.push(Duplicate { id, closed: false }),
            Step::ReportOrphan(id) => state.droplets[id].reported = true,
        }
    }
}

fn close(state: &mut SystemState, id: Id) {
    if let Some(create) = state.journal.create.filter(|create| create.phase == Phase::Deleting(id)) {
        state.journal.set(create.sent, Phase::Closed(id));
    }
    for condemned in state.journal.duplicates.iter_mut().filter(|condemned| condemned.id == id) {
        condemned.closed = true;
    }
}
