//! The state of the simulated cloud, and the life of droplets in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalog::{self, Size, SshKey};
use super::rate_limit::CallWindows;
use super::{Action, ApiError, Faults, NewDroplets, RateLimits, SimulatedDroplet, SplitMix64};
use crate::cloud::Status;
use crate::model::{DropletId, Timestamp};

/// The id of the first droplet, after the example of the API's description.
const FIRST_DROPLET_ID: u64 = 3_164_444;
/// The id of the first action.
const FIRST_ACTION_ID: u64 = 36_804_636;
/// How long deleted droplets are remembered: as far back as lists can lag.
const DELETED_RETENTION: Duration = Duration::from_hours(1);
/// The version of [`State`] as it is written.
const STATE_VERSION: u32 = 1;

/// How a world behaves when nothing goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Decides over luck and over the network of the droplets' addresses.
    pub seed: u64,
    /// From the create to `active`, addresses and a running server.
    pub boot_time: Duration,
    /// The account's droplet limit.
    pub droplet_limit: u32,
    /// `None` lets every call through.
    pub rate_limits: Option<RateLimits>,
    /// The account's SSH keys.
    pub ssh_keys: Vec<SshKey>,
}

impl Default for Settings {
    /// Boots in a second, with the limits of the API's description.
    fn default() -> Self {
        Self {
            seed: 0,
            boot_time: Duration::from_secs(1),
            droplet_limit: 25,
            rate_limits: Some(RateLimits::default()),
            ssh_keys: vec![SshKey::example()],
        }
    }
}

/// What of a world outlives the process that runs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedState {
    version: u32,
    pub(super) seed: u64,
    droplets_created: u64,
    actions_created: u64,
    pub(super) rng: SplitMix64,
    pub(super) droplets: BTreeMap<DropletId, SimulatedDroplet>,
    pub(super) actions: BTreeMap<u64, Action>,
    /// By their names in small letters; the value has the capitals of the first use.
    pub(super) tags: BTreeMap<String, String>,
}

/// A state that this version cannot carry on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is of version {0}, and this program reads version {STATE_VERSION}")]
pub struct RestoreError(u32);

/// The simulated cloud.
#[derive(Debug, Clone)]
pub struct CloudState {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) persisted: PersistedState,
    pub(super) call_windows: CallWindows,
    pub(super) calls: BTreeMap<String, u64>,
    revision: u64,
}

/// A droplet that was asked for, and the action that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The droplet.
    pub droplet: DropletId,
    /// The action.
    pub action: u64,
}

/// Which droplets to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All of them.
    All,
    /// Those with this tag, whatever its capitals.
    Tag(&'a str),
    /// Those with this name, whatever its capitals.
    Name(&'a str),
}

/// A list of droplets as they were at a time, which is not now when lists lag.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<'a> {
    /// The time that the list shows.
    pub as_of: Timestamp,
    /// The oldest first.
    pub droplets: Vec<&'a SimulatedDroplet>,
}

/// Which droplets run a server, and until when that holds if nobody does anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDroplets {
    /// Those that are powered on.
    pub running: Vec<DropletId>,
    /// When the next one starts or stops by itself.
    pub next_change: Option<Timestamp>,
}

/// A size, and where it can be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedSize {
    /// The size.
    pub size: &'static Size,
    /// Slugs of regions; none while it is sold out.
    pub regions: &'static [&'static str],
}

impl CloudState {
    /// A world without droplets.
    pub fn new(settings: Settings) -> Self {
        let state = PersistedState {
            version: STATE_VERSION,
            seed: settings.seed,
            droplets_created: 0,
            actions_created: 0,
            rng: SplitMix64::from_seed(settings.seed),
            droplets: BTreeMap::new(),
            actions: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        Self::from_persisted(settings, state)
    }

    /// Carries on from `state`, whose seed counts.
    pub fn restore(settings: Settings, state: PersistedState) -> Result<Self, RestoreError> {
        if state.version == STATE_VERSION {
            Ok(Self::from_persisted(settings, state))
        } else {
            Err(RestoreError(state.version))
        }
    }

    fn from_persisted(settings: Settings, state: PersistedState) -> Self {
        Self {
            settings,
            faults: Faults::default(),
            persisted: state,
            call_windows: CallWindows::default(),
            calls: BTreeMap::new(),
            revision: 0,
        }
    }

    /// What outlives the process.
    pub fn persisted(&self) -> &PersistedState {
        &self.persisted
    }

    /// Grows with every change of what [`state`](Self::state) holds, luck aside.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    /// What goes wrong now.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How often each call came in, as `POST /v2/droplets` and so on.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    /// Counts calls from 0 again.
    pub fn reset_calls(&mut self) {
        self.calls.clear();
    }

    /// Most droplets that the account may have.
    pub fn droplet_limit(&self) -> u32 {
        self.faults.droplet_limit.unwrap_or(self.settings.droplet_limit)
    }

    /// The account's SSH keys.
    pub fn ssh_keys(&self) -> &[SshKey] {
        &self.settings.ssh_keys
    }

    /// The sizes, and where they can be had.
    pub fn sizes(&self) -> impl Iterator<Item = OfferedSize> {
        catalog::SIZES.iter().map(|size| {
            let sold_out = self.faults.sold_out_sizes.iter().any(|slug| slug == size.slug);
            OfferedSize { size, regions: if sold_out { &[] } else { size.regions } }
        })
    }

    /// Takes an order for droplets, all of them or none. They are made at once and boot later.
    pub fn create(&mut self, now: Timestamp, request: &NewDroplets) -> Result<Vec<Created>, ApiError> {
        let checked = request.validate(&self.settings.ssh_keys, &self.faults)?;
        let alive = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now)).count();
        if alive + request.names.len() > usize::try_from(self.droplet_limit()).unwrap_or(usize::MAX) {
            return Err(ApiError::DropletLimit);
        }
        self.purge_deleted(now);
        let mut tags: Vec<String> = Vec::new();
        for tag in &request.tags {
            let name = self.ensure_tag(tag);
            if !tags.contains(&name) {
                tags.push(name);
            }
        }
        let mut created = Vec::with_capacity(request.names.len());
        for name in &request.names {
            let number = self.persisted.droplets_created;
            self.persisted.droplets_created += 1;
            let id = DropletId(FIRST_DROPLET_ID + number);
            let (private_address, public_address, ipv6_address) =
                SimulatedDroplet::addresses(self.persisted.seed, number);
            let chance = &mut self.persisted.rng;
            let stuck = self.faults.stuck_in_new.triggers(chance);
            let lost = self.faults.lost_creates.triggers(chance);
            let droplet = SimulatedDroplet {
                id,
                name: name.clone(),
                size: checked.size,
                region: checked.region,
                image: checked.image,
                tags: tags.clone(),
                user_data: request.user_data.clone(),
                vpc_uuid: request.vpc_uuid.clone().unwrap_or_else(|| default_vpc(checked.region)),
                monitoring: request.monitoring,
                backups: request.backups,
                private_address,
                public_address: (!request.private_only).then_some(public_address),
                ipv6_address: request.ipv6.then_some(ipv6_address),
                created_at: now,
                active_at: (!stuck).then(|| now.plus(self.settings.boot_time)),
                shows_addresses: !self.faults.active_without_address.triggers(chance),
                last_power_change: None,
                deleted_at: lost.then_some(now),
            };
            let completes_at = droplet.active_at;
            let action = self.start_action("create", &droplet, now, completes_at);
            self.persisted.droplets.insert(id, droplet);
            created.push(Created { droplet: id, action });
        }
        self.touch();
        Ok(created)
    }

    /// One droplet, also one that is being made.
    pub fn droplet(&self, now: Timestamp, id: DropletId) -> Result<&SimulatedDroplet, ApiError> {
        let hidden = Duration::from_millis(self.faults.not_found_after_create_ms);
        let droplet = self.live_droplet(now, id)?;
        if now < droplet.created_at.plus(hidden) { Err(ApiError::NotFound) } else { Ok(droplet) }
    }

    /// The droplet that a call has just made; it is there even when it is hidden or lost.
    pub fn just_created(&self, created: Created) -> Result<&SimulatedDroplet, ApiError> {
        self.persisted.droplets.get(&created.droplet).ok_or(ApiError::NotFound)
    }

    /// The droplets that match, as old as the faults say.
    pub fn list(&self, now: Timestamp, selection: Selection<'_>) -> Listing<'_> {
        let as_of = Timestamp(now.0.saturating_sub(self.faults.list_lag_ms));
        let matches = |droplet: &&SimulatedDroplet| match selection {
            Selection::All => true,
            Selection::Tag(tag) => droplet.has_tag(tag),
            Selection::Name(name) => droplet.name.eq_ignore_ascii_case(name),
        };
        let there = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(as_of));
        Listing { as_of, droplets: there.filter(matches).collect() }
    }

    /// Deletes a droplet.
    pub fn delete(&mut self, now: Timestamp, id: DropletId) -> Result<(), ApiError> {
        let droplet = self.live_droplet(now, id)?;
        // One that is still being made can be deleted; only a switch of power is in the way.
        if droplet.status_at(now) != Status::New && droplet.has_pending_event_at(now) {
            return Err(ApiError::PendingEvent);
        }
        if self.faults.ignored_deletes.triggers(&mut self.persisted.rng) {
            return Ok(());
        }
        if let Some(droplet) = self.persisted.droplets.get_mut(&id) {
            droplet.deleted_at = Some(now);
        }
        self.purge_deleted(now);
        self.touch();
        Ok(())
    }

    /// Deletes every droplet with this tag that nothing is in the way of.
    pub fn delete_tagged(&mut self, now: Timestamp, tag: &str) {
        let tagged = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now) && droplet.has_tag(tag));
        let ids: Vec<DropletId> = tagged.map(|droplet| droplet.id).collect();
        for id in ids {
            if let Err(refusal) = self.delete(now, id) {
                tracing::debug!(%id, %refusal, "droplet not deleted with its tag");
            }
        }
    }

    /// Gives every droplet a private address that none has had.
    pub(super) fn move_addresses(&mut self, now: Timestamp) {
        for droplet in self.persisted.droplets.values_mut().filter(|droplet| droplet.exists_at(now)) {
            droplet.private_address =
                SimulatedDroplet::addresses(self.persisted.seed, self.persisted.droplets_created).0;
            self.persisted.droplets_created += 1;
        }
        self.touch();
    }

    /// Deletes the droplet that was made last, as somebody does in the control panel.
    pub(super) fn delete_youngest(&mut self, now: Timestamp) {
        let youngest = self.persisted.droplets.values_mut().rfind(|droplet| droplet.exists_at(now));
        if let Some(droplet) = youngest {
            droplet.deleted_at = Some(now);
            self.touch();
        }
    }

    /// Which droplets run a server.
    pub fn running_droplets(&self, now: Timestamp) -> RunningDroplets {
        let alive = || self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now));
        RunningDroplets {
            running: alive().filter(|droplet| droplet.status_at(now) == Status::Active).map(|one| one.id).collect(),
            next_change: alive().filter_map(|droplet| droplet.next_change_after(now)).min(),
        }
    }

    /// A droplet as its own machine sees itself: there, whatever the API hides of it.
    pub fn droplet_itself(&self, now: Timestamp, id: DropletId) -> Result<&SimulatedDroplet, ApiError> {
        self.live_droplet(now, id)
    }

    /// The address that the next droplet will have.
    pub fn next_address(&self) -> std::net::Ipv4Addr {
        SimulatedDroplet::addresses(self.persisted.seed, self.persisted.droplets_created).0
    }

    /// A droplet that is there, hidden or not.
    pub(super) fn live_droplet(&self, now: Timestamp, id: DropletId) -> Result<&SimulatedDroplet, ApiError> {
        self.persisted.droplets.get(&id).filter(|droplet| droplet.exists_at(now)).ok_or(ApiError::NotFound)
    }

    pub(super) fn start_action(
        &mut self,
        kind: &str,
        droplet: &SimulatedDroplet,
        now: Timestamp,
        completes_at: Option<Timestamp>,
    ) -> u64 {
        let id = FIRST_ACTION_ID + self.persisted.actions_created;
        self.persisted.actions_created += 1;
        let action = Action {
            id,
            kind: kind.to_owned(),
            droplet: droplet.id,
            region: droplet.region,
            started_at: now,
            completes_at,
        };
        self.persisted.actions.insert(id, action);
        id
    }

    fn purge_deleted(&mut self, now: Timestamp) {
        let state = &mut self.persisted;
        state
            .droplets
            .retain(|_, droplet| droplet.deleted_at.is_none_or(|deleted| now < deleted.plus(DELETED_RETENTION)));
        state.actions.retain(|_, action| state.droplets.contains_key(&action.droplet));
    }
}

/// An id of the form that the API has, one for each region.
fn default_vpc(region: &catalog::Region) -> String {
    let index = catalog::REGIONS.iter().position(|one| one.slug == region.slug).unwrap_or_default();
    format!("760e09ef-dc84-11e8-981e-3cfdfeaae{index:03x}")
}
