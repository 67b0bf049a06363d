//! Actions on droplets: power, and names.

use super::droplet::POWER_CHANGE_DURATION;
use super::{Action, ApiError, CloudState, PowerChange};
use crate::cloud::Status;
use crate::model::{DropletId, DropletName, Timestamp};

/// What can be done to a droplet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Off by the operating system.
    Shutdown,
    /// Off by pulling the plug.
    PowerOff,
    /// On.
    PowerOn,
    /// Off and on by the operating system; the droplet counts as running all the time.
    Reboot,
    /// Off and on by pulling the plug; the droplet counts as running all the time.
    PowerCycle,
    /// Another name.
    Rename(String),
}

impl Command {
    /// The command with this `type`, and the `name` that came with it.
    pub fn parse(kind: &str, name: Option<String>) -> Result<Self, ApiError> {
        match kind {
            "shutdown" => Ok(Self::Shutdown),
            "power_off" => Ok(Self::PowerOff),
            "power_on" => Ok(Self::PowerOn),
            "reboot" => Ok(Self::Reboot),
            "power_cycle" => Ok(Self::PowerCycle),
            "rename" => name
                .filter(|name| DropletName::parse(name.as_str()).is_ok())
                .map(Self::Rename)
                .ok_or_else(|| ApiError::Invalid("The new name is missing or not valid.".to_owned())),
            other => Err(ApiError::Invalid(format!("The simulated cloud does not know the action {other:?}."))),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::PowerOff => "power_off",
            Self::PowerOn => "power_on",
            Self::Reboot => "reboot",
            Self::PowerCycle => "power_cycle",
            Self::Rename(_) => "rename",
        }
    }
}

impl CloudState {
    /// Does something to a droplet; it takes a second.
    pub fn command(&mut self, now: Timestamp, id: DropletId, command: &Command) -> Result<Action, ApiError> {
        let droplet = self.live_droplet(now, id)?;
        if droplet.has_pending_event_at(now) {
            return Err(ApiError::PendingEvent);
        }
        let done_at = now.plus(POWER_CHANGE_DURATION);
        let was_on = droplet.status_at(now) == Status::Active;
        let mut changed = droplet.clone();
        match command {
            Command::Rename(name) => changed.name.clone_from(name),
            Command::Shutdown | Command::PowerOff => {
                changed.last_power_change = Some(PowerChange { at: done_at, on: false, was_on })
            }
            Command::PowerOn | Command::Reboot | Command::PowerCycle => {
                changed.last_power_change = Some(PowerChange { at: done_at, on: true, was_on });
            }
        }
        let action = self.start_action(command.kind(), &changed, now, Some(done_at));
        self.persisted.droplets.insert(id, changed);
        self.touch();
        self.action(action).cloned()
    }

    /// Does something to every droplet with a tag that nothing is in the way of.
    pub fn command_tagged(&mut self, now: Timestamp, tag: &str, command: &Command) -> Vec<Action> {
        let tagged = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now) && droplet.has_tag(tag));
        let ids: Vec<DropletId> = tagged.map(|droplet| droplet.id).collect();
        ids.into_iter().filter_map(|id| self.command(now, id, command).ok()).collect()
    }

    /// One action.
    pub fn action(&self, id: u64) -> Result<&Action, ApiError> {
        self.persisted.actions.get(&id).ok_or(ApiError::NotFound)
    }

    /// What was done to a droplet, the youngest first.
    pub fn actions_of(&self, now: Timestamp, id: DropletId) -> Result<Vec<&Action>, ApiError> {
        self.live_droplet(now, id)?;
        Ok(self.persisted.actions.values().rev().filter(|action| action.droplet == id).collect())
    }
}
