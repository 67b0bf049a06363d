//! A bash session that runs the commands of a page.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process;

use super::output::matches;
use super::page::{Command, Page, Script};

/// The timeout of a page. A page may compile a plugin.
const TIMEOUT: Duration = Duration::from_mins(8);

/// The line before the output of each command.
const SEPARATOR: &str = "\u{1e}\n";

/// Terminates the session's processes on drop, including those that a failed page left in the background.
struct ProcessGroup(Pid);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Without effect if all have ended.
        let _ended = killpg(self.0, Signal::SIGKILL);
    }
}

/// Runs the commands of a page in order, and compares the output that the page shows.
///
/// `bash` has the folder and the environment of the session; `shown` turns output into the form in which the page shows
/// it.
pub(super) async fn run(page: &Page, mut bash: process::Command, shown: impl Fn(String) -> String) {
    let tmp = tempfile::tempdir().unwrap();
    let log = tmp.path().join("output");
    let output = File::create(&log).unwrap();
    // A file, because a pipe stays open for as long as a command runs in the background.
    bash.args(["-c", &script(&page.commands)])
        .stdin(Stdio::null())
        .stderr(output.try_clone().unwrap())
        .stdout(output)
        .process_group(0);
    let mut bash = bash.spawn().unwrap();
    let group = ProcessGroup(Pid::from_raw(bash.id().unwrap().cast_signed()));
    let ended = tokio::time::timeout(TIMEOUT, bash.wait()).await;
    drop(group);

    let output = shown(String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned());
    let outputs: Vec<&str> = output.split(SEPARATOR).skip(1).collect();
    let place = |command: &Command| format!("{}:{}: $ {}", page.path, command.line, command.text);
    let succeeded = matches!(&ended, Ok(Ok(status)) if status.success());
    assert!(
        succeeded && outputs.len() == page.commands.len(),
        "{} ended the session ({ended:?})\n{output}",
        outputs.len().checked_sub(1).map_or("the first command".to_owned(), |last| place(&page.commands[last]))
    );
    for (command, output) in page.commands.iter().zip(outputs) {
        assert!(
            command.expected.is_empty() || matches(&command.expected, output),
            "{} printed\n{output}\ninstead of\n{}",
            place(command),
            command.expected.join("\n")
        );
    }
}

/// Returns a script in which a failing command ends the session.
fn script(commands: &[Command]) -> String {
    let mut script = "set -u -o pipefail\n".to_owned();
    for command in commands {
        script += &format!("printf '\\036\\n'\n{}\nstatus=$?; [ $status -eq 0 ] || exit $status\n", command.text);
    }
    script
}

/// Checks the syntax of a block that is not run.
pub(super) async fn check_syntax(page: &Page, script: &Script) {
    let output = process::Command::new("bash").args(["-n", "-c", &script.text]).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}:{}: {stderr}", page.path, script.line);
}
