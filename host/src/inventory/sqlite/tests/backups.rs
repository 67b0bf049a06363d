//! The copy beside the inventory, and what an error says of it.

use super::*;

impl TestInventory {
    fn open_with_backup(&self) -> SqliteInventory {
        SqliteInventory::open_with_backup(self.path()).unwrap()
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("doproxy.db.backup")
    }

    /// What opening it says, without what differs from run to run.
    fn open_error(&self) -> String {
        let said = SqliteInventory::open(self.path()).unwrap_err().to_string();
        said.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

/// A fleet of one, backed up.
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
async fn whoever_changed_the_inventory_leaves_a_backup_of_it() {
    let file = TestInventory::new();
    let inventory = file.open_with_backup();
    serve(&inventory, 0, 7).await;
    let before = inventory.load().await.unwrap();
    drop(inventory);

    let backup = SqliteInventory::open(file.backup()).unwrap();

    assert_eq!(backup.load().await.unwrap(), before);
}

#[tokio::test]
async fn who_changes_nothing_makes_no_backup() {
    let file = backed_up_file().await;
    let made = std::fs::metadata(file.backup()).unwrap().modified().unwrap();

    file.open_with_backup().load().await.unwrap();

    assert_eq!(std::fs::metadata(file.backup()).unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn a_backup_that_a_killed_process_did_not_make_is_made_by_the_next() {
    let file = backed_up_file().await;
    serve(&file.open(), 1, 8).await;

    drop(file.open_with_backup());

    let backup = SqliteInventory::open(file.backup()).unwrap();
    assert_eq!(backup.load().await.unwrap().droplets.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_goes_on_makes_backups_meanwhile() {
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
async fn a_damaged_inventory_is_refused_with_the_two_ways_out() {
    let file = backed_up_file().await;

    damage(&file.path());

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed), and nothing was done; its last backup is whole: DIR/doproxy.db.backup, made SECONDS s ago, SOME KiB. Move the damaged file away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm`, then either bring the backup back with `cp DIR/doproxy.db.backup DIR/doproxy.db`, or leave it and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag");
}

#[tokio::test]
async fn a_damaged_backup_is_not_called_a_good_one() {
    let file = backed_up_file().await;

    damage(&file.path());
    damage(&file.backup());

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed), and nothing was done; its last backup DIR/doproxy.db.backup is damaged too. Move both away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm; mv DIR/doproxy.db.backup DIR/doproxy.db.backup.damaged` and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag");
}

#[tokio::test]
async fn without_a_backup_there_is_one_way_out() {
    let file = backed_up_file().await;

    damage(&file.path());
    std::fs::remove_file(file.backup()).unwrap();

    assert_output!(file.open_error(), @"the inventory DIR/doproxy.db is damaged or not an inventory (database disk image is malformed), and nothing was done; there is no backup. Move the file away with `mv DIR/doproxy.db DIR/doproxy.db.damaged; rm -f DIR/doproxy.db-wal DIR/doproxy.db-shm` and let `doproxy recover --adopt` rebuild it from the API, by the fleet's tag");
}

#[tokio::test]
async fn a_backup_brought_back_as_the_error_says_works() {
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
async fn a_backup_that_knows_more_than_the_inventory_is_kept_aside() {
    let file = backed_up_file().await;
    serve(&file.open_with_backup(), 1, 8).await;
    std::fs::remove_file(file.path()).unwrap();

    file.open_with_backup().begin_create(&[intent(5)]).await.unwrap();

    let aside = SqliteInventory::open(file.dir.path().join("doproxy.db.backup.ahead")).unwrap();
    assert_eq!(aside.load().await.unwrap().droplets.len(), 2);
    assert_eq!(SqliteInventory::open(file.backup()).unwrap().load().await.unwrap().droplets.len(), 1);
}

#[tokio::test]
async fn a_backup_can_be_read_by_no_more_people_than_the_inventory() {
    use std::os::unix::fs::PermissionsExt;
    let file = TestInventory::new();
    drop(file.open());
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();

    serve(&file.open_with_backup(), 0, 7).await;

    assert_eq!(std::fs::metadata(file.backup()).unwrap().permissions().mode() & 0o777, 0o600);
}
