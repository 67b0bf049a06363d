//! A fleet over a simulated cloud and load balancer, with helpers to inspect it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_core::domain::{
    Droplet, DropletId, DropletName, DropletRequest, FleetName, Tag, Template, Timestamp, UserData,
};
use doproxy_core::seams::{CloudInstance, CloudProvider, CreateRequest, Filter, Inventory, Platform, Snapshot};
use doproxy_emulator::{CallFault, Effect, Faults, Frequency, cloud};
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_support::Clock;
use doproxy_test_support::{SimulatedBalancer, SimulatedCloud};
use tempfile::TempDir;

use crate::controller::Controller;
use crate::event::{Event, EventSink};
use crate::name_generator::NameGenerator;
use crate::settings::Settings;
use crate::user_data::UserDataSource;

/// The simulated platform of these tests.
#[derive(Debug)]
pub(super) enum Simulated {}

impl Platform for Simulated {
    type Cloud = SimulatedCloud;
    type Balancer = SimulatedBalancer;
    type Inventory = SqliteInventory;
}

pub(super) type SimulatedController = Controller<Simulated>;

/// The state that survives a process (the cloud, HAProxy and the inventory file) and the events reported so far.
pub(super) struct Harness {
    pub(super) cloud: SimulatedCloud,
    pub(super) balancer: SimulatedBalancer,
    clock: Clock,
    pub(super) dir: TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Harness {
    pub(super) fn new() -> Self {
        let clock = Clock::starting_at(Timestamp(1_800_000_000_000));
        let settings =
            cloud::Settings { boot_time: Duration::from_secs(20), rate_limits: None, ..cloud::Settings::default() };
        Self {
            cloud: SimulatedCloud::new(cloud::CloudState::new(settings), clock),
            balancer: SimulatedBalancer::default(),
            clock,
            dir: tempfile::tempdir().unwrap(),
            events: Arc::default(),
        }
    }

    pub(super) fn with_faults(faults: Faults) -> Self {
        let harness = Self::new();
        harness.set_faults(faults);
        harness
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.cloud.with_state(|harness, _| harness.set_faults(faults));
    }

    /// Starts a new process: it has the state on disk and nothing else.
    pub(super) fn controller(&self) -> SimulatedController {
        let events = Arc::clone(&self.events);
        Controller::new(
            self.cloud.clone(),
            self.balancer.clone(),
            SqliteInventory::open(self.dir.path().join("doproxy.db")).unwrap(),
            settings(),
            self.clock,
            NameGenerator::random(),
            EventSink::new(move |event| events.lock().unwrap().push(event.clone())),
        )
    }

    /// Creates a fleet of `count` serving droplets.
    pub(super) async fn with_fleet(count: u32) -> Self {
        let harness = Self::new();
        harness.controller().create(&request(count)).await.unwrap();
        harness.cloud.with_state(|harness, _| harness.reset_calls());
        harness
    }

    pub(super) async fn inventory(&self) -> Snapshot {
        self.controller().inventory().load().await.unwrap()
    }

    pub(super) async fn droplets(&self) -> Vec<Droplet> {
        self.inventory().await.droplets
    }

    /// Returns the droplets that are billed, whether or not the fleet contains them.
    pub(super) async fn billed(&self) -> Vec<CloudInstance> {
        self.set_faults(Faults::default());
        self.cloud.list(&Filter::Tag(tag())).await.unwrap()
    }

    /// Simulates the loss of the disk.
    pub(super) fn delete_inventory(&self) {
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }

    /// Returns the number of calls to an endpoint.
    pub(super) fn calls(&self, call: &str) -> u64 {
        self.cloud.with_state(|harness, _| harness.calls().get(call).copied().unwrap_or_default())
    }

    pub(super) fn count_events(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is_it(event)).count()
    }

    /// Creates a droplet as an external program would.
    pub(super) async fn create_externally(&self, name: &str, tags: &[Tag]) -> DropletId {
        let request = CreateRequest {
            names: vec![DropletName::parse(name).unwrap()],
            template: Template { tags: tags.to_vec(), ..template() },
            ssh_keys: vec![],
            user_data: UserData::parse("").unwrap(),
            vpc_uuid: None,
            monitoring: false,
        };
        self.cloud.create(&request).await.unwrap()[0].id
    }
}

pub(super) fn request(count: u32) -> DropletRequest {
    DropletRequest { count, ..DropletRequest::default() }
}

pub(super) fn faults_for(method: &str, when: Frequency, effect: Effect) -> Faults {
    let call = CallFault { method: Some(method.to_owned()), path: None, when, effect };
    Faults { calls: vec![call], ..Faults::default() }
}

pub(super) fn tag() -> Tag {
    FleetName::sanitized("test").tag()
}

pub(super) fn template() -> Template {
    Template { size: "s-1vcpu-1gb".into(), region: "nyc3".into(), image: "debian-12-x64".into(), tags: vec![] }
}

fn settings() -> Settings {
    Settings {
        fleet: FleetName::sanitized("test"),
        hostname_prefix: "www".into(),
        template: template(),
        ssh_keys: vec![],
        vpc_uuid: None,
        monitoring: false,
        address: doproxy_core::seams::AddressKind::Private,
        user_data: UserDataSource::Fixed(UserData::parse("#!/bin/sh\ntrue\n").unwrap()),
        deadlines: doproxy_core::domain::Deadlines::default(),
        max_create_per_hour: 120,
        allow_empty_cloud: false,
    }
}
