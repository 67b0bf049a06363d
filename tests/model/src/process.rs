//! What one process does next, from what it sees and what the journal says.

use crate::{Condemned, Fate, Guard, Id, Life, Name, Phase, Protocol, Request, Who, World, Wrong};

/// A process, and what it knows beyond the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Where it is.
    pub at: At,
    /// Whether it has waited for the grace since it first saw, or sent, what is open.
    pub waited: bool,
}

/// Where a process is between two steps. It may crash at each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum At {
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
    Asked {
        /// As above.
        sent_before: bool,
    },
    /// The answer is there, and not in the journal yet.
    Answered(Id),
    /// So is the refusal.
    Refused {
        /// As above.
        sent_before: bool,
    },
}

/// A step of a process: one look that decides, one durable write, or one call of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The user wants a droplet: the intent is written.
    Intend,
    /// Nothing was sent, or nothing came of it.
    Decide,
    /// The journal says that a request goes out.
    Mark,
    /// It goes out.
    Ask,
    /// The journal has the id.
    Take(Id),
    /// The journal has what was so before the refused request.
    Unmark,
    /// Nothing came of it for too long.
    GiveUp,
    /// The user wants the droplet gone.
    OrderDelete,
    /// GET, and DELETE where the droplet is ours. As one step: the API has no way to delete on a condition.
    Delete(Id),
    /// The droplet is gone.
    Close(Id),
    /// A twin is to be deleted: the journal says so first.
    Condemn(Id),
    /// The user is told of a droplet that nobody knows.
    Report(Id),
}

impl Protocol {
    /// What a process may do next.
    pub fn deeds(self, world: &World, who: Who) -> Vec<Deed> {
        match world.processes[who].at {
            At::Down | At::Asked { .. } => Vec::new(),
            At::Decided => vec![Deed::Mark],
            At::Marked { .. } => vec![Deed::Ask],
            At::Answered(id) => vec![Deed::Take(id)],
            At::Refused { .. } => vec![Deed::Unmark],
            At::Idle => self.after_a_look(world, who),
        }
    }

    fn after_a_look(self, world: &World, who: Who) -> Vec<Deed> {
        let mut deeds = Vec::new();
        match world.journal.create.map(|create| (create.phase, create.sent)) {
            None if self.has(Guard::Intent) => deeds.push(Deed::Intend),
            None | Some((Phase::Requested, false)) => deeds.push(Deed::Decide),
            Some((Phase::Requested, true)) => {
                if let Some(id) = self.found(world) {
                    deeds.push(Deed::Take(id));
                } else if world.processes[who].waited || !self.has(Guard::Grace) {
                    deeds.extend([Deed::Decide, Deed::GiveUp]);
                }
            }
            Some((Phase::Serving(_), _)) => deeds.push(Deed::OrderDelete),
            Some((Phase::Deleting(id), _)) => deeds.extend(self.towards_gone(world, id)),
            Some((Phase::Left(_) | Phase::NeverMade, _)) => {}
        }
        let open = world.journal.condemned.iter().filter(|condemned| !condemned.closed);
        deeds.extend(open.filter_map(|condemned| self.towards_gone(world, condemned.id)));
        deeds.extend(self.about_strangers(world));
        deeds
    }

    /// The oldest droplet of the name.
    fn found(self, world: &World) -> Option<Id> {
        let is_ours = |id: &Id| {
            let droplet = &world.droplets[*id];
            let tagged = droplet.tagged || !self.has(Guard::TagWhenLooking);
            droplet.name == Name::Asked && droplet.listed && tagged && droplet.life != Life::Gone
        };
        (0..world.droplets.len()).find(is_ours).filter(|_| self.has(Guard::LookUp))
    }

    fn towards_gone(self, world: &World, id: Id) -> Option<Deed> {
        let droplet = &world.droplets[id];
        let answers_404 = droplet.life == Life::Gone || !droplet.listed;
        if answers_404 {
            return (droplet.listed || !self.has(Guard::ShownBeforeGone)).then_some(Deed::Close(id));
        }
        if !droplet.tagged && self.has(Guard::TagBeforeDelete) {
            // It left the fleet, and the journal says so.
            return Some(Deed::Close(id));
        }
        (droplet.life == Life::Live).then_some(Deed::Delete(id))
    }

    fn about_strangers(self, world: &World) -> impl Iterator<Item = Deed> {
        let seen = world.droplets.iter().enumerate();
        seen.filter(|(_, droplet)| droplet.listed && droplet.tagged && droplet.life == Life::Live)
            .filter_map(move |(id, droplet)| {
                let journal = &world.journal;
                let taken = journal.taken() == Some(id) && self.has(Guard::SpareTheTaken);
                let condemned = journal.condemned.iter().any(|condemned| condemned.id == id);
                let asked_for = droplet.name == Name::Asked && journal.create.is_some();
                if taken || condemned || journal.is_requested() && asked_for {
                    return None;
                }
                if asked_for && self.has(Guard::CollectTwins) {
                    return Some(Deed::Condemn(id));
                }
                (!asked_for && !droplet.reported).then_some(Deed::Report(id))
            })
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Carries a step out.
    pub(crate) fn carry_out(self, world: &mut World, who: Who, deed: Deed) {
        let phase = world.journal.create.map(|create| create.phase);
        let sent = world.journal.create.is_some_and(|create| create.sent);
        match deed {
            Deed::Intend => world.journal.set(false, Phase::Requested),
            Deed::Decide => world.processes[who].at = At::Decided,
            Deed::Mark => {
                // Without the guard there may be no entry to mark, or a mark that nobody writes.
                if world.journal.is_requested() && self.has(Guard::SentMark) {
                    world.journal.set(true, Phase::Requested);
                }
                world.processes[who] = Process { at: At::Marked { sent_before: sent }, waited: false };
            }
            Deed::Ask => {
                let at = &mut world.processes[who].at;
                if let At::Marked { sent_before } = *at {
                    *at = At::Asked { sent_before };
                }
                world.requests.push(Request { from: Some(who), fate: Fate::Travelling });
            }
            Deed::Take(id) => {
                world.journal.set(sent, Phase::Serving(id));
                world.processes[who].at = At::Idle;
            }
            Deed::Unmark => {
                let at = &mut world.processes[who].at;
                if let (At::Refused { sent_before }, true) = (*at, world.journal.is_requested()) {
                    world.journal.set(sent_before, Phase::Requested);
                }
                *at = At::Idle;
            }
            Deed::GiveUp => world.journal.set(sent, Phase::NeverMade),
            Deed::OrderDelete => {
                if let Some(Phase::Serving(id)) = phase {
                    world.journal.set(sent, Phase::Deleting(id));
                }
            }
            Deed::Delete(id) => {
                if world.droplets[id].is_anothers() {
                    world.wrong = Some(Wrong::DeletedAnothers);
                } else if phase == Some(Phase::Serving(id)) {
                    world.wrong = Some(Wrong::DeletedTheWanted);
                }
                world.droplets[id].life = Life::Leaving;
                if !self.has(Guard::DeleteUntilGone) {
                    close(world, id);
                }
            }
            Deed::Close(id) => close(world, id),
            Deed::Condemn(id) => world.journal.condemned.push(Condemned { id, closed: false }),
            Deed::Report(id) => world.droplets[id].reported = true,
        }
    }
}

fn close(world: &mut World, id: Id) {
    if let Some(create) = world.journal.create.filter(|create| create.phase == Phase::Deleting(id)) {
        world.journal.set(create.sent, Phase::Left(id));
    }
    for condemned in world.journal.condemned.iter_mut().filter(|condemned| condemned.id == id) {
        condemned.closed = true;
    }
}
