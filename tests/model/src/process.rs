//! What one process does next, from what it sees and what the journal says.

use crate::{
    DropletStatus, Duplicate, Guard, Id, Name, Outcome, Phase, ProcessId, Protocol, Request, SystemState, Violation,
};

/// A process, and what it knows beyond the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Where it is.
    pub state: ProcessState,
    /// Whether it has waited for the grace since it first saw, or sent, what is open.
    pub waited: bool,
}

/// Where a process is between two steps. It may crash at each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ProcessState {
    /// Not running.
    #[default]
    Down,
    /// Looking.
    Idle,
    /// It has seen that something is to be sent.
    Decided,
    /// That is in the journal.
    Marked {
        /// Whether something was sent before, whose outcome is not known.
        sent_before: bool,
    },
    /// The request is out.
    AwaitingResponse {
        /// As above.
        sent_before: bool,
    },
    /// The answer is there, and not in the journal yet.
    Responded(Id),
    /// So is the refusal.
    Rejected {
        /// As above.
        sent_before: bool,
    },
}

/// A step of a process: one look that decides, one durable write, or one call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The user wants a droplet: the intent is written.
    Intend,
    /// Nothing was sent, or nothing came of it.
    Decide,
    /// The journal says that a request goes out.
    MarkSent,
    /// It goes out.
    SendRequest,
    /// The journal has the id.
    Adopt(Id),
    /// The journal has what was so before the refused request.
    UnmarkSent,
    /// Nothing came of it for too long.
    Abandon,
    /// The user wants the droplet gone.
    RequestDelete,
    /// GET, and DELETE where the droplet is ours. As one step: the API has no way to delete on a condition.
    Delete(Id),
    /// The droplet is gone.
    Close(Id),
    /// A twin is to be deleted: the journal says so first.
    ScheduleDuplicateDeletion(Id),
    /// The user is told of a droplet that nobody knows.
    ReportOrphan(Id),
}

impl Protocol {
    /// What a process may do next.
    pub fn steps(self, world: &SystemState, who: ProcessId) -> Vec<Step> {
        match world.processes[who].state {
            ProcessState::Down | ProcessState::AwaitingResponse { .. } => Vec::new(),
            ProcessState::Decided => vec![Step::MarkSent],
            ProcessState::Marked { .. } => vec![Step::SendRequest],
            ProcessState::Responded(id) => vec![Step::Adopt(id)],
            ProcessState::Rejected { .. } => vec![Step::UnmarkSent],
            ProcessState::Idle => self.steps_when_idle(world, who),
        }
    }

    fn steps_when_idle(self, world: &SystemState, who: ProcessId) -> Vec<Step> {
        let mut deeds = Vec::new();
        match world.journal.create.map(|create| (create.phase, create.sent)) {
            None if self.has(Guard::Intent) => deeds.push(Step::Intend),
            None | Some((Phase::Requested, false)) => deeds.push(Step::Decide),
            Some((Phase::Requested, true)) => {
                if let Some(id) = self.find_by_name(world) {
                    deeds.push(Step::Adopt(id));
                } else if world.processes[who].waited || !self.has(Guard::GracePeriod) {
                    deeds.extend([Step::Decide, Step::Abandon]);
                }
            }
            Some((Phase::Serving(_), _)) => deeds.push(Step::RequestDelete),
            Some((Phase::Deleting(id), _)) => deeds.extend(self.deletion_step(world, id)),
            Some((Phase::Closed(_) | Phase::Abandoned, _)) => {}
        }
        let open = world.journal.duplicates.iter().filter(|condemned| !condemned.closed);
        deeds.extend(open.filter_map(|condemned| self.deletion_step(world, condemned.id)));
        deeds.extend(self.orphan_steps(world));
        deeds
    }

    /// The oldest droplet of the name.
    fn find_by_name(self, world: &SystemState) -> Option<Id> {
        let is_ours = |id: &Id| {
            let droplet = &world.droplets[*id];
            let tagged = droplet.tagged || !self.has(Guard::TagOnLookUp);
            droplet.name == Name::Requested && droplet.listed && tagged && droplet.status != DropletStatus::Deleted
        };
        (0..world.droplets.len()).find(is_ours).filter(|_| self.has(Guard::LookUpByName))
    }

    fn deletion_step(self, world: &SystemState, id: Id) -> Option<Step> {
        let droplet = &world.droplets[id];
        let answers_404 = droplet.status == DropletStatus::Deleted || !droplet.listed;
        if answers_404 {
            return (droplet.listed || !self.has(Guard::ListedBeforeGone)).then_some(Step::Close(id));
        }
        if !droplet.tagged && self.has(Guard::TagOnDelete) {
            // It left the fleet, and the journal says so.
            return Some(Step::Close(id));
        }
        (droplet.status == DropletStatus::Active).then_some(Step::Delete(id))
    }

    fn orphan_steps(self, world: &SystemState) -> impl Iterator<Item = Step> {
        let seen = world.droplets.iter().enumerate();
        seen.filter(|(_, droplet)| droplet.listed && droplet.tagged && droplet.status == DropletStatus::Active)
            .filter_map(move |(id, droplet)| {
                let journal = &world.journal;
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

    /// Carries a step out.
    pub(crate) fn execute(self, world: &mut SystemState, who: ProcessId, deed: Step) {
        let phase = world.journal.create.map(|create| create.phase);
        let sent = world.journal.create.is_some_and(|create| create.sent);
        match deed {
            Step::Intend => world.journal.set(false, Phase::Requested),
            Step::Decide => world.processes[who].state = ProcessState::Decided,
            Step::MarkSent => {
                // Without the guard there may be no entry to mark, or a mark that nobody writes.
                if world.journal.is_requested() && self.has(Guard::MarkSent) {
                    world.journal.set(true, Phase::Requested);
                }
                world.processes[who] = Process { state: ProcessState::Marked { sent_before: sent }, waited: false };
            }
            Step::SendRequest => {
                let at = &mut world.processes[who].state;
                if let ProcessState::Marked { sent_before } = *at {
                    *at = ProcessState::AwaitingResponse { sent_before };
                }
                world.requests.push(Request { from: Some(who), outcome: Outcome::InFlight });
            }
            Step::Adopt(id) => {
                world.journal.set(sent, Phase::Serving(id));
                world.processes[who].state = ProcessState::Idle;
            }
            Step::UnmarkSent => {
                let at = &mut world.processes[who].state;
                if let (ProcessState::Rejected { sent_before }, true) = (*at, world.journal.is_requested()) {
                    world.journal.set(sent_before, Phase::Requested);
                }
                *at = ProcessState::Idle;
            }
            Step::Abandon => world.journal.set(sent, Phase::Abandoned),
            Step::RequestDelete => {
                if let Some(Phase::Serving(id)) = phase {
                    world.journal.set(sent, Phase::Deleting(id));
                }
            }
            Step::Delete(id) => {
                if world.droplets[id].is_foreign() {
                    world.violation = Some(Violation::DeletedForeignDroplet);
                } else if phase == Some(Phase::Serving(id)) {
                    world.violation = Some(Violation::DeletedServingDroplet);
                }
                world.droplets[id].status = DropletStatus::Deleting;
                if !self.has(Guard::DeleteUntilGone) {
                    close(world, id);
                }
            }
            Step::Close(id) => close(world, id),
            Step::ScheduleDuplicateDeletion(id) => world.journal.duplicates.push(Duplicate { id, closed: false }),
            Step::ReportOrphan(id) => world.droplets[id].reported = true,
        }
    }
}

fn close(world: &mut SystemState, id: Id) {
    if let Some(create) = world.journal.create.filter(|create| create.phase == Phase::Deleting(id)) {
        world.journal.set(create.sent, Phase::Closed(id));
    }
    for condemned in world.journal.duplicates.iter_mut().filter(|condemned| condemned.id == id) {
        condemned.closed = true;
    }
}
