//! A full disk, and a directory with restricted permissions. Both need a separate process.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use doproxy_core::seams::LoadBalancer as _;
use doproxy_core::seams::ServerState::Serving;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use crate::config_file::ConfigFile;
use crate::tests::harness::{HaproxyHarness, local, occupied_address};
use crate::tests::subtest::{self, subtest};

/// The size of the disk in [`full_disk_never_loses_the_live_configuration`].
const PAGES: usize = 64;

/// Number of free-page amounts to try: from none to more than an update needs.
const AMOUNTS: usize = 8;

/// Prints the reason for skipping a test directly to stderr, because the harness hides the output of passing tests.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", std::thread::current().name().unwrap_or_default());
}

#[test]
fn full_disk_never_loses_the_live_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={}k tmpfs {} || exit 77; exec \"$@\"", 4 * PAGES, dir.path().display());
    // Users other than root mount it in a user namespace, if the kernel permits one.
    let own_mounts: &[&str] = if Uid::effective().is_root() { &["-m"] } else { &["-r", "-m"] };
    let allowed = std::process::Command::new("unshare").args(own_mounts).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return skipped("the kernel does not allow this process its own mounts");
    }
    let wrapper: Vec<&str> = ["unshare"].iter().chain(own_mounts).copied().chain(["sh", "-c", &mount, "sh"]).collect();

    let output = subtest(&wrapper, "disk::part_on_a_small_disk", dir.path()).output().unwrap();

    if output.status.code() == Some(77) {
        return skipped("the kernel does not allow this process to mount a tmpfs");
    }
    assert!(output.status.success(), "{}", subtest::output_text(&output));
    let text = subtest::output_text(&output);
    let message = text.lines().find(|line| line.contains("disk was full")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{message}");
}

#[tokio::test]
#[ignore = "run by full_disk_never_loses_the_live_configuration"]
async fn part_on_a_small_disk() {
    let Some(dir) = subtest::subtest_dir() else { return };
    let harness = HaproxyHarness::start_in(tempfile::tempdir_in(&dir).unwrap(), |_| {}).await;
    harness.boot(1).await;
    harness.boot(2).await;
    let (filler, servers) = (dir.join("filler"), [local(Serving, 1), local(Serving, 2)]);
    let (_listener, bind) = occupied_address().await;
    let that_fails = harness.with(|options| options.bind = bind);
    let mut failures = Vec::new();
    for free in 0..AMOUNTS {
        harness.haproxy.apply(&servers[..1]).await.unwrap();
        let before = harness.config();
        fill(&filler, free);

        that_fails.apply(&servers).await.unwrap_err();
        assert_eq!(harness.config(), before, "a failing update, with {free} pages");
        fill(&filler, free);
        let result = harness.haproxy.apply(&servers).await;

        assert!(harness.boots(), "with {free} pages");
        assert_eq!(harness.get().await.0, 200, "with {free} pages");
        std::fs::remove_file(&filler).unwrap();
        if let Err(error) = result {
            assert_eq!(harness.config(), before, "with {free} pages");
            failures.push(harness.normalize_error(&error));
        }
    }
    let too_little = failures.len();
    assert!(too_little < AMOUNTS, "there was never enough space");
    println!(
        "\nHAProxy's disk was full: {AMOUNTS} amounts of free space tried, {too_little} of them insufficient, none lost the configuration"
    );
    failures.dedup();
    insta::assert_snapshot!(failures.join("\n"), @"
    cannot write DIR/haproxy.cfg.state: No space left on device (os error 28); free up disk space; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before
    cannot write DIR/haproxy.cfg.last-good: No space left on device (os error 28); free up disk space; nothing was changed: DIR/haproxy.cfg and the running HAProxy are as before
    ");
}

/// Fills the disk except for some pages.
fn fill(filler: &std::path::Path, free: usize) {
    let page = [7; 4096];
    let mut file = std::fs::File::create(filler).unwrap();
    let mut pages: u64 = 0;
    while file.write_all(&page).is_ok() {
        pages += 1;
    }
    file.set_len((pages - free as u64) * 4096).unwrap();
}

#[test]
fn restricted_user_keeps_group_and_mode_of_the_file() {
    if !Uid::effective().is_root() {
        return skipped("only root can switch to another user");
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("haproxy.cfg");
    std::fs::write(&config, "old\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o640)).unwrap();
    // A file of root's, which the kernel allows no other user to link to; its group may read it.
    chown(&config, Some(0), Some(GROUP)).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();

    let output = subtest(&[], "disk::part_as_nobody", dir.path()).output().unwrap();

    assert!(output.status.success(), "{}", subtest::output_text(&output));
    let installed = std::fs::metadata(&config).unwrap();
    assert_eq!((installed.uid(), installed.gid(), installed.mode() & 0o777), (NOBODY, GROUP, 0o640));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "old\n", "the installed configuration was rolled back");
}

/// A user and a group that own nothing.
const NOBODY: u32 = 65_534;
const GROUP: u32 = 64_321;

#[test]
#[ignore = "run by restricted_user_keeps_group_and_mode_of_the_file"]
fn part_as_nobody() {
    let Some(dir) = subtest::subtest_dir() else { return };
    setgroups(&[Gid::from_raw(GROUP)]).unwrap();
    setgid(Gid::from_raw(NOBODY)).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
    let place = ConfigFile::new(&dir.join("haproxy.cfg"));
    let old = place.read().unwrap().unwrap();

    place.save_last_good(&old).unwrap();
    place.install(&place.write_candidate("new\n").unwrap(), "new\n").unwrap();
    place.roll_back().unwrap();
}
