//! Locating and creating the file.

use std::os::unix::fs::symlink;

use crate::tests::*;

fn names(file: &TestInventory) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(file.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn new_inventory_is_alone_in_its_folder() {
    let file = TestInventory::new();

    drop(file.open());

    assert_eq!(names(&file), ["doproxy.db"]);
}

#[tokio::test]
async fn links_share_one_inventory_and_lock() {
    let file = TestInventory::new();
    for link in ["one.db", "two.db"] {
        symlink("doproxy.db", file.dir.path().join(link)).unwrap();
    }
    let (one, two) = (file.dir.path().join("one.db"), file.dir.path().join("two.db"));

    let _lock = WriteLock::acquire(&one, Duration::ZERO, "create", |_| {}).await.unwrap();
    SqliteInventory::open(&one).unwrap().begin_create(&[intent(0)]).await.unwrap();
    let locked = WriteLock::acquire(&two, Duration::ZERO, "delete", |_| {}).await;
    let through_the_other = SqliteInventory::open(&two).unwrap().load().await.unwrap();

    assert!(matches!(locked, Err(SqliteError::Locked { .. })), "{locked:?}");
    assert_eq!(through_the_other.droplets.len(), 1);
    assert_eq!(names(&file), ["doproxy.db", "doproxy.db.lock", "one.db", "two.db"]);
}

#[test]
fn missing_folder_is_named() {
    let refused = SqliteInventory::open("/nowhere/at/all/doproxy.db").unwrap_err();

    insta::assert_snapshot!(refused, @"cannot find the folder of the inventory /nowhere/at/all/doproxy.db: No such file or directory (os error 2); create it, or set another `inventory`");
}

#[test]
fn leftovers_of_a_crashed_creation_are_removed() {
    let file = TestInventory::new();
    for half in ["doproxy.db.new", "doproxy.db.new-journal", "doproxy.db-wal", "doproxy.db-shm"] {
        std::fs::write(file.dir.path().join(half), "half a database").unwrap();
    }

    drop(file.open());

    assert_eq!(names(&file), ["doproxy.db"]);
}

#[test]
fn empty_file_is_not_an_empty_fleet() {
    let file = TestInventory::new();
    std::fs::write(file.path(), "").unwrap();

    let refused = SqliteInventory::open(file.path());

    assert!(matches!(refused, Err(SqliteError::Corrupt { .. })), "{refused:?}");
}

#[test]
fn foreign_database_is_not_an_empty_fleet() {
    let file = TestInventory::new();
    Connection::open(file.path()).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();

    let refused = SqliteInventory::open(file.path());

    assert!(matches!(refused, Err(SqliteError::Corrupt { .. })), "{refused:?}");
}

#[tokio::test]
async fn first_schema_is_migrated() {
    let file = TestInventory::new();
    serve(&file.open(), 0, 7).await;
    let connection = Connection::open(file.path()).unwrap();
    let first = "DROP TABLE table_sums; DROP INDEX droplets_left; DROP INDEX phases_serving;
        ALTER TABLE operations DROP COLUMN ran_out_of_time; PRAGMA user_version = 1";
    connection.execute_batch(first).unwrap();
    drop(connection);

    let brought = file.open();

    assert_eq!(brought.load().await.unwrap().droplets.len(), 1);
    serve(&brought, 1, 8).await;
    drop(brought);
    assert_eq!(file.open().load().await.unwrap().droplets.len(), 2);
}

#[test]
fn concurrent_openers_share_one_new_inventory() {
    let file = TestInventory::new();

    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| file.open().bind_fleet(&FleetName::sanitized("www")).unwrap());
        }
    });

    assert_eq!(names(&file), ["doproxy.db"]);
}

/// Prints the time to open and to back up an inventory with a long history.
#[tokio::test]
async fn long_history_opens_and_is_backed_up() {
    let file = TestInventory::new();
    let inventory = file.open();
    let drafts: Vec<CreateIntent> = (0..1000).map(intent).collect();
    for operation in inventory.begin_create(&drafts).await.unwrap() {
        let step = Transition::CreateFailed { operation: operation.id, reason: "test".into() };
        inventory.record(&step, Timestamp(2000)).await.unwrap();
    }
    drop(inventory);
    let bytes = std::fs::metadata(file.path()).unwrap().len();

    let started = std::time::Instant::now();
    let inventory = SqliteInventory::open_with_backup(file.path()).unwrap();
    let opened = started.elapsed();
    drop(inventory);
    let backed_up = started.elapsed().saturating_sub(opened);

    print_uncaptured(&format!(
        "inventory of 1,000 droplets, {} KiB: {opened:?} to open, {backed_up:?} to back up",
        bytes / 1024
    ));
    assert!(file.dir.path().join("doproxy.db.backup").exists());
}
