//! `command` with real programs.

use std::path::Path;

use crate::sources::command::Command;
use crate::tests::*;

fn script(script: &str, timeout: Duration) -> Command {
    Command::new("/bin/sh".into(), vec!["-c".to_owned(), script.to_owned()], Path::new("/"), timeout)
}

const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn program_runs_in_its_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("depth"), " 42.5 \n").unwrap();
    let source = Command::new("cat".into(), vec!["depth".to_owned()], dir.path(), TIMEOUT);

    assert_eq!(samples(source.poll(&poll()).await.unwrap()), [(NOW.0, 42.5)]);
}

#[tokio::test]
async fn arguments_are_not_passed_to_a_shell() {
    let source =
        Command::new("printf".into(), vec!["%s".to_owned(), "1; echo 2 | $HOME".to_owned()], Path::new("/"), TIMEOUT);

    let error = source.poll(&poll()).await.unwrap_err();

    insta::assert_snapshot!(error, @"the output of printf is not a number: 1; echo 2 | $HOME");
}

#[tokio::test]
async fn program_does_not_receive_the_token() {
    let source = script(
        "env | grep -c -e DIGITALOCEAN_TOKEN -e DIGITALOCEAN_ACCESS_TOKEN -e CREDENTIALS_DIRECTORY; true",
        TIMEOUT,
    );

    assert_eq!(samples(source.poll(&poll()).await.unwrap()), [(NOW.0, 0.0)]);
}

#[tokio::test]
async fn invalid_output_is_reported() {
    let mut messages = Vec::new();
    for text in [
        "true",
        "echo many",
        "echo 1 2",
        "echo nan",
        "echo inf",
        "printf '\\033[2Jowned'",
        "echo 3; exit 3",
        "echo no queue >&2; exit 1",
        "kill -9 $$",
        "yes 1 | head -c 100000",
    ] {
        let error = script(text, TIMEOUT).poll(&poll()).await.unwrap_err().to_string();
        messages.push(error.chars().take(100).collect::<String>());
    }
    let missing = Command::new("/nowhere/depth".into(), Vec::new(), Path::new("/"), TIMEOUT);
    messages.push(missing.poll(&poll()).await.unwrap_err().to_string());

    insta::assert_snapshot!(messages.join("\n"), @r"
    the output of /bin/sh is not a number: nothing
    the output of /bin/sh is not a number: many
    the output of /bin/sh is not a number: 1 2
    the output of /bin/sh is NaN, not a finite number
    the output of /bin/sh is inf, not a finite number
    the output of /bin/sh is not a number: [2Jowned
    /bin/sh failed with exit status: 3: 3
    /bin/sh failed with exit status: 1: no queue
    /bin/sh failed with signal: 9 (SIGKILL)
    the output of /bin/sh is not a number: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
    failed to run /nowhere/depth: No such file or directory (os error 2)
    ");
}

#[tokio::test]
async fn timed_out_program_is_killed_with_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let text =
        format!("sleep 1000 & echo $! > {0}.new; echo $$ >> {0}.new; mv {0}.new {0}; wait; echo 1", pids.display());
    // Long enough for the program to start its child on a busy machine.
    let source = script(&text, Duration::from_secs(3));

    let error = source.poll(&poll()).await.unwrap_err();

    insta::assert_snapshot!(error, @"no response from /bin/sh within 3s; set a longer `timeout`, or investigate the delay");
    let pids = std::fs::read_to_string(&pids).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        eventually(|| is_dead(pid)).await;
    }
}

async fn eventually(mut is_so: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(tokio::time::Instant::now() < until, "no result in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reports whether the process has ended, even if its new parent has not reaped it.
fn is_dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}
