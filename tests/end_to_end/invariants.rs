//! Invariants that hold after every crash and fault, once the next command has resumed all operations.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use doproxy_core::domain::{DropletId, Operation, OperationKind, Phase};
use doproxy_core::seams::{Inventory, Snapshot};
use doproxy_emulator::Selection;
use doproxy_inventory_sqlite::SqliteInventory;
use tokio::process::Command;

use doproxy_test_support::environment::TestEnvironment;

/// The state of the fleet, as stored by the inventory, the API and HAProxy's file.
#[derive(Debug, PartialEq)]
pub struct FleetState {
    pub inventory: Snapshot,
    pub closed_operations: Vec<Operation>,
    pub billed: Vec<(DropletId, String)>,
    pub installed: String,
}

impl FleetState {
    pub async fn load(env: &TestEnvironment) -> Self {
        let inventory = SqliteInventory::open(env.path("doproxy.db")).unwrap();
        let billed = env.with_state(|cloud, now| {
            cloud.list(now, Selection::All).droplets.iter().map(|one| (one.id, one.name.clone())).collect()
        });
        Self {
            inventory: inventory.load().await.unwrap(),
            closed_operations: inventory.closed_operations().unwrap(),
            billed,
            installed: env.installed_config(),
        }
    }
}

/// Runs a command that only resumes pending operations, twice, and checks all invariants.
pub async fn assert_recovers(env: &TestEnvironment, what: &str) -> FleetState {
    let first = env.doproxy(&["reload"]).await;
    assert_eq!(first.code, 0, "{what}: the next command failed:\n{}", first.stderr);
    let fleet = FleetState::load(env).await;
    let second = env.doproxy(&["reload"]).await;
    assert_eq!(second.code, 0, "{what}: the second command failed:\n{}", second.stderr);
    assert_eq!(FleetState::load(env).await, fleet, "{what}: the second recovery changed something");

    let known: BTreeSet<_> = fleet.inventory.droplets.iter().filter_map(|droplet| droplet.id).collect();
    for (id, name) in &fleet.billed {
        assert!(known.contains(id), "{what}: {name} (id {id}) is not in the inventory\n{fleet:#?}");
        let is_intended = |operation: &&Operation| {
            operation.kind == OperationKind::Create && operation.droplet.as_str().eq_ignore_ascii_case(name)
        };
        assert!(
            fleet.closed_operations.iter().any(|one| is_intended(&one)),
            "{what}: no operation owns {name}\n{fleet:#?}"
        );
    }
    let names: BTreeSet<&str> = fleet.billed.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names.len(), fleet.billed.len(), "{what}: duplicate droplet\n{fleet:#?}");
    assert_eq!(fleet.inventory.operations, [], "{what}: an operation stays open");
    assert!(fleet.inventory.droplets.iter().all(|droplet| droplet.phase == Phase::Serving), "{what}: {fleet:#?}");
    assert_eq!(known.len(), fleet.billed.len(), "{what}: the inventory has droplets that do not exist");
    assert_eq!(env.server_count(), fleet.billed.len(), "{what}: HAProxy has other servers");
    fleet
}

/// Wraps a command as the child of another program: `program arguments… doproxy …`.
pub fn wrap_command(program: &str, arguments: &[impl AsRef<str>], command: &Command) -> Command {
    let inner = command.as_std();
    let mut outer = Command::new(program);
    outer.args(arguments.iter().map(AsRef::as_ref)).arg(inner.get_program()).args(inner.get_args());
    outer.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer.current_dir(inner.get_current_dir().unwrap_or(Path::new("."))).stdin(std::process::Stdio::null());
    outer.kill_on_drop(true);
    outer
}

/// Prints a line even if the test passes: the harness captures only the output of `println!`.
pub fn print_line(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}
