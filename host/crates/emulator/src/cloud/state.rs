//! The state of the simulated cloud and the lifecycle of its droplets.

use std::collections::BTreeMap;
use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp};
use doproxy_core::seams::Status;
use doproxy_support::SplitMix64;
use serde::{Deserialize, Serialize};

use crate::cloud::catalog::{Size, SshKey};
use crate::cloud::rate_limit::CallWindows;
use crate::cloud::{Action, ApiError, Faults, NewDroplets, RateLimits, SimulatedDroplet, catalog};

/// ID of the first droplet, taken from the example in the API description.
const FIRST_DROPLET_ID: u64 = 3_164_444;
/// ID of the first action.
const FIRST_ACTION_ID: u64 = 36_804_636;
/// Retention of deleted droplets; lists can lag at most this far.
const DELETED_RETENTION: Duration = Duration::from_hours(1);
/// Serialized version of [`PersistedState`].
const STATE_VERSION: u32 = 1;

/// Behavior of the simulated cloud without faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Determines the random numbers and the network of the droplets' addresses.
    pub seed: u64,
    /// Time from the create request until the droplet is `active`, has addresses and runs its server.
    pub boot_time: Duration,
    /// The account's droplet limit.
    pub droplet_limit: u32,
    /// Rate limits; `None` disables them.
    pub rate_limits: Option<RateLimits>,
    /// The account's SSH keys.
    pub ssh_keys: Vec<SshKey>,
}

impl Default for Settings {
    /// Returns settings with a boot time of one second and the limits of the API description.
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

/// The part of the state that outlives the process.
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
    /// Tags by lower-case name; the value has the letter case of the first use.
    pub(super) tags: BTreeMap<String, String>,
}

/// An unsupported state version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state version {0} is not supported; this program reads version {STATE_VERSION}")]
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

/// A created droplet, and the action that creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// ID of the droplet.
    pub droplet: DropletId,
    /// ID of the action.
    pub action: u64,
}

/// Filter of a droplet list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// All droplets.
    All,
    /// Droplets with this tag, ignoring letter case.
    Tag(&'a str),
    /// Droplets with this name, ignoring letter case.
    Name(&'a str),
}

/// A droplet list as of a point in time, which lies in the past if lists lag.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<'a> {
    /// Point in time that the list shows.
    pub as_of: Timestamp,
    /// Droplets, oldest first.
    pub droplets: Vec<&'a SimulatedDroplet>,
}

/// The droplets that run a server, and the time until which this holds without further calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDroplets {
    /// Droplets that are powered on.
    pub running: Vec<DropletId>,
    /// Time at which the next droplet starts or stops by itself.
    pub next_change: Option<Timestamp>,
}

/// A size and its current availability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedSize {
    /// Size.
    pub size: &'static Size,
    /// Slugs of the regions that offer it; empty while it is sold out.
    pub regions: &'static [&'static str],
}

impl CloudState {
    /// Creates a cloud without droplets.
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

    /// Restores a cloud from `state`, whose seed takes precedence.
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

    /// Returns the part of the state that outlives the process.
    pub fn persisted(&self) -> &PersistedState {
        &self.persisted
    }

    /// Returns a counter that increases with every change of [`persisted`](Self::persisted), except for its random
    /// number generator.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn touch(&mut self) {
        self.revision += 1;
    }

    /// Returns the active faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Replaces the active faults.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Returns the number of calls, keyed by method and path such as `POST /v2/droplets`.
    pub fn calls(&self) -> &BTreeMap<String, u64> {
        &self.calls
    }

    /// Resets the call counters.
    pub fn reset_calls(&mut self) {
        self.calls.clear();
    }

    /// Returns the account's droplet limit.
    pub fn droplet_limit(&self) -> u32 {
        self.faults.droplet_limit.unwrap_or(self.settings.droplet_limit)
    }

    /// Returns the account's SSH keys.
    pub fn ssh_keys(&self) -> &[SshKey] {
        &self.settings.ssh_keys
    }

    /// Returns the sizes and their availability.
    pub fn sizes(&self) -> impl Iterator<Item = OfferedSize> {
        catalog::SIZES.iter().map(|size| {
            let sold_out = self.faults.sold_out_sizes.iter().any(|slug| slug == size.slug);
            OfferedSize { size, regions: if sold_out { &[] } else { size.regions } }
        })
    }

    /// Creates all requested droplets or none. They exist immediately and boot later.
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
            let rng = &mut self.persisted.rng;
            let stuck = self.faults.stuck_in_new.triggers(rng);
            let lost = self.faults.lost_creates.triggers(rng);
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
                shows_addresses: !self.faults.active_without_address.triggers(rng),
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

    /// Returns a droplet, including one that is still being created.
    pub fn droplet(&self, now: Timestamp, id: DropletId) -> Result<&SimulatedDroplet, ApiError> {
        let hidden = Duration::from_millis(self.faults.not_found_after_create_ms);
        let droplet = self.live_droplet(now, id)?;
        if now < droplet.created_at.plus(hidden) { Err(ApiError::NotFound) } else { Ok(droplet) }
    }

    /// Returns a droplet that a call has just created, even if faults hide or lose it.
    pub fn just_created(&self, created: Created) -> Result<&SimulatedDroplet, ApiError> {
        self.persisted.droplets.get(&created.droplet).ok_or(ApiError::NotFound)
    }

    /// Returns the matching droplets, delayed by the configured list lag.
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
        // A droplet that is still being created can be deleted; only a power change prevents deletion.
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

    /// Deletes every droplet with this tag, skipping droplets that have a pending event.
    pub fn delete_tagged(&mut self, now: Timestamp, tag: &str) {
        let tagged = self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now) && droplet.has_tag(tag));
        let ids: Vec<DropletId> = tagged.map(|droplet| droplet.id).collect();
        for id in ids {
            if let Err(refusal) = self.delete(now, id) {
                tracing::debug!(%id, %refusal, "failed to delete a droplet by its tag");
            }
        }
    }

    /// Gives every droplet a new, previously unused private address.
    pub(super) fn move_addresses(&mut self, now: Timestamp) {
        for droplet in self.persisted.droplets.values_mut().filter(|droplet| droplet.exists_at(now)) {
            droplet.private_address =
                SimulatedDroplet::addresses(self.persisted.seed, self.persisted.droplets_created).0;
            self.persisted.droplets_created += 1;
        }
        self.touch();
    }

    /// Deletes the newest droplet, like an operator using the control panel.
    pub(super) fn delete_youngest(&mut self, now: Timestamp) {
        let youngest = self.persisted.droplets.values_mut().rfind(|droplet| droplet.exists_at(now));
        if let Some(droplet) = youngest {
            droplet.deleted_at = Some(now);
            self.touch();
        }
    }

    /// Returns the droplets that run a server.
    pub fn running_droplets(&self, now: Timestamp) -> RunningDroplets {
        let alive = || self.persisted.droplets.values().filter(|droplet| droplet.exists_at(now));
        RunningDroplets {
            running: alive().filter(|droplet| droplet.status_at(now) == Status::Active).map(|one| one.id).collect(),
            next_change: alive().filter_map(|droplet| droplet.next_change_after(now)).min(),
        }
    }

    /// Returns a droplet as its own host sees it: it exists even if the API hides it.
    pub fn droplet_itself(&self, now: Timestamp, id: DropletId) -> Result<&SimulatedDroplet, ApiError> {
        self.live_droplet(now, id)
    }

    /// Returns the private address that the next droplet will have.
    pub fn next_address(&self) -> std::net::Ipv4Addr {
        SimulatedDroplet::addresses(self.persisted.seed, self.persisted.droplets_created).0
    }

    /// Returns a droplet that exists, hidden or not.
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

/// Returns a VPC ID in the API's format; each region has its own.
fn default_vpc(region: &catalog::Region) -> String {
    let index = catalog::REGIONS.iter().position(|one| one.slug == region.slug).unwrap_or_default();
    format!("760e09ef-dc84-11e8-981e-3cfdfeaae{index:03x}")
}
