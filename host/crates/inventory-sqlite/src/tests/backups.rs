//! The backup beside the inventory, and the remedy in errors.

use crate::tests::*;

impl TestInventory {
    fn open_with_backup(&self) -> SqliteInventory {
        SqliteInventory::open_with_backup(self.path()).unwrap()
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("doproxy.db.backup")
    }

    /// Returns the error of opening the file, without the parts that differ from run to run.
    fn open_error(&self) -> String {
        let output = SqliteInventory::open(self.path()).unwrap_err().to_string();
        output.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

/// A fleet with one droplet, backed up.
async fn backed_up_file() -> TestInventory {
    let file = TestInventory::new();
    serve(&file.open_with_backup(), 0, 7).await;
    file
}

fn damage(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(path, bytes).unwrap();
}

macro_rules! assert_output {
    ($text:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"\d+ s ago, \d+ KiB", "SECONDS s ago, SOME KiB"),
        ]}, {
            insta::assert_snapshot!($text, @$snapshot);
        });
    };
}

#[tokio::test]
async fn change_leaves_a_backup() {
    let file = TestInventory::new();
    let inventory = file.open_with_backup();
    serve(&inventory, 0, 7).await;
    let before = inventory.load().await.unwrap();
    drop(inventory);

    let backup = SqliteInventory::open(file.backup()).unwrap();

    assert_eq!(backup.load().await.unwrap(), before);
}

#[tokio::test]
async fn no_change_makes_no_backup() {
    let file = backed_up_file().await;
    let made = std::fs::metadata(file.backup()).unwrap().modified().unwrap();

    file.open_with_backup().load().await.unwrap();

    assert_eq!(std::fs::metadata(file.backup()).unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn next_process_makes_up_for_a_missing_backup() {
    let file = backed_up_file().await;
    serve(&file.open(), 1, 8).await;

    drop(file.open_with_backup());

    let backup = SqliteInventory::open(file.backup()).unwrap();
    assert_eq!(backup.load().await.unwrap().droplets.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn long_running_process_makes_periodic_backups() {
    let file = TestInventory::new();
    let inventory = file.open_with_backup();

    inventory.begin_create(&[intent(0)]).await.unwrap();
    let at_once = file.backup().exists();
    tokio::time::advance(Duration::from_mins(6)).await;
    inventory.begin_create(&[intent(1)]).await.unwrap();

    assert!(!at_once);
    assert_eq!(SqliteInventory::open(file.backup()).unwrap().load().await.unwrap().droplets.len(), 2);
}

#[tokio::test]
async fn damaged_inventory_error_offers_two_remedies() {
    let file = backed_up_file().await;

    damage(&file.path());

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed); nothing was changed; its last backup is intact: DIR/doproxy.db.backup, made SECONDS s ago, SOME KiB. Move the damaged file away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm`, then either restore the backup with `cp DIR/doproxy.db.backup DIR/doproxy.db`, or do not restore it and run `doproxy recover --adopt` to rebuild it from the API by the fleet's tag");
}

#[tokio::test]
async fn damaged_backup_is_reported_as_damaged() {
    let file = backed_up_file().await;

    damage(&file.path());
    damage(&file.backup());

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed); nothing was changed; its last backup DIR/doproxy.db.backup is damaged too. Move both away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm; mv DIR/doproxy.db.backup DIR/doproxy.db.backup.damaged` and run `doproxy recover --adopt` to rebuild it from the API by the fleet's tag");
}

#[tokio::test]
async fn missing_backup_leaves_one_remedy() {
    let file = backed_up_file().await;

    damage(&file.path());
    std::fs::remove_file(file.backup()).unwrap();

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed); nothing was changed; there is no backup. Move the file away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm` and run `doproxy recover --adopt` to rebuild it from the API by the fleet's tag");
}

#[tokio::test]
async fn restoring_the_backup_as_suggested_works() {
    let file = backed_up_file().await;
    let before = file.open().load().await.unwrap();
    damage(&file.path());
    let refusal = SqliteInventory::open(file.path()).unwrap_err().to_string();
    let commands: Vec<&str> =
        refusal.split('`').skip(1).step_by(2).filter(|words| !words.contains("recover")).collect();

    for command in commands {
        assert!(std::process::Command::new("sh").args(["-ec", command]).status().unwrap().success(), "{command}");
    }

    assert_eq!(file.open().load().await.unwrap(), before);
}

#[tokio::test]
async fn backup_ahead_of_the_inventory_is_kept_aside() {
    let file = backed_up_file().await;
    serve(&file.open_with_backup(), 1, 8).await;
    std::fs::remove_file(file.path()).unwrap();

    file.open_with_backup().begin_create(&[intent(5)]).await.unwrap();

    let aside = SqliteInventory::open(file.dir.path().join("doproxy.db.backup.ahead")).unwrap();
    assert_eq!(aside.load().await.unwrap().droplets.len(), 2);
    assert_eq!(SqliteInventory::open(file.backup()).unwrap().load().await.unwrap().droplets.len(), 1);
}

#[tokio::test]
async fn backup_permissions_match_the_inventory() {
    use std::os::unix::fs::PermissionsExt;
    let file = TestInventory::new();
    drop(file.open());
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();

    serve(&file.open_with_backup(), 0, 7).await;

    assert_eq!(std::fs::metadata(file.backup()).unwrap().permissions().mode() & 0o777, 0o600);
}
