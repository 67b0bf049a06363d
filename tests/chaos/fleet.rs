//! A fleet with a succession of processes: the cloud, HAProxy and the inventory file outlive them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_controller::{Controller, Event, EventSink, NameGenerator, Settings, UserDataSource};
use doproxy_core::domain::{
    DropletId, DropletName, DropletRequest, FleetName, Phase, Tag, Template, Timestamp, UserData,
};
use doproxy_core::seams::{CloudProvider, CreateRequest, Inventory, LoadBalancer, Platform, Server, Snapshot};
use doproxy_emulator::{Faults, PersistedState, cloud};
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_support::Clock;
use doproxy_test_support::SimulatedCloud;
use tempfile::TempDir;

use crate::watched::{RecordingBalancer, RecordingCloud};

/// The simulated platform of these tests.
#[derive(Debug)]
pub enum Simulated {}

impl Platform for Simulated {
    type Cloud = RecordingCloud;
    type Balancer = RecordingBalancer;
    type Inventory = SqliteInventory;
}

pub type TestController = Controller<Simulated>;

/// The start time of the first process.
pub const START_TIME: Timestamp = Timestamp(1_800_000_000_000);
/// The prefix of all names.
pub const PREFIX: &str = "www";

pub struct Fleet {
    pub cloud: RecordingCloud,
    pub balancer: RecordingBalancer,
    /// The true time.
    clock: Clock,
    /// The offset of the next process's wall clock from true time, in seconds.
    pub clock_skew_s: i64,
    database: PathBuf,
    seed: u64,
    processes: u64,
    events: Arc<Mutex<Vec<Event>>>,
}

/// Returns a folder in memory if the machine supports it: thousands of databases would overload a disk.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Fleet {
    /// Creates a fleet on a new cloud.
    pub fn new(folder: &Path, seed: u64) -> Self {
        let clock = Clock::starting_at(START_TIME);
        Self::on_cloud(cloud::CloudState::new(cloud_settings(seed)), clock, folder, None, seed)
    }

    /// Restores the cloud saved in a folder, at the time of its last save.
    pub async fn saved(folder: &Path, seed: u64) -> Self {
        let (at, state) = RecordingCloud::saved(folder).unwrap_or_else(|| {
            let cloud = cloud::CloudState::new(cloud_settings(seed));
            (START_TIME, cloud.persisted().clone())
        });
        Self::restored(folder, seed, at, state).await
    }

    async fn restored(folder: &Path, seed: u64, at: Timestamp, state: PersistedState) -> Self {
        let cloud = cloud::CloudState::restore(cloud_settings(seed), state).unwrap();
        let fleet = Self::on_cloud(cloud, Clock::starting_at(at), folder, Some(folder.to_owned()), seed);
        let mut servers = Vec::new();
        for (id, state) in RecordingBalancer::saved(folder) {
            let name = DropletName::parse(format!("server-{id}")).unwrap();
            let address =
                fleet.cloud.inner.with_state(|cloud, now| cloud.droplet_itself(now, id).map(|one| one.private_address));
            let Ok(address) = address else { continue };
            servers.push(Server { id, hostname: name, address: address.into(), state });
        }
        // HAProxy's state is restored before the first query; the names in its comments are lost.
        let Ok(_) = fleet.balancer.inner.apply(&servers).await;
        fleet
    }

    fn on_cloud(
        cloud_state: cloud::CloudState,
        clock: Clock,
        folder: &Path,
        saved_in: Option<PathBuf>,
        seed: u64,
    ) -> Self {
        let balancer = RecordingBalancer::new(saved_in.clone());
        let cloud = SimulatedCloud::new(cloud_state, clock);
        Self {
            cloud: RecordingCloud::new(cloud, balancer.clone(), tag(), saved_in),
            balancer,
            clock,
            clock_skew_s: 0,
            database: folder.join("doproxy.db"),
            seed,
            processes: 0,
            events: Arc::default(),
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        self.cloud.inner.with_state(|cloud, _| cloud.set_faults(faults));
    }

    /// Returns a new process: it knows only the state on disk.
    pub fn process(&mut self) -> TestController {
        self.processes += 1;
        let wall_clock =
            Clock::starting_at(Timestamp(self.clock.now().0.saturating_add_signed(self.clock_skew_s * 1000)));
        let events = Arc::clone(&self.events);
        Controller::new(
            self.cloud.clone(),
            self.balancer.clone(),
            self.inventory(),
            settings(),
            wall_clock,
            NameGenerator::seeded(self.seed.wrapping_mul(1_000_003).wrapping_add(self.processes)),
            EventSink::new(move |event| events.lock().unwrap().push(event.clone())),
        )
    }

    pub fn inventory(&self) -> SqliteInventory {
        SqliteInventory::open(&self.database).unwrap()
    }

    pub async fn snapshot(&self) -> Snapshot {
        self.inventory().load().await.unwrap()
    }

    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Returns the droplets reported as orphans.
    pub fn reported(&self) -> HashSet<DropletId> {
        let messages = |event: &Event| match event {
            Event::OrphanFound { id, .. } => Some(*id),
            _ => None,
        };
        self.events().iter().filter_map(messages).collect()
    }

    /// Creates a droplet as another program would.
    pub async fn create_external_droplet(&self, name: &str, tags: Vec<Tag>) {
        let request = CreateRequest {
            names: vec![DropletName::parse(name).unwrap()],
            template: Template { tags, ..template() },
            ssh_keys: vec![],
            user_data: UserData::parse("").unwrap(),
            vpc_uuid: None,
            monitoring: false,
        };
        // The account may be full.
        let _ = self.cloud.inner.create(&request).await;
        self.cloud.save();
    }
}

pub fn droplet_request(count: u32) -> DropletRequest {
    DropletRequest { count, ..DropletRequest::default() }
}

pub fn tag() -> Tag {
    FleetName::sanitized("test").tag()
}

fn template() -> Template {
    Template { size: "s-1vcpu-1gb".into(), region: "nyc3".into(), image: "debian-12-x64".into(), tags: vec![] }
}

fn cloud_settings(seed: u64) -> cloud::Settings {
    let boot_time = Duration::from_secs(3);
    cloud::Settings { seed, boot_time, rate_limits: None, ..cloud::Settings::default() }
}

fn settings() -> Settings {
    Settings {
        fleet: FleetName::sanitized("test"),
        hostname_prefix: PREFIX.into(),
        template: template(),
        ssh_keys: vec![],
        vpc_uuid: None,
        monitoring: false,
        address: doproxy_core::seams::AddressKind::Private,
        user_data: UserDataSource::Fixed(UserData::parse("#!/bin/sh\ntrue\n").unwrap()),
        deadlines: doproxy_core::domain::Deadlines::default(),
        max_create_per_hour: 1_000,
        allow_empty_cloud: true,
    }
}

/// Returns the names of the serving droplets, on which commands can operate.
pub fn serving_names(snapshot: &Snapshot) -> Vec<DropletName> {
    let serving = snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Serving);
    serving.map(|droplet| droplet.name.clone()).collect()
}
