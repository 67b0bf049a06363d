//! Droplet actions: power changes and renaming.

use doproxy_core::domain::{DropletId, DropletName, Timestamp};
use doproxy_core::seams::Status;

use crate::cloud::droplet::POWER_CHANGE_DURATION;
use crate::cloud::{Action, ApiError, CloudState, PowerChange};

/// An action that can be requested for a droplet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Graceful shutdown by the operating system.
    Shutdown,
    /// Hard power-off.
    PowerOff,
    /// Power-on.
    PowerOn,
    /// Graceful restart; the droplet counts as running throughout.
    Reboot,
    /// Hard power cycle; the droplet counts as running throughout.
    PowerCycle,
    /// Changes the name.
    Rename(String),
}

impl Command {
    /// Parses the action `type` and its accompanying `name`.
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
    /// Starts an action on a droplet; it takes one second.
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
                changed.last_power_change = Some(PowerChange { at: done_at, on: false, was_on });
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

    /// Starts an action on every droplet with this tag, skipping droplets that have a pending event.
    pub fn command_tagged(&mut self, now: Timestamp, tag: &str, command: &Command) -> Vec<Action> {
        let tagged = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now) && droplet.has_tag(tag));
        let ids: Vec<DropletId> = tagged.map(|droplet| droplet.id).collect();
        ids.into_iter().filter_map(|id| self.command(now, id, command).ok()).collect()
    }

    /// Returns the action with this ID.
    pub fn action(&self, id: u64) -> Result<&Action, ApiError> {
        self.persisted.actions.get(&id).ok_or(ApiError::NotFound)
    }

    /// Returns the actions on a droplet, newest first.
    pub fn actions_of(&self, now: Timestamp, id: DropletId) -> Result<Vec<&Action>, ApiError> {
        self.live_droplet(now, id)?;
        Ok(self.persisted.actions.values().rev().filter(|action| action.droplet == id).collect())
    }
}
