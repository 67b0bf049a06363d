//! Faults of the inventory file on the command line: a full disk, missing permissions, damage, an older copy, and
//! concurrent access.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use crate::invariants::{FleetState, assert_recovers, print_line, wrap_command};
use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{TestEnvironment, run};

/// Reports whether this user may mount a file system in a namespace; prints a note if not.
fn can_mount() -> bool {
    let mount = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let tried = Command::new("unshare").args(["-m", "sh", "-c", mount]).stderr(Stdio::null()).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        print_line("SKIPPED, a full disk: this kernel or user may not mount a tmpfs in its own namespace");
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_loses_nothing_and_freed_space_suffices() {
    if !can_mount() {
        return;
    }
    let env = TestEnvironment::new().await;
    env.configure_timeouts("20ms", "drain: 1s, create_visibility: 300ms");
    std::fs::create_dir(env.path("disk")).unwrap();
    let amounts = [0, 8, 24, 40, 48, 56, 64, 80, 96, 128, 160, 200, 300];
    let mut failed = 0;
    for free_kib in amounts {
        // The disk is unmounted with the shell that mounted it, so everything happens inside the shell: an inventory,
        // the disk filled up except for some KiB, a create, freed space, and the command that resumes the operations.
        let script = format!(
            "mount -t tmpfs -o size=1m tmpfs disk
             cp doproxy.db disk/ 2>/dev/null || true
             dd if=/dev/zero of=disk/filler bs=1k count=1024 2>/dev/null || true
             truncate -s -{free_kib}k disk/filler
             \"$@\" --inventory disk/doproxy.db create && echo created || echo failed
             rm disk/filler
             \"$@\" --inventory disk/doproxy.db reload
             cp disk/doproxy.db ."
        );
        let arguments = ["-m", "sh", "-ec", &script, "sh"];

        let ended = run(&mut wrap_command("unshare", &arguments, &env.command(&[]))).await;

        let what = format!("{free_kib} KiB free");
        assert_eq!(ended.code, 0, "{what}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
        if ended.stdout.contains("failed") {
            assert!(ended.stderr.contains("error: "), "{what}: {ended:?}");
            failed += 1;
        }
        assert_recovers(&env, &what).await;
    }

    print_line(&format!(
        "full disk: {} amounts of free space, {failed} creates failed, and all were resumed",
        amounts.len()
    ));
    assert!(failed > 0 && failed < amounts.len());
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_write_permission_is_reported_without_changes() {
    if !Uid::effective().is_root() {
        print_line("SKIPPED, a read-only folder: only root can switch to a user without write permission");
        return;
    }
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let before = FleetState::load(&env).await;
    // Readable for all users, writable only for the owner.
    for (name, mode) in [("", 0o755), ("doproxy.yml", 0o644), ("doproxy.db", 0o644), ("doproxy.db.lock", 0o644)] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(env.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut output = String::new();

    for arguments in [&["create"][..], &["delete", "0", "--yes"], &["print"]] {
        let ended = run(&mut wrap_command("setpriv", &nobody, &env.command(arguments))).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        output += &ended.stderr;
    }

    assert_output!(env, output, @r"
    error: cannot lock the inventory with DIR/doproxy.db.lock: Permission denied (os error 13); check that its folder is writable
    error: cannot open the inventory DIR/doproxy.db: attempt to write a readonly database; check that the file and its folder are writable
    error: cannot open the inventory DIR/doproxy.db: attempt to write a readonly database; check that the file and its folder are writable
    ");
    assert_eq!(FleetState::load(&env).await, before);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_inventory_is_rejected_before_any_change() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    let billed = env.billed();
    let mut bytes = std::fs::read(env.path("doproxy.db")).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(env.path("doproxy.db"), bytes).unwrap();

    let ended = env.doproxy(&["create"]).await;

    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("its last backup is intact"), "{}", ended.stderr);
    assert_eq!(env.billed(), billed);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_old_inventory_does_no_harm() {
    let env = TestEnvironment::new().await;
    env.run_ok(&["create"]).await;
    std::fs::copy(env.path("doproxy.db.backup"), env.path("older")).unwrap();
    env.run_ok(&["create"]).await;
    let billed = env.billed();
    std::fs::copy(env.path("older"), env.path("doproxy.db")).unwrap();

    let printed = env.doproxy(&["print"]).await;
    let reloaded = env.doproxy(&["reload"]).await;

    let unknown = "has this fleet's tag but is not in the inventory; leaving it alone";
    assert!(printed.stderr.contains(unknown), "{}", printed.stderr);
    assert_eq!(reloaded.code, 0, "{}", reloaded.stderr);
    assert_eq!((env.billed(), env.server_count()), (billed, 1));
    assert!(env.path("doproxy.db.backup.ahead").exists());
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_concurrent_creates_create_ten_droplets() {
    let env = TestEnvironment::new().await;
    env.configure_timeouts("20ms", "drain: 1s");

    let mut creating: Vec<_> = (0..10).map(|_| env.start(&["create"])).collect();
    for child in &mut creating {
        let status = child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }

    let names: BTreeSet<String> = env.billed().into_iter().collect();
    assert_eq!((names.len(), env.billed().len(), env.server_count()), (10, 10, 10));
    assert_recovers(&env, "ten concurrent creates").await;
    env.tear_down().await;
}
