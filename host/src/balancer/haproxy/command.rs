//! Running other programs: `haproxy -c` and the configured reload command.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process;

use super::HaProxyError;

/// How much of a program's output is kept.
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// How many lines of it an error shows.
const SHOWN_LINES: usize = 20;

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
    match tokio::time::timeout(deadline, collect(command)).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(source)) => Err(HaProxyError::Run { program: program.display().to_string(), source }),
        Err(_) => Err(HaProxyError::TimedOut { command: written(program, arguments), after: deadline }),
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

async fn collect(mut command: process::Command) -> io::Result<Ended> {
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stderr, stdout) = tokio::try_join!(bounded(stderr), bounded(stdout))?;
    let status = child.wait().await?;
    let mut output = String::from_utf8_lossy(&stderr).into_owned();
    output.push_str(&String::from_utf8_lossy(&stdout));
    Ok(Ended { status, output })
}

/// The beginning of what `pipe` gives; the rest is read and dropped, so that the writer does not wait for ever.
async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(MAX_OUTPUT_BYTES).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
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
