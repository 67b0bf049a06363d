//! One case: the real client and controller against the real emulator, with short deadlines, and what is left of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doproxy::clock::Clock;
use doproxy::cloud::digitalocean::{ApiUrl, DigitalOcean, Options, Retry, Timeouts};
use doproxy::cloud::{Account, Cloud, CloudDroplet, CloudError, CreateRequest, Filter, Image, Region, Size, SshKey};
use doproxy::controller::{
    AddressKind, Controller, ControllerError, Deadlines, Event, Names, Reporter, Settings, UserDataSource,
};
use doproxy::emulator::{Emulator, Options as EmulatorOptions};
use doproxy::inventory::Snapshot;
use doproxy::inventory::sqlite::SqliteInventory;
use doproxy::model::{DropletId, DropletRequest, FleetName, Phase, Tag, Template, Timestamp, Token, UserData};
use doproxy::simulation::balancer::SimulatedBalancer;
use doproxy::simulation::cloud::{Chance, Faults, Frequency, NewDroplets, Selection, Settings as CloudSettings, World};

use super::faults::{Case, Expected};
use crate::stage::free_port;

/// Nothing here may take longer.
const BOUND: Duration = Duration::from_secs(45);

/// Emulators with different seeds give their droplets different addresses. Those of `Stage` begin with 1.
static NEXT_SEED: AtomicU64 = AtomicU64::new(120);

type TestController = Controller<Line, SimulatedBalancer, SqliteInventory>;

/// What is done while faults strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    Create,
    /// The first answer is lost, so that what is struck is finding out what became of the droplets.
    CreateWithALostAnswer,
    Delete,
    Import,
}

impl Story {
    pub const ALL: [Self; 4] = [Self::Create, Self::CreateWithALostAnswer, Self::Delete, Self::Import];

    /// What is expected of the stories that create; the others are not touched.
    pub fn if_creating(self, expected: Expected) -> Expected {
        match self {
            Self::Create | Self::CreateWithALostAnswer => expected,
            Self::Delete | Self::Import => Expected::Done,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    Done,
    GaveUp(String),
    Failed(String),
    NeverEnded,
}

/// What was seen of a case.
#[derive(Debug)]
pub struct Observed {
    pub outcome: Outcome,
    pub took: Duration,
    /// The API calls of the command.
    pub calls: BTreeMap<String, u64>,
    /// What was not in order after the next command.
    pub disorder: Vec<String>,
}

/// An emulator in which one case after the other is played.
pub struct Lab {
    emulator: Emulator,
    settings: CloudSettings,
}

impl Lab {
    pub async fn open() -> Self {
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

    pub async fn close(self) {
        self.emulator.stop().await;
    }

    fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        self.emulator.with_world(|world, _| look(world))
    }

    /// Plays a case from an empty world to the second command after it.
    pub async fn play(&self, case: &Case) -> Observed {
        self.with_world(|world| *world = World::new(self.settings.clone()));
        let scene = Scene::new();
        self.prepare(case.story, &scene).await;
        self.with_world(|world| {
            world.set_faults(case.faults());
            world.reset_calls();
        });

        let started = Instant::now();
        let controller = scene.controller(
            self.line(case.unplugged(), if case.is_silent() { SHORT } else { LONG }),
            deadlines(case.expected()),
        );
        let played = tokio::time::timeout(BOUND, self.tell(case.story, &controller)).await;
        let outcome = played.unwrap_or(Outcome::NeverEnded);
        let took = started.elapsed();
        drop(controller);
        let calls = self.with_world(|world| {
            world.set_faults(Faults::default());
            world.calls().clone()
        });

        let disorder = match tokio::time::timeout(BOUND, self.recover(&scene)).await {
            Ok(disorder) => disorder,
            Err(_) => vec!["the command after it never ended".to_owned()],
        };
        Observed { outcome, took, calls, disorder }
    }

    /// What is there before the story begins.
    async fn prepare(&self, story: Story, scene: &Scene) {
        match story {
            Story::Create | Story::CreateWithALostAnswer => {}
            Story::Delete => {
                let controller = scene.controller(self.line(None, LONG), Deadlines::default());
                let made = controller.create(&DropletRequest { count: 2, ..DropletRequest::default() }).await.unwrap();
                assert_eq!(made.created.len(), 2);
            }
            Story::Import => {
                let request = NewDroplets {
                    names: vec!["old-1".to_owned(), "old-2".to_owned()],
                    region: Some("nyc3".to_owned()),
                    size: "s-1vcpu-1gb".to_owned(),
                    image: "debian-12-x64".to_owned(),
                    ..NewDroplets::default()
                };
                // Long ago.
                self.emulator.with_world(|world, now| world.create(Timestamp(now.0 - 60_000), &request).unwrap());
            }
        }
    }

    async fn tell(&self, story: Story, controller: &TestController) -> Outcome {
        match story {
            Story::Create | Story::CreateWithALostAnswer => {
                let request = DropletRequest { count: 2, ..DropletRequest::default() };
                outcome(controller.create(&request).await.and_then(|acted| {
                    let made = acted.created.len();
                    acted.into_result().map(|_| made == 2)
                }))
            }
            Story::Delete => {
                let first = controller.load().await.unwrap().droplets[0].name.clone();
                outcome(controller.delete(&[first], "a test").await.and_then(|acted| {
                    let gone = acted.deleted.len();
                    acted.into_result().map(|_| gone == 1)
                }))
            }
            Story::Import => {
                let ids: Vec<DropletId> = self.emulator.with_world(|world, now| {
                    world.list(now, Selection::All).droplets.iter().map(|one| one.id).collect()
                });
                match controller.import(&ids).await {
                    Ok(imported) if !imported.missing.is_empty() => Outcome::GaveUp("missing".to_owned()),
                    other => outcome(other.map(|imported| imported.droplets.len() == 2)),
                }
            }
        }
    }

    /// What the next command finds, and the one after it.
    async fn recover(&self, scene: &Scene) -> Vec<String> {
        let mut disorder = Vec::new();
        let controller =
            scene.controller(self.line(None, LONG), Deadlines { visible: VISIBLE, ..Deadlines::default() });
        if let Err(error) = controller.carry_on(|_| {}).await {
            disorder.push(format!("the next command fails: {error}"));
        }
        let after = controller.load().await.unwrap();
        drop(controller);
        self.check(scene, &after, &mut disorder);

        let before = self.with_world(|world| world.revision());
        let servers = scene.balancer.servers();
        let controller =
            scene.controller(self.line(None, LONG), Deadlines { visible: VISIBLE, ..Deadlines::default() });
        if let Err(error) = controller.carry_on(|_| {}).await {
            disorder.push(format!("the second command fails: {error}"));
        }
        if controller.load().await.unwrap() != after {
            disorder.push("the second command changes the inventory".to_owned());
        }
        if self.with_world(|world| world.revision()) != before {
            disorder.push("the second command changes the cloud".to_owned());
        }
        if scene.balancer.servers() != servers {
            disorder.push("the second command changes the balancer".to_owned());
        }
        disorder
    }

    /// The invariants.
    fn check(&self, scene: &Scene, inventory: &Snapshot, disorder: &mut Vec<String>) {
        let tag = fleet().tag();
        let billed: Vec<(DropletId, String, IpAddr)> = self.emulator.with_world(|world, now| {
            let listing = world.list(now, Selection::Tag(tag.as_str()));
            listing.droplets.iter().map(|one| (one.id, one.name.clone(), one.private_address.into())).collect()
        });
        if !inventory.operations.is_empty() {
            disorder.push(format!("the journal has open operations: {:?}", inventory.operations));
        }
        for (index, (id, name, _)) in billed.iter().enumerate() {
            let is_known = inventory.droplets.iter().any(|droplet| droplet.id == Some(*id));
            if !is_known && !scene.has_reported(*id) {
                disorder.push(format!("{name} is billed, and nobody knows it"));
            }
            if billed[..index].iter().any(|(_, other, _)| other == name) {
                disorder.push(format!("there are two of {name}"));
            }
        }
        for droplet in &inventory.droplets {
            let at_the_api = billed.iter().find(|(id, ..)| droplet.id == Some(*id));
            match at_the_api {
                None => disorder.push(format!("{} is in the inventory and nowhere else", droplet.name)),
                Some((.., address)) if droplet.address != Some(*address) => {
                    disorder.push(format!("{} is at {address} and not at {:?}", droplet.name, droplet.address));
                }
                Some(_) if droplet.phase != Phase::Serving => {
                    disorder.push(format!("{} is left {}", droplet.name, droplet.phase));
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

    /// A client that listens to silence for so long.
    fn line(&self, unplugged: Option<(String, Frequency)>, silence: Duration) -> Line {
        let nobody = format!("http://127.0.0.1:{}", free_port());
        let client = |url: &str| {
            let token = Token::parse("dop_v1_very_secret").unwrap();
            let timeouts = Timeouts { connect: Duration::from_secs(5), read: silence, total: LONG };
            let retry = Retry { attempts: 3, first: Duration::from_millis(2), most: Duration::from_secs(2) };
            let url = ApiUrl::parse(url).unwrap();
            DigitalOcean::new(Options { timeouts, retry, ..Options::new(url, token) }).unwrap()
        };
        Line {
            api: client(&self.emulator.url()),
            unplugged: unplugged.map(|(call, when)| Unplugged {
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
        Ok(false) => Outcome::GaveUp("it says that it worked, and did only a part".to_owned()),
        Err(ControllerError::GaveUp(why)) => Outcome::GaveUp(why.join("\n")),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// How long a client listens where it is meant to hear nothing, and where it is not, on a slow machine too.
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

/// Longer than lists lag in any case, by more than a slow machine takes between asking and reading.
const VISIBLE: Duration = Duration::from_millis(500);

/// Short where a deadline is what should end the command, so long elsewhere that a slow machine does not matter.
fn deadlines(expected: Expected) -> Deadlines {
    let (mut boot, mut delete) = (Duration::from_secs(20), Duration::from_secs(20));
    match expected {
        Expected::GaveUp("did not show up" | "it is levitating") => boot = Duration::from_millis(1500),
        Expected::GaveUp(words) if words.contains("without an address") => boot = Duration::from_millis(500),
        Expected::Failed("is still deleting") => delete = Duration::from_millis(400),
        _ => {}
    }
    Deadlines {
        visible: VISIBLE,
        boot,
        warm_up: Duration::from_secs(20),
        drain: Duration::from_secs(1),
        delete,
        poll: Duration::from_millis(25),
    }
}

fn fleet() -> FleetName {
    FleetName::parse("matrix").unwrap()
}

/// What outlives a command: the inventory's file and the balancer. And what was said meanwhile.
struct Scene {
    dir: tempfile::TempDir,
    balancer: SimulatedBalancer,
    unknown: Arc<Mutex<Vec<DropletId>>>,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), balancer: SimulatedBalancer::default(), unknown: Arc::default() }
    }

    /// A command that begins anew: it knows what is on disk, and nothing else.
    fn controller(&self, line: Line, deadlines: Deadlines) -> TestController {
        let unknown = Arc::clone(&self.unknown);
        Controller::new(
            line,
            self.balancer.clone(),
            SqliteInventory::open(Path::new(self.dir.path()).join("doproxy.db")).unwrap(),
            Settings {
                max_create_per_hour: 1_000,
                may_forget_all: true,
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
            Names::random(),
            Reporter::new(move |event| {
                if let Event::Unknown { id, .. } = event {
                    unknown.lock().unwrap().push(*id);
                }
            }),
        )
    }

    fn has_reported(&self, id: DropletId) -> bool {
        self.unknown.lock().unwrap().contains(&id)
    }
}

/// The line to the API, which may be cut for one kind of call: no emulator can refuse a connection that it never sees.
struct Line {
    api: DigitalOcean,
    unplugged: Option<Unplugged>,
}

struct Unplugged {
    /// Of an address where nobody listens.
    client: DigitalOcean,
    call: String,
    when: Mutex<Frequency>,
}

impl Line {
    /// The client for a call that makes these requests.
    fn to(&self, requests: &[&str]) -> &DigitalOcean {
        match &self.unplugged {
            Some(unplugged)
                if requests.contains(&unplugged.call.as_str())
                    && unplugged.when.lock().unwrap().strikes(&mut Chance::from_seed(0)) =>
            {
                &unplugged.client
            }
            _ => &self.api,
        }
    }
}

impl Cloud for Line {
    async fn create(&self, request: &CreateRequest) -> Result<Vec<CloudDroplet>, CloudError> {
        self.to(&["POST /v2/droplets"]).create(request).await
    }

    async fn get(&self, id: DropletId) -> Result<CloudDroplet, CloudError> {
        self.to(&["GET /v2/droplets/{id}"]).get(id).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<CloudDroplet>, CloudError> {
        self.to(&["GET /v2/droplets"]).list(filter).await
    }

    async fn delete(&self, id: DropletId) -> Result<(), CloudError> {
        self.to(&["DELETE /v2/droplets/{id}"]).delete(id).await
    }

    async fn tag(&self, id: DropletId, tag: &Tag) -> Result<(), CloudError> {
        self.to(&["POST /v2/tags", "POST /v2/tags/{name}/resources"]).tag(id, tag).await
    }

    async fn account(&self) -> Result<Account, CloudError> {
        self.to(&["GET /v2/account"]).account().await
    }

    async fn count(&self) -> Result<u32, CloudError> {
        self.to(&["GET /v2/droplets"]).count().await
    }

    async fn sizes(&self) -> Result<Vec<Size>, CloudError> {
        self.to(&["GET /v2/sizes"]).sizes().await
    }

    async fn regions(&self) -> Result<Vec<Region>, CloudError> {
        self.to(&["GET /v2/regions"]).regions().await
    }

    async fn image(&self, slug_or_id: &str) -> Result<Image, CloudError> {
        self.to(&["GET /v2/images/{id}"]).image(slug_or_id).await
    }

    async fn ssh_keys(&self) -> Result<Vec<SshKey>, CloudError> {
        self.to(&["GET /v2/account/keys"]).ssh_keys().await
    }
}
