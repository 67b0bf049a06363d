//! Execution of one case: the real client and controller against the real emulator, with short deadlines, and the
//! resulting state.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doproxy_controller::{Controller, ControllerError, Event, EventSink, NameGenerator, Settings, UserDataSource};
use doproxy_core::domain::{
    Deadlines, DropletId, DropletRequest, FleetName, Phase, Tag, Template, Timestamp, Token, UserData,
};
use doproxy_core::seams::{
    Account, AddressKind, CloudError, CloudInstance, CloudProvider, CreateRequest, Filter, Image, Platform, Region,
    Size, Snapshot, SshKey,
};
use doproxy_digitalocean::{ApiUrl, DigitalOcean, Options, Retry, Timeouts};
use doproxy_emulator::{
    CloudState, Emulator, Faults, Frequency, NewDroplets, Options as EmulatorOptions, Selection,
    Settings as CloudSettings,
};
use doproxy_inventory_sqlite::SqliteInventory;
use doproxy_support::{Clock, SplitMix64};
use doproxy_test_support::SimulatedBalancer;

use super::faults::{Case, Expected};
use doproxy_test_support::environment::free_port;

/// The longest time for any command.
const MAX_DURATION: Duration = Duration::from_secs(45);

/// Different seeds give the droplets of each emulator different addresses. The seeds of `TestEnvironment` begin with 1.
static NEXT_SEED: AtomicU64 = AtomicU64::new(120);

/// The simulated platform of these tests.
#[derive(Debug)]
enum Simulated {}

impl Platform for Simulated {
    type Cloud = FaultyClient;
    type Balancer = SimulatedBalancer;
    type Inventory = SqliteInventory;
}

type TestController = Controller<Simulated>;

/// The command that runs while faults are injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Create,
    /// The first response is lost, so that the faults affect the look-up of the droplets.
    CreateWithLostResponse,
    Delete,
    Import,
}

impl Scenario {
    pub const ALL: [Self; 4] = [Self::Create, Self::CreateWithLostResponse, Self::Delete, Self::Import];

    /// Returns the expected outcome for scenarios that create; the others are not affected.
    pub fn expect_for_creates(self, expected: Expected) -> Expected {
        match self {
            Self::Create | Self::CreateWithLostResponse => expected,
            Self::Delete | Self::Import => Expected::Done,
        }
    }
}

/// The outcome of a command.
#[derive(Debug, Clone)]
pub enum Outcome {
    Done,
    Abandoned(String),
    Failed(String),
    TimedOut,
}

/// The observed result of a case.
#[derive(Debug)]
pub struct CaseResult {
    pub outcome: Outcome,
    pub duration: Duration,
    /// The API calls of the command, with their counts.
    pub calls: BTreeMap<String, u64>,
    /// Invariant violations after the next command.
    pub violations: Vec<String>,
}

/// An emulator that runs one case after the other.
pub struct FaultHarness {
    emulator: Emulator,
    settings: CloudSettings,
}

impl FaultHarness {
    pub async fn start() -> Self {
        let settings = CloudSettings {
            seed: NEXT_SEED.fetch_add(1, Ordering::Relaxed),
            boot_time: Duration::ZERO,
            rate_limits: None,
            ..CloudSettings::default()
        };
        let options =
            EmulatorOptions { droplet_port: free_port(), settings: settings.clone(), ..EmulatorOptions::default() };
        Self { emulator: Emulator::start(options).await.unwrap(), settings }
    }

    pub async fn stop(self) {
        self.emulator.stop().await;
    }

    fn with_state<T>(&self, read: impl FnOnce(&mut CloudState) -> T) -> T {
        self.emulator.with_state(|cloud, _| read(cloud))
    }

    /// Runs a case from an empty cloud to the second command after it.
    pub async fn run_case(&self, case: &Case) -> CaseResult {
        self.with_state(|cloud| *cloud = CloudState::new(self.settings.clone()));
        let scene = TestFleet::new();
        self.prepare(case.scenario, &scene).await;
        self.with_state(|cloud| {
            cloud.set_faults(case.faults());
            cloud.reset_calls();
        });

        let started = Instant::now();
        let controller = scene.controller(
            self.client(
                case.refused_call(),
                if case.expects_read_timeout() { SHORT_READ_TIMEOUT } else { LONG_READ_TIMEOUT },
            ),
            deadlines(case.expected()),
        );
        let result = tokio::time::timeout(MAX_DURATION, self.run_scenario(case.scenario, &controller)).await;
        let outcome = result.unwrap_or(Outcome::TimedOut);
        let took = started.elapsed();
        drop(controller);
        let calls = self.with_state(|cloud| {
            cloud.set_faults(Faults::default());
            cloud.calls().clone()
        });

        let disorder = match tokio::time::timeout(MAX_DURATION, self.recover(&scene)).await {
            Ok(disorder) => disorder,
            Err(_) => vec!["the next command timed out".to_owned()],
        };
        CaseResult { outcome, duration: took, calls, violations: disorder }
    }

    /// Prepares the state before the scenario starts.
    async fn prepare(&self, story: Scenario, scene: &TestFleet) {
        match story {
            Scenario::Create | Scenario::CreateWithLostResponse => {}
            Scenario::Delete => {
                let controller = scene.controller(self.client(None, LONG_READ_TIMEOUT), Deadlines::default());
                let made = controller.create(&DropletRequest { count: 2, ..DropletRequest::default() }).await.unwrap();
                assert_eq!(made.created.len(), 2);
            }
            Scenario::Import => {
                let request = NewDroplets {
                    names: vec!["old-1".to_owned(), "old-2".to_owned()],
                    region: Some("nyc3".to_owned()),
                    size: "s-1vcpu-1gb".to_owned(),
                    image: "debian-12-x64".to_owned(),
                    ..NewDroplets::default()
                };
                // Created long ago.
                self.emulator.with_state(|cloud, now| cloud.create(Timestamp(now.0 - 60_000), &request).unwrap());
            }
        }
    }

    async fn run_scenario(&self, story: Scenario, controller: &TestController) -> Outcome {
        match story {
            Scenario::Create | Scenario::CreateWithLostResponse => {
                let request = DropletRequest { count: 2, ..DropletRequest::default() };
                outcome(controller.create(&request).await.and_then(|summary| {
                    let made = summary.created.len();
                    summary.into_result().map(|_| made == 2)
                }))
            }
            Scenario::Delete => {
                let first = controller.load().await.unwrap().droplets[0].name.clone();
                outcome(controller.delete(&[first], "a test").await.and_then(|summary| {
                    let gone = summary.deleted.len();
                    summary.into_result().map(|_| gone == 1)
                }))
            }
            Scenario::Import => {
                let ids: Vec<DropletId> = self.emulator.with_state(|cloud, now| {
                    cloud.list(now, Selection::All).droplets.iter().map(|one| one.id).collect()
                });
                match controller.import(&ids).await {
                    Ok(imported) if !imported.missing.is_empty() => Outcome::Abandoned("missing".to_owned()),
                    other => outcome(other.map(|imported| imported.droplets.len() == 2)),
                }
            }
        }
    }

    /// Runs the next command and the one after it; returns the violations.
    async fn recover(&self, scene: &TestFleet) -> Vec<String> {
        let mut disorder = Vec::new();
        let controller = scene.controller(
            self.client(None, LONG_READ_TIMEOUT),
            Deadlines { create_visibility: CREATE_VISIBILITY, ..Deadlines::default() },
        );
        if let Err(error) = controller.resume(|_| {}).await {
            disorder.push(format!("the next command fails: {error}"));
        }
        let after = controller.load().await.unwrap();
        drop(controller);
        self.check(scene, &after, &mut disorder);

        let before = self.with_state(|cloud| cloud.revision());
        let servers = scene.balancer.servers();
        let controller = scene.controller(
            self.client(None, LONG_READ_TIMEOUT),
            Deadlines { create_visibility: CREATE_VISIBILITY, ..Deadlines::default() },
        );
        if let Err(error) = controller.resume(|_| {}).await {
            disorder.push(format!("the second command fails: {error}"));
        }
        if controller.load().await.unwrap() != after {
            disorder.push("the second command changes the inventory".to_owned());
        }
        if self.with_state(|cloud| cloud.revision()) != before {
            disorder.push("the second command changes the cloud".to_owned());
        }
        if scene.balancer.servers() != servers {
            disorder.push("the second command changes the balancer".to_owned());
        }
        disorder
    }

    /// Checks the invariants.
    fn check(&self, scene: &TestFleet, inventory: &Snapshot, disorder: &mut Vec<String>) {
        let tag = fleet().tag();
        let billed: Vec<(DropletId, String, IpAddr)> = self.emulator.with_state(|cloud, now| {
            let listing = cloud.list(now, Selection::Tag(tag.as_str()));
            listing.droplets.iter().map(|one| (one.id, one.name.clone(), one.private_address.into())).collect()
        });
        if !inventory.operations.is_empty() {
            disorder.push(format!("the journal has open operations: {:?}", inventory.operations));
        }
        for (index, (id, name, _)) in billed.iter().enumerate() {
            let is_known = inventory.droplets.iter().any(|droplet| droplet.id == Some(*id));
            if !is_known && !scene.has_reported(*id) {
                disorder.push(format!("{name} is billed, but not in the inventory and not reported"));
            }
            if billed[..index].iter().any(|(_, other, _)| other == name) {
                disorder.push(format!("{name} exists twice"));
            }
        }
        for droplet in &inventory.droplets {
            let at_the_api = billed.iter().find(|(id, ..)| droplet.id == Some(*id));
            match at_the_api {
                None => disorder.push(format!("{} is in the inventory but does not exist", droplet.name)),
                Some((.., address)) if droplet.address != Some(*address) => {
                    disorder.push(format!("{} has address {address}, not {:?}", droplet.name, droplet.address));
                }
                Some(_) if droplet.phase != Phase::Serving => {
                    disorder.push(format!("{} is still {}", droplet.name, droplet.phase));
                }
                Some(_) => {}
            }
        }
        let servers: Vec<DropletId> = scene.balancer.servers().iter().map(|server| server.id).collect();
        let serving: Vec<DropletId> = inventory.droplets.iter().filter_map(|droplet| droplet.id).collect();
        if servers != serving {
            disorder.push(format!("the balancer has {servers:?} and the inventory {serving:?}"));
        }
    }

    /// Returns a client with this read timeout.
    fn client(&self, unplugged: Option<(String, Frequency)>, silence: Duration) -> FaultyClient {
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let client = |url: &str| {
            let token = Token::parse("dop_v1_very_secret").unwrap();
            let timeouts = Timeouts { connect: Duration::from_secs(5), read: silence, total: LONG_READ_TIMEOUT };
            let retry = Retry {
                max_attempts: 3,
                initial_backoff: Duration::from_millis(2),
                max_total_backoff: Duration::from_secs(2),
            };
            let url = ApiUrl::parse(url).unwrap();
            DigitalOcean::new(Options { timeouts, retry, ..Options::new(url, token) }).unwrap()
        };
        FaultyClient {
            api: client(&self.emulator.url()),
            refused: unplugged.map(|(call, when)| RefusedCall {
                client: client(&nobody),
                call,
                when: Mutex::new(when),
            }),
        }
    }
}

fn outcome(result: Result<bool, ControllerError>) -> Outcome {
    match result {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Abandoned("the command succeeded, but did only a part".to_owned()),
        Err(ControllerError::Abandoned(why)) => Outcome::Abandoned(why.join("\n")),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Read timeouts of the client: short if the test expects no response, long otherwise, even for a slow machine.
const SHORT_READ_TIMEOUT: Duration = Duration::from_millis(400);
const LONG_READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Longer than the list lag in any case, by more than a slow machine takes between request and response.
const CREATE_VISIBILITY: Duration = Duration::from_millis(500);

/// Returns short deadlines where a deadline should end the command, otherwise deadlines that are long enough for a slow
/// machine.
fn deadlines(expected: Expected) -> Deadlines {
    let (mut boot, mut delete) = (Duration::from_secs(20), Duration::from_secs(20));
    match expected {
        Expected::Abandoned("did not appear" | "it is levitating") => boot = Duration::from_millis(1500),
        Expected::Abandoned(words) if words.contains("without an address") => boot = Duration::from_millis(500),
        Expected::Failed("is still deleting") => delete = Duration::from_millis(400),
        _ => {}
    }
    Deadlines {
        create_visibility: CREATE_VISIBILITY,
        boot,
        warm_up: Duration::from_secs(20),
        drain: Duration::from_secs(1),
        delete,
        poll_interval: Duration::from_millis(25),
    }
}

fn fleet() -> FleetName {
    FleetName::parse("matrix").unwrap()
}

/// The state that outlives a command: the inventory's file and the balancer, and the reported orphans.
struct TestFleet {
    dir: tempfile::TempDir,
    balancer: SimulatedBalancer,
    reported: Arc<Mutex<Vec<DropletId>>>,
}

impl TestFleet {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), balancer: SimulatedBalancer::default(), reported: Arc::default() }
    }

    /// Returns the controller of a new process: it knows only the state on disk.
    fn controller(&self, line: FaultyClient, deadlines: Deadlines) -> TestController {
        let unknown = Arc::clone(&self.reported);
        Controller::new(
            line,
            self.balancer.clone(),
            SqliteInventory::open(Path::new(self.dir.path()).join("doproxy.db")).unwrap(),
            Settings {
                max_create_per_hour: 1_000,
                allow_empty_cloud: true,
                fleet: fleet(),
                hostname_prefix: "www".to_owned(),
                template: Template {
                    size: "s-1vcpu-1gb".to_owned(),
                    region: "nyc3".to_owned(),
                    image: "debian-12-x64".to_owned(),
                    tags: vec![],
                },
                ssh_keys: vec![],
                vpc_uuid: None,
                monitoring: false,
                address: AddressKind::Private,
                user_data: UserDataSource::Fixed(UserData::parse("#!/bin/sh\ntrue\n").unwrap()),
                deadlines,
            },
            Clock::from_wall_clock(),
            NameGenerator::random(),
            EventSink::new(move |event| {
                if let Event::OrphanFound { id, .. } = event {
                    unknown.lock().unwrap().push(*id);
                }
            }),
        )
    }

    fn has_reported(&self, id: DropletId) -> bool {
        self.reported.lock().unwrap().contains(&id)
    }
}

/// A client whose connections are refused for one kind of call: an emulator cannot refuse a connection that it never
/// receives.
struct FaultyClient {
    api: DigitalOcean,
    refused: Option<RefusedCall>,
}

struct RefusedCall {
    /// A client for an address without a listener.
    client: DigitalOcean,
    call: String,
    when: Mutex<Frequency>,
}

impl FaultyClient {
    /// Returns the client for a call that makes these requests.
    fn client_for(&self, requests: &[&str]) -> &DigitalOcean {
        match &self.refused {
            Some(unplugged)
                if requests.contains(&unplugged.call.as_str())
                    && unplugged.when.lock().unwrap().triggers(&mut SplitMix64::from_seed(0)) =>
            {
                &unplugged.client
            }
            _ => &self.api,
        }
    }
}

impl CloudProvider for FaultyClient {
    async fn create(&self, request: &CreateRequest) -> Result<Vec<CloudInstance>, CloudError> {
        self.client_for(&["POST /v2/droplets"]).create(request).await
    }

    async fn get(&self, id: DropletId) -> Result<CloudInstance, CloudError> {
        self.client_for(&["GET /v2/droplets/{id}"]).get(id).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<CloudInstance>, CloudError> {
        self.client_for(&["GET /v2/droplets"]).list(filter).await
    }

    async fn delete(&self, id: DropletId) -> Result<(), CloudError> {
        self.client_for(&["DELETE /v2/droplets/{id}"]).delete(id).await
    }

    async fn tag(&self, id: DropletId, tag: &Tag) -> Result<(), CloudError> {
        self.client_for(&["POST /v2/tags", "POST /v2/tags/{name}/resources"]).tag(id, tag).await
    }

    async fn account(&self) -> Result<Account, CloudError> {
        self.client_for(&["GET /v2/account"]).account().await
    }

    async fn count(&self) -> Result<u32, CloudError> {
        self.client_for(&["GET /v2/droplets"]).count().await
    }

    async fn sizes(&self) -> Result<Vec<Size>, CloudError> {
        self.client_for(&["GET /v2/sizes"]).sizes().await
    }

    async fn regions(&self) -> Result<Vec<Region>, CloudError> {
        self.client_for(&["GET /v2/regions"]).regions().await
    }

    async fn image(&self, slug_or_id: &str) -> Result<Image, CloudError> {
        self.client_for(&["GET /v2/images/{id}"]).image(slug_or_id).await
    }

    async fn ssh_keys(&self) -> Result<Vec<SshKey>, CloudError> {
        self.client_for(&["GET /v2/account/keys"]).ssh_keys().await
    }
}
