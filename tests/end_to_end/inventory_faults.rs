//! What can happen to the inventory's file, seen from the command line: no room, no right to write, damage, an older
//! copy, and others who want it at the same time.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use crate::assert_output;
use crate::invariants::{FleetState, assert_recovers, print_line, wrap_command};
use crate::stage::{TestEnvironment, run};

/// Whether the kernel lets this user mount a file system of its own; says so where it does not.
fn can_mount() -> bool {
    let mount = "mount -t tmpfs -o size=64k tmpfs /mnt";
    let tried = Command::new("unshare").args(["-m", "sh", "-c", mount]).stderr(Stdio::null()).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        print_line("SKIPPED, a full disk: this kernel or user may not mount a tmpfs in a namespace of its own");
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_lost_and_room_is_all_it_takes() {
    if !can_mount() {
        return;
    }
    let stage = TestEnvironment::new().await;
    stage.configure_timeouts("poll: 20ms, drain: 1s, visible: 300ms");
    std::fs::create_dir(stage.path("disk")).unwrap();
    let amounts = [0, 8, 24, 40, 48, 56, 64, 80, 96, 128, 160, 200, 300];
    let mut failed = 0;
    for free_kib in amounts {
        // The disk is gone with the shell that mounted it, so everything happens in there: an inventory, the disk
        // filled up to so many KiB, a create, room again, and the command that carries on.
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

        let ended = run(&mut wrap_command("unshare", &arguments, &stage.command(&[]))).await;

        let what = format!("{free_kib} KiB free");
        assert_eq!(ended.code, 0, "{what}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
        if ended.stdout.contains("failed") {
            assert!(ended.stderr.contains("error: "), "{what}: {ended:?}");
            failed += 1;
        }
        assert_recovers(&stage, &what).await;
    }

    print_line(&format!(
        "full disk: {} amounts of room, {failed} creates failed, and all were carried on",
        amounts.len()
    ));
    assert!(failed > 0 && failed < amounts.len());
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_write_is_told_so_and_changes_nothing() {
    if !Uid::effective().is_root() {
        print_line("SKIPPED, a folder that is read-only: only root can become somebody who may not write");
        return;
    }
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    let before = FleetState::load(&stage).await;
    // Everybody may look, and only the owner may write.
    for (name, mode) in [("", 0o755), ("doproxy.yml", 0o644), ("doproxy.db", 0o644), ("doproxy.db.lock", 0o644)] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(stage.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut said = String::new();

    for arguments in [&["create"][..], &["delete", "0", "--yes"], &["print"]] {
        let ended = run(&mut wrap_command("setpriv", &nobody, &stage.command(arguments))).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        said += &ended.stderr;
    }

    assert_output!(stage, said, @r"
    error: cannot lock the inventory with DIR/doproxy.db.lock: Permission denied (os error 13); check that its folder may be written
    error: cannot open the inventory DIR/doproxy.db: attempt to write a readonly database; check that the file and its folder may be written
    error: cannot open the inventory DIR/doproxy.db: attempt to write a readonly database; check that the file and its folder may be written
    ");
    assert_eq!(FleetState::load(&stage).await, before);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_inventory_is_refused_before_anything_is_done() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    let billed = stage.billed();
    let mut bytes = std::fs::read(stage.path("doproxy.db")).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(stage.path("doproxy.db"), bytes).unwrap();

    let ended = stage.doproxy(&["create"]).await;

    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("its last backup is whole"), "{}", ended.stderr);
    assert_eq!(stage.billed(), billed);
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_inventory_that_is_brought_back_does_no_harm() {
    let stage = TestEnvironment::new().await;
    stage.run_ok(&["create"]).await;
    std::fs::copy(stage.path("doproxy.db.backup"), stage.path("older")).unwrap();
    stage.run_ok(&["create"]).await;
    let billed = stage.billed();
    std::fs::copy(stage.path("older"), stage.path("doproxy.db")).unwrap();

    let printed = stage.doproxy(&["print"]).await;
    let reloaded = stage.doproxy(&["reload"]).await;

    let unknown = "bears this fleet's tag and is not in the inventory; it is left alone";
    assert!(printed.stderr.contains(unknown), "{}", printed.stderr);
    assert_eq!(reloaded.code, 0, "{}", reloaded.stderr);
    assert_eq!((stage.billed(), stage.server_count()), (billed, 1));
    assert!(stage.path("doproxy.db.backup.ahead").exists());
    stage.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_that_create_at_once_create_ten() {
    let stage = TestEnvironment::new().await;
    stage.configure_timeouts("poll: 20ms, drain: 1s");

    let mut creating: Vec<_> = (0..10).map(|_| stage.start(&["create"])).collect();
    for child in &mut creating {
        let status = child.wait().await.unwrap();
        assert!(status.success(), "{status}");
    }

    let names: BTreeSet<String> = stage.billed().into_iter().collect();
    assert_eq!((names.len(), stage.billed().len(), stage.server_count()), (10, 10, 10));
    assert_recovers(&stage, "ten at once").await;
    stage.tear_down().await;
}
