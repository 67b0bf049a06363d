//! Running other programs: `haproxy -c` and the configured reload command.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process;

use super::HaProxyError;
use crate::crash::around_async;

/// How much of a program's output is kept.
const MAX_OUTPUT_BYTES: usize = 64 << 10;

/// How many lines of it an error shows.
const SHOWN_LINES: usize = 20;

/// How long what a program said is waited for after its end: a program that it left behind may hold the pipes open for
/// ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: String,
}

/// Runs a program with an empty standard input, and kills it when it takes longer than `deadline`.
pub(super) async fn run(program: &Path, arguments: &[&str], deadline: Duration) -> Result<Ended, HaProxyError> {
    let mut command = process::Command::new(program);
    // The API token is nobody's but ours.
    command.env_remove("DIGITALOCEAN_TOKEN").env_remove("DIGITALOCEAN_ACCESS_TOKEN");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // In a group of its own, so that what it started is killed with it.
    command.process_group(0);
    let cannot_run = |source| HaProxyError::Run { program: program.display().to_string(), source };
    around_async("run a program", async {
        let mut child = command.spawn().map_err(cannot_run)?;
        let group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw));
        let ended = tokio::time::timeout(deadline, collect(&mut child)).await;
        let ended = ended.map_err(|_| HaProxyError::TimedOut { command: written(program, arguments), after: deadline });
        group.spare_if(ended.is_ok());
        ended?.map_err(cannot_run)
    })
    .await
}

/// A program that runs, with all that it has started: they are killed with this value, also when nobody waits for
/// them any more.
struct Group(Option<Pid>);

impl Group {
    /// What a program left behind that ended by itself is meant to be there.
    fn spare_if(mut self, has_ended: bool) {
        if has_ended {
            self.0 = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The id is there until the child was waited for, so it can be nobody else's.
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// A command as a person would type it.
pub(super) fn written(program: &Path, arguments: &[&str]) -> String {
    let mut text = program.display().to_string();
    for argument in arguments {
        text.push(' ');
        text.push_str(argument);
    }
    text
}

async fn collect(child: &mut process::Child) -> io::Result<Ended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let status = {
        let reading =
            async { tokio::join!(keep_beginning(stdout, &mut said), keep_beginning(stderr, &mut complained)) };
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => child.wait().await?,
            status = child.wait() => {
                // What was read until then is what there is.
                let _ = tokio::time::timeout(LAST_WORDS, reading).await;
                status?
            }
        }
    };
    let mut output = String::from_utf8_lossy(&complained).into_owned();
    output.push_str(&String::from_utf8_lossy(&said));
    Ok(Ended { status, output })
}

/// Keeps the beginning of what `pipe` gives; the rest is read and dropped, so that the writer does not wait for ever.
async fn keep_beginning(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = vec![0; 8 << 10];
    // A pipe that cannot be read says nothing more.
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        let room = MAX_OUTPUT_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(&piece[..read.min(room)]);
    }
}

/// The lines of `output` that say something: without HAProxy's notices, process ids and control characters, and
/// the first of them only.
pub(super) fn cleaned(output: &str) -> String {
    let said: Vec<String> = output.lines().filter(|line| !is_noise(line)).map(without_pid).collect();
    let mut text = said.iter().take(SHOWN_LINES).map(String::as_str).collect::<Vec<_>>().join("\n");
    if said.len() > SHOWN_LINES {
        let _ = write!(text, "\n… and {} more lines", said.len() - SHOWN_LINES);
    }
    text
}

fn is_noise(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("[NOTICE]") || line.contains("Fatal errors found in configuration")
}

/// `[ALERT]    (1234) : config : …` without the process id, which is never the same twice.
fn without_pid(line: &str) -> String {
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
    use super::*;

    #[tokio::test]
    async fn a_program_that_hangs_is_killed() {
        let error = run(Path::new("sleep"), &["1000"], Duration::from_millis(50)).await.unwrap_err();

        insta::assert_snapshot!(error, @"`sleep 1000` did not end within 50ms and was killed");
    }

    #[tokio::test]
    async fn what_a_program_has_started_that_nobody_waits_for_is_killed_with_it() {
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
            assert!(tokio::time::Instant::now() < until, "it never came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_program_that_leaves_another_on_its_output_has_ended_all_the_same() {
        let ended = run(Path::new("sh"), &["-c", "sleep 1000 & echo $!"], Duration::from_mins(10)).await.unwrap();

        assert!(ended.status.success());
        let left = ended.output.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }

    /// Ended, whether or not its new parent has waited for it.
    fn is_dead(pid: i32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    }

    #[tokio::test]
    async fn output_without_end_is_cut() {
        let ended =
            run(Path::new("sh"), &["-c", "yes | head -c 1000000; echo no >&2; exit 3"], Duration::from_mins(1)).await;

        let ended = ended.unwrap();
        assert_eq!(ended.status.code(), Some(3));
        assert!(ended.output.starts_with("no\ny\n"));
        assert!(ended.output.len() < 70_000);
    }

    #[test]
    fn what_haproxy_says_is_cut_to_what_helps() {
        let output = "[NOTICE]   (17) : haproxy version is 2.6.12\n[ALERT]    (17) : config : parsing [x:3] : no \u{1b}[31mgood\n\n";

        insta::assert_snapshot!(cleaned(&format!("{output}{}", "again\n".repeat(25))).lines().next().unwrap_or_default(), @"[ALERT] config : parsing [x:3] : no [31mgood");
        assert_eq!(cleaned(&"again\n".repeat(25)).lines().last(), Some("… and 5 more lines"));
    }
}
