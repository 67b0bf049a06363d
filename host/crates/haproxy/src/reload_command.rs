//! Runs other programs: `haproxy -c` and the configured reload command.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use doproxy_support::{RunError, failpoint_async, subprocess};

use crate::error::HaProxyError;

/// Maximum number of lines of a program's output in an error.
const MAX_SHOWN_LINES: usize = 20;

/// The result of a finished program.
#[derive(Debug)]
pub(super) struct CommandOutput {
    pub(super) status: ExitStatus,
    /// Standard error followed by standard output.
    pub(super) output: String,
}

/// Runs a program with empty standard input and kills it if it runs longer than `deadline`.
pub(super) async fn run(program: &Path, arguments: &[&str], deadline: Duration) -> Result<CommandOutput, HaProxyError> {
    let ended = failpoint_async("run a program", subprocess::run(program, arguments, None, deadline)).await;
    match ended {
        Ok(subprocess::Output { status, stdout, stderr }) => {
            let mut output = String::from_utf8_lossy(&stderr).into_owned();
            output.push_str(&String::from_utf8_lossy(&stdout));
            Ok(CommandOutput { status, output })
        }
        Err(RunError::Io(source)) => Err(HaProxyError::Run { program: program.display().to_string(), source }),
        Err(RunError::TimedOut) => {
            Err(HaProxyError::TimedOut { command: command_line(program, arguments), after: deadline })
        }
    }
}

/// Formats a command line as a person would type it.
pub(super) fn command_line(program: &Path, arguments: &[&str]) -> String {
    let mut text = program.display().to_string();
    for argument in arguments {
        text.push(' ');
        text.push_str(argument);
    }
    text
}

/// Returns the first relevant lines of `output`, without HAProxy's notices, process IDs and control characters.
pub(super) fn clean_output(output: &str) -> String {
    let stdout: Vec<String> = output.lines().filter(|line| !is_noise(line)).map(strip_pid).collect();
    let mut text = stdout.iter().take(MAX_SHOWN_LINES).map(String::as_str).collect::<Vec<_>>().join("\n");
    if stdout.len() > MAX_SHOWN_LINES {
        let _ = write!(text, "\n… and {} more lines", stdout.len() - MAX_SHOWN_LINES);
    }
    text
}

fn is_noise(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("[NOTICE]") || line.contains("Fatal errors found in configuration")
}

/// Returns `[ALERT]    (1234) : config : …` without the process ID, which differs on every run.
fn strip_pid(line: &str) -> String {
    let line: String = line.chars().filter(|c| !c.is_control()).take(1000).collect();
    let cut = line.strip_prefix('[').and_then(|rest| {
        let (level, rest) = rest.split_once(']')?;
        let rest = rest.trim_start().strip_prefix('(')?;
        let (pid, rest) = rest.split_once(") : ")?;
        pid.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("[{level}] {rest}"))
    });
    cut.unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    use super::*;

    #[tokio::test]
    async fn hung_program_is_killed() {
        let error = run(Path::new("sleep"), &["1000"], Duration::from_millis(50)).await.unwrap_err();

        insta::assert_snapshot!(error, @"`sleep 1000` did not finish within 50ms and was killed");
    }

    #[tokio::test]
    async fn child_processes_are_killed_when_run_is_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid_file.display());
        let arguments = ["-c", script.as_str()];

        let pid = tokio::select! {
            ended = run(Path::new("sh"), &arguments, Duration::from_mins(10)) => panic!("{ended:?}"),
            pid = eventually(|| std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok()) => pid,
        };

        eventually(|| is_dead(pid).then_some(())).await;
    }

    async fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> T {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(tokio::time::Instant::now() < until, "timed out");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn program_finishes_despite_background_child() {
        let ended = run(Path::new("sh"), &["-c", "sleep 1000 & echo $!"], Duration::from_mins(10)).await.unwrap();

        assert!(ended.status.success());
        let left = ended.output.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }

    /// Reports whether the process has exited, reaped or not.
    fn is_dead(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    #[tokio::test]
    async fn endless_output_is_truncated() {
        let ended =
            run(Path::new("sh"), &["-c", "yes | head -c 1000000; echo no >&2; exit 3"], Duration::from_mins(1)).await;

        let ended = ended.unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert!(ended.output.starts_with("no\ny\n"));
        assert!(ended.output.len() < 70_000);
    }

    #[test]
    fn haproxy_output_is_reduced_to_relevant_lines() {
        let output = "[NOTICE]   (17) : haproxy version is 2.6.12\n[ALERT]    (17) : config : parsing [x:3] : no \u{1b}[31mgood\n\n";

        insta::assert_snapshot!(clean_output(&format!("{output}{}", "again\n".repeat(25))).lines().next().unwrap_or_default(), @"[ALERT] config : parsing [x:3] : no [31mgood");
        assert_eq!(clean_output(&"again\n".repeat(25)).lines().last(), Some("… and 5 more lines"));
    }
}
