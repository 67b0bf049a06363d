//! `doproxy print` as an operator runs it: a whole process with a cold start, against the emulator.

use std::path::Path;
use std::process::{Command, Stdio};

use divan::Bencher;
use doproxy_core::domain::{Droplet, DropletName, HourlyPrice, Phase, Template, Timestamp};
use doproxy_core::seams::Inventory;
use doproxy_emulator::{Emulator, NewDroplets, Options, Settings};
use doproxy_inventory_sqlite::SqliteInventory;
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn main() {
    let fleet = Fleet::with_droplets(1000);
    fleet.emulator().with_state(|cloud, _| cloud.reset_calls());
    fleet.print();
    let calls: u64 = fleet.emulator().with_state(|cloud, _| cloud.calls().values().sum());
    println!("print with 1,000 droplets: {calls} API calls");
    drop(fleet);
    divan::main();
}

/// A cold start, including the API response.
#[divan::bench(args = [10, 1000], sample_count = 50, sample_size = 1)]
fn print(bencher: Bencher, droplets: usize) {
    let fleet = Fleet::with_droplets(droplets);
    bencher.bench_local(|| fleet.print());
}

/// An emulator with droplets and an inventory that contains them.
struct Fleet {
    runtime: Runtime,
    emulator: Option<Emulator>,
    dir: TempDir,
}

const CONFIGURATION: &str = "\
fleet: bench
droplet_options: {hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}
";

impl Fleet {
    fn with_droplets(count: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("doproxy.yml"), CONFIGURATION).expect("a configuration");
        let settings = Settings { droplet_limit: 10_000, rate_limits: None, ..Settings::default() };
        let emulator =
            runtime.block_on(Emulator::start(Options { settings, ..Options::default() })).expect("an emulator");
        let inventory = SqliteInventory::open(dir.path().join("doproxy.db")).expect("an inventory");
        for index in 0..count {
            let droplet = create_droplet(&emulator, index);
            runtime.block_on(inventory.adopt(&droplet)).expect("the droplet to be adopted");
        }
        Self { runtime, emulator: Some(emulator), dir }
    }

    fn emulator(&self) -> &Emulator {
        self.emulator.as_ref().expect("the emulator to be running")
    }

    fn print(&self) {
        let status = Command::new(env!("CARGO_BIN_EXE_doproxy"))
            .arg("print")
            .current_dir(self.dir.path())
            .env("DIGITALOCEAN_TOKEN", "bench")
            .env("DIGITALOCEAN_API_URL", self.emulator().url())
            .stdout(Stdio::null())
            .status()
            .expect("the program");
        assert!(status.success(), "{status} in {}", Path::new(self.dir.path()).display());
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(emulator) = self.emulator.take() {
            self.runtime.block_on(emulator.stop());
        }
    }
}

/// Creates a droplet at the API and returns its inventory entry.
fn create_droplet(emulator: &Emulator, index: usize) -> Droplet {
    let name = format!("www-{index}");
    let request = NewDroplets {
        names: vec![name.clone()],
        region: Some("nyc3".into()),
        size: "s-1vcpu-1gb".into(),
        image: "debian-12-x64".into(),
        tags: vec!["doproxy:bench".into()],
        ..NewDroplets::default()
    };
    let created = emulator.with_state(|cloud, now| cloud.create(now, &request).expect("a droplet"));
    Droplet {
        name: DropletName::parse(name).expect("a name"),
        index: u32::try_from(index).expect("a number"),
        id: Some(created[0].droplet),
        phase: Phase::Serving,
        phase_since: Timestamp(0),
        created_at: Timestamp(0),
        template: Template {
            size: "s-1vcpu-1gb".into(),
            region: "nyc3".into(),
            image: "debian-12-x64".into(),
            tags: vec![],
        },
        hourly_price: HourlyPrice::default(),
        address: Some("10.0.0.1".parse().expect("an address")),
        protected: false,
    }
}
