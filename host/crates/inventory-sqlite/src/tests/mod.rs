//! The inventory's rules, on a real file.

mod backups;
mod damage;
mod opening;

use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::domain::{
    Droplet, DropletId, DropletName, FleetName, HourlyPrice, OperationId, OperationState, Phase, Template, Timestamp,
};
use doproxy_core::seams::{
    CreateIntent, DeleteCause, Inventory, InventoryError, InventoryErrorKind, PolicyState, Snapshot, Transition,
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::error::SqliteError;
use crate::lock::WriteLock;
use crate::sqlite_inventory::*;

struct TestInventory {
    dir: TempDir,
}

impl TestInventory {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("doproxy.db")
    }

    fn open(&self) -> SqliteInventory {
        SqliteInventory::open(self.path()).unwrap()
    }
}

/// Prints a line even if the test passes, when the harness hides the output of `println!`.
fn print_uncaptured(line: &str) {
    use std::io::Write;
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn name(index: u32) -> DropletName {
    DropletName::parse(format!("www-{index}")).unwrap()
}

fn template() -> Template {
    Template { size: "s-1vcpu-1gb".into(), region: "nyc3".into(), image: "debian-12-x64".into(), tags: vec![] }
}

fn intent(index: u32) -> CreateIntent {
    CreateIntent {
        name: name(index),
        index,
        template: template(),
        hourly_price: HourlyPrice::from_micro_dollars(7440),
        body_digest: "00".into(),
        user_data_params: None,
        at: Timestamp(1000),
    }
}

fn serving_droplet(index: u32, id: u64) -> Droplet {
    Droplet {
        name: name(index),
        index,
        id: Some(DropletId(id)),
        phase: Phase::Serving,
        phase_since: Timestamp(1),
        created_at: Timestamp(1),
        template: template(),
        hourly_price: HourlyPrice::default(),
        address: Some("10.0.0.1".parse().unwrap()),
        protected: false,
    }
}

/// Moves a droplet to `serving`.
async fn serve(inventory: &SqliteInventory, index: u32, id: u64) {
    inventory.begin_create(&[intent(index)]).await.unwrap();
    let steps = [
        Transition::Created { droplets: vec![(name(index), DropletId(id))] },
        Transition::AddressAssigned { droplet: name(index), address: "10.0.0.1".parse().unwrap() },
        Transition::PhaseChanged { droplet: name(index), phase: Phase::Serving },
    ];
    for step in steps {
        inventory.record(&step, Timestamp(2000)).await.unwrap();
    }
}

#[tokio::test]
async fn content_survives_reopening() {
    let file = TestInventory::new();
    let inventory = file.open();
    let operations = inventory.begin_create(&[intent(0), intent(1)]).await.unwrap();
    inventory.record(&Transition::Sending { operations: vec![operations[0].id] }, Timestamp(1500)).await.unwrap();
    let before = inventory.load().await.unwrap();
    drop(inventory);

    let after = file.open().load().await.unwrap();

    assert_eq!(after, before);
    assert_eq!(after.operations[0].sent_at, Some(Timestamp(1500)));
    assert_eq!(after.operations[1].sent_at, None);
}

#[tokio::test]
async fn droplet_history_is_kept() {
    let file = TestInventory::new();
    let inventory = file.open();

    serve(&inventory, 0, 7).await;

    let phases: Vec<Phase> = inventory.history(&name(0)).unwrap().into_iter().map(|(phase, _)| phase).collect();
    assert_eq!(phases, [Phase::Requested, Phase::Booting, Phase::Warming, Phase::Serving]);
    assert_eq!(inventory.load().await.unwrap().operations, []);
}

#[tokio::test]
async fn backward_transition_is_rejected_without_changes() {
    let file = TestInventory::new();
    let inventory = file.open();
    serve(&inventory, 0, 7).await;
    let before = inventory.load().await.unwrap();

    let refused =
        inventory.record(&Transition::Created { droplets: vec![(name(0), DropletId(8))] }, Timestamp(9)).await;

    assert!(matches!(refused, Err(InventoryError { kind: InventoryErrorKind::Conflict, .. })), "{refused:?}");
    assert_eq!(inventory.load().await.unwrap(), before);
}

#[tokio::test]
async fn intents_are_written_all_or_nothing() {
    let file = TestInventory::new();
    let inventory = file.open();

    let same_name_twice = inventory.begin_create(&[intent(0), intent(0)]).await;

    assert!(same_name_twice.is_err());
    assert_eq!(inventory.load().await.unwrap(), Snapshot::default());
}

#[tokio::test]
async fn index_is_never_reused() {
    let file = TestInventory::new();
    let inventory = file.open();
    serve(&inventory, 0, 7).await;
    serve(&inventory, 1, 8).await;
    inventory.begin_delete(&name(1), Phase::Draining, DeleteCause::Requested, "test", Timestamp(3000)).await.unwrap();
    for phase in [Phase::Deleting, Phase::Gone] {
        inventory.record(&Transition::PhaseChanged { droplet: name(1), phase }, Timestamp(3000)).await.unwrap();
    }

    assert_eq!(inventory.next_index().await.unwrap(), 2);
}

#[tokio::test]
async fn deleting_twice_is_one_operation() {
    let file = TestInventory::new();
    let inventory = file.open();
    serve(&inventory, 0, 7).await;

    let first = inventory
        .begin_delete(&name(0), Phase::Draining, DeleteCause::Requested, "test", Timestamp(3000))
        .await
        .unwrap();
    let second = inventory
        .begin_delete(&name(0), Phase::Draining, DeleteCause::Requested, "again", Timestamp(4000))
        .await
        .unwrap();

    assert_eq!(first, second);
}

#[tokio::test]
async fn failed_create_is_closed_with_its_reason() {
    let file = TestInventory::new();
    let inventory = file.open();
    inventory.begin_create(&[intent(0)]).await.unwrap();

    let step = Transition::CreateFailed { operation: OperationId(1), reason: "refused".into() };
    inventory.record(&step, Timestamp(2000)).await.unwrap();

    let after = inventory.load().await.unwrap();
    assert_eq!((after.droplets, after.operations), (vec![], vec![]));
    let state = inventory.closed_operations().unwrap().remove(0).state;
    assert_eq!(state, OperationState::Failed { reason: "refused".into() });
}

#[tokio::test]
async fn only_startup_timeouts_count_as_failed_creates() {
    let file = TestInventory::new();
    let inventory = file.open();
    let failed = async || inventory.creates_since(Timestamp(0)).await.unwrap().consecutive_failures;
    for (index, cause) in
        [(0, DeleteCause::StartupTimeout), (1, DeleteCause::Requested), (2, DeleteCause::StartupTimeout)]
    {
        inventory.begin_create(&[intent(index)]).await.unwrap();
        let created = Transition::Created { droplets: vec![(name(index), DropletId(index.into()))] };
        inventory.record(&created, Timestamp(2000)).await.unwrap();
        inventory.begin_delete(&name(index), Phase::Deleting, cause, "test", Timestamp(3000)).await.unwrap();
    }
    assert_eq!(failed().await, 2);

    inventory.begin_create(&[intent(3)]).await.unwrap();
    inventory.record(&Transition::Created { droplets: vec![(name(3), DropletId(3))] }, Timestamp(2000)).await.unwrap();
    inventory
        .record(&Transition::PhaseChanged { droplet: name(3), phase: Phase::Gone }, Timestamp(2000))
        .await
        .unwrap();
    assert_eq!(failed().await, 2, "it was found missing");

    serve(&inventory, 4, 4).await;
    assert_eq!(failed().await, 0);
}

#[tokio::test]
async fn droplet_is_adopted_once_under_a_unique_name() {
    let file = TestInventory::new();
    let inventory = file.open();
    inventory.adopt(&serving_droplet(0, 7)).await.unwrap();

    let same_droplet = inventory.adopt(&serving_droplet(0, 7)).await.unwrap();
    let same_name = inventory.adopt(&Droplet { index: 1, ..serving_droplet(0, 8) }).await.unwrap();

    assert_eq!(same_droplet, None);
    assert_eq!(same_name.unwrap().name.as_str(), "www-0-8");
}

#[tokio::test]
async fn policy_state_is_kept() {
    let file = TestInventory::new();
    let state = PolicyState { identity: "digest".into(), ticks: 3, state: vec![1, 2, 3] };

    file.open().save_state("{}", &[("tracking".to_owned(), state.clone())]).await.unwrap();

    assert_eq!(file.open().policy_state("tracking").await.unwrap(), Some(state));
    assert_eq!(file.open().policy_state("other").await.unwrap(), None);
}

#[tokio::test]
async fn second_writer_learns_the_holder_and_times_out() {
    let file = TestInventory::new();
    let _first = WriteLock::acquire(&file.path(), Duration::ZERO, "create", |_| {}).await.unwrap();
    let mut progress = String::new();

    // To the kernel, a reopened file is another process.
    let second = WriteLock::acquire(&file.path(), Duration::from_millis(60), "delete", |holder| {
        holder.clone_into(&mut progress);
    })
    .await;

    assert_eq!(progress, format!("doproxy create (process {})", std::process::id()));
    assert!(matches!(second, Err(SqliteError::Locked { .. })), "{second:?}");
}

#[tokio::test]
async fn lock_is_free_after_its_holder_finishes() {
    let file = TestInventory::new();
    drop(WriteLock::acquire(&file.path(), Duration::ZERO, "create", |_| {}).await.unwrap());

    assert!(WriteLock::acquire(&file.path(), Duration::ZERO, "delete", |_| {}).await.is_ok());
}

#[test]
fn non_inventory_file_is_rejected_and_left_alone() {
    let file = TestInventory::new();
    std::fs::write(file.path(), "3164445\n3164446\n".repeat(100)).unwrap();

    let refused = SqliteInventory::open(file.path());

    assert!(matches!(refused, Err(SqliteError::Corrupt { .. })), "{refused:?}");
    assert!(std::fs::read_to_string(file.path()).unwrap().starts_with("3164445\n"));
}

#[test]
fn newer_schema_is_rejected() {
    let file = TestInventory::new();
    drop(file.open());
    let connection = Connection::open(file.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    crate::checksums::write(&connection).unwrap();
    drop(connection);

    let refused = SqliteInventory::open(file.path());

    assert!(matches!(refused, Err(SqliteError::NewerSchema { found: 99, .. })), "{refused:?}");
}

#[test]
fn inventory_belongs_to_one_fleet() {
    let file = TestInventory::new();
    let (www, api) = (FleetName::sanitized("www"), FleetName::sanitized("api"));
    file.open().bind_fleet(&www).unwrap();

    let refused = file.open().bind_fleet(&api);

    assert!(matches!(refused, Err(SqliteError::FleetMismatch { .. })), "{refused:?}");
    assert!(file.open().bind_fleet(&www).is_ok());
}

#[tokio::test]
async fn former_droplet_can_be_adopted_again() {
    let file = TestInventory::new();
    let inventory = file.open();
    inventory.adopt(&serving_droplet(0, 7)).await.unwrap();
    inventory
        .record(&Transition::PhaseChanged { droplet: name(0), phase: Phase::Gone }, Timestamp(2000))
        .await
        .unwrap();

    let again = inventory.adopt(&Droplet { index: 1, ..serving_droplet(0, 7) }).await.unwrap();

    assert_eq!(again.unwrap().name.as_str(), "www-0-7");
    assert_eq!(inventory.load().await.unwrap().droplets.len(), 1);
}
