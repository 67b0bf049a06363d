//! A disk that is full, and a directory where doproxy may do little. Both need a process of their own.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

use super::part::{self, subtest};
use super::rig::{HaproxyHarness, local, occupied_address};
use crate::balancer::LoadBalancer as _;
use crate::balancer::ServerState::Serving;
use crate::balancer::haproxy::config_file::ConfigFile;

/// The size of the disk in [`a_full_disk_never_costs_the_configuration_that_is_live`].
const PAGES: usize = 64;

/// How many pages may be left of it: from none to more than a change needs.
const AMOUNTS: usize = 8;

/// Says why a test was not carried out, past the harness, which shows nothing of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", std::thread::current().name().unwrap_or_default());
}

#[test]
fn a_full_disk_never_costs_the_configuration_that_is_live() {
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size={}k tmpfs {} || exit 77; exec \"$@\"", 4 * PAGES, dir.path().display());
    // Others than root are it in a user namespace, where the kernel lets them have one.
    let own_mounts: &[&str] = if Uid::effective().is_root() { &["-m"] } else { &["-r", "-m"] };
    let allowed = std::process::Command::new("unshare").args(own_mounts).arg("true").output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return skipped("the kernel gives this process no mounts of its own");
    }
    let wrapper: Vec<&str> = ["unshare"].iter().chain(own_mounts).copied().chain(["sh", "-c", &mount, "sh"]).collect();

    let output = subtest(&wrapper, "disk::part_on_a_small_disk", dir.path()).output().unwrap();

    if output.status.code() == Some(77) {
        return skipped("the kernel does not let this process mount a tmpfs");
    }
    assert!(output.status.success(), "{}", part::output_text(&output));
    let said = part::output_text(&output);
    let told = said.lines().find(|line| line.contains("disk was full")).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{told}");
}

#[tokio::test]
#[ignore = "a part of a_full_disk_never_costs_the_configuration_that_is_live"]
async fn part_on_a_small_disk() {
    let Some(dir) = part::subtest_dir() else { return };
    let rig = HaproxyHarness::start_in(tempfile::tempdir_in(&dir).unwrap(), |_| {}).await;
    rig.boot(1).await;
    rig.boot(2).await;
    let (filler, servers) = (dir.join("filler"), [local(Serving, 1), local(Serving, 2)]);
    let (_listener, bind) = occupied_address().await;
    let that_fails = rig.with(|options| options.bind = bind);
    let mut failures = Vec::new();
    for free in 0..AMOUNTS {
        rig.haproxy.apply(&servers[..1]).await.unwrap();
        let before = rig.config();
        fill(&filler, free);

        that_fails.apply(&servers).await.unwrap_err();
        assert_eq!(rig.config(), before, "a change that fails, with {free} pages");
        fill(&filler, free);
        let result = rig.haproxy.apply(&servers).await;

        assert!(rig.boots(), "with {free} pages");
        assert_eq!(rig.get().await.0, 200, "with {free} pages");
        std::fs::remove_file(&filler).unwrap();
        if let Err(error) = result {
            assert_eq!(rig.config(), before, "with {free} pages");
            failures.push(rig.normalize_error(&error));
        }
    }
    let too_little = failures.len();
    assert!(too_little < AMOUNTS, "there was never room");
    println!("\nHAProxy's disk was full: {AMOUNTS} amounts of room tried, {too_little} of them too little, none lost");
    failures.dedup();
    insta::assert_snapshot!(failures.join("\n"), @"
    cannot write DIR/haproxy.cfg.state: No space left on device (os error 28); make room on that disk; nothing was changed, neither DIR/haproxy.cfg nor what is live
    cannot write DIR/haproxy.cfg.last-good: No space left on device (os error 28); make room on that disk; nothing was changed, neither DIR/haproxy.cfg nor what is live
    ");
}

/// Fills the disk but for some pages.
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
fn a_user_who_may_do_little_installs_with_the_group_and_the_mode_of_the_file() {
    if !Uid::effective().is_root() {
        return skipped("only root can become another user");
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("haproxy.cfg");
    std::fs::write(&config, "old\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o640)).unwrap();
    // A file of root's, which the kernel lets nobody else link to; its group may read it.
    chown(&config, Some(0), Some(GROUP)).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();

    let output = subtest(&[], "disk::part_as_nobody", dir.path()).output().unwrap();

    assert!(output.status.success(), "{}", part::output_text(&output));
    let installed = std::fs::metadata(&config).unwrap();
    assert_eq!((installed.uid(), installed.gid(), installed.mode() & 0o777), (NOBODY, GROUP, 0o640));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "old\n", "what was installed was rolled back");
}

/// A user and a group who own nothing.
const NOBODY: u32 = 65_534;
const GROUP: u32 = 64_321;

#[test]
#[ignore = "a part of a_user_who_may_do_little_installs_with_the_group_and_the_mode_of_the_file"]
fn part_as_nobody() {
    let Some(dir) = part::subtest_dir() else { return };
    setgroups(&[Gid::from_raw(GROUP)]).unwrap();
    setgid(Gid::from_raw(NOBODY)).unwrap();
    setuid(Uid::from_raw(NOBODY)).unwrap();
    let place = ConfigFile::new(&dir.join("haproxy.cfg"));
    let old = place.read().unwrap().unwrap();

    place.save_last_good(&old).unwrap();
    place.install(&place.write_candidate("new\n").unwrap(), "new\n").unwrap();
    place.roll_back().unwrap();
}
