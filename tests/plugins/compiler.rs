//! The process that compiles: what it may do, and what becomes of one that does not do as it should.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use doproxy::plugin::{Limits, PluginHost, PluginSettings};
use insta::assert_snapshot;

use super::guests::{GuestText, HOLD};
use super::sandboxed_host;

#[tokio::test]
async fn what_is_compiled_in_a_process_of_its_own_runs_here() {
    let host = sandboxed_host(Limits::default());

    let policy = host.policy(&"builtin:target-tracking".parse().unwrap()).await.unwrap();

    assert_eq!(policy.manifest().name, "target-tracking");
}

#[test]
fn what_compiles_can_do_nothing_else() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doproxy"))
        .args(["compile-plugin", "--cpu-seconds=7", "--memory-bytes=1000000000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The line comes when everything is taken from it, and it waits for the component then.
    let mut enforced = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut enforced).unwrap();

    let proc = Path::new("/proc").join(child.id().to_string());
    let limits = fs::read_to_string(proc.join("limits")).unwrap();
    let status = fs::read_to_string(proc.join("status")).unwrap();
    let output = child.wait_with_output().unwrap();

    let (limited, landlock) = enforced.trim_end().split_once("; ").unwrap();
    assert_eq!(limited, "compiling within 7 s of CPU and 1000000000 bytes of memory");
    assert!(landlock.contains("landlock"), "{landlock}");
    writeln!(std::io::stderr(), "plugin compiler: {landlock}").unwrap();
    if landlock.starts_with("landlock fully") || landlock.starts_with("landlock partly") {
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
    let held: Vec<String> = limits
        .lines()
        .filter(|line| ["cpu", "file size", "core", "open files", "address"].iter().any(|word| line.contains(word)))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_snapshot!(held.join("\n"), @r"
    Max cpu time 7 8 seconds
    Max file size 0 0 bytes
    Max core file size 0 0 bytes
    Max open files 16 16 files
    Max address space 1000000000 1000000000 bytes
    ");
    // What it was given, nothing, is no component.
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"dxpluginR"), "{output:?}");
}

/// A stand-in for the program, which does what `script` says.
fn fake_compiler(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("compiler");
    // Written by another process: were it open for writing here, a fork in another thread could keep it busy.
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 700 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    write!(writer.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
    assert!(writer.wait().unwrap().success());
    path
}

/// What loading a plugin comes to with such a stand-in.
async fn failure(script: &str, limits: Limits) -> String {
    let directory = tempfile::tempdir().unwrap();
    let compiler = Some(fake_compiler(directory.path(), script));
    failure_with(compiler, limits).await
}

async fn failure_with(compiler: Option<PathBuf>, limits: Limits) -> String {
    let host = PluginHost::new(PluginSettings { limits, compiler, ..PluginSettings::default() }).unwrap();
    let planted = GuestText::with_decide(HOLD).write();
    let error = host.policy(&planted.reference()).await.unwrap_err();
    error.to_string().replace(&planted.reference().to_string(), "file:FILE")
}

#[tokio::test]
async fn what_compiles_is_started_without_environment_and_at_the_root() {
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let script = format!("{{ cat /proc/$$/environ; pwd; echo \"$@\"; }} > {}", seen.display());
    let compiler = Some(fake_compiler(directory.path(), &script));

    failure_with(compiler, Limits::default()).await;

    assert_snapshot!(fs::read_to_string(seen).unwrap(), @r"
    /
    compile-plugin --cpu-seconds=60 --memory-bytes=2147483648
    ");
}

#[tokio::test]
async fn a_compiler_that_takes_too_long_is_ended_and_gone() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec tail -f /dev/null", pid.display());
    let compiler = Some(fake_compiler(directory.path(), &script));
    let limits = Limits { compile_timeout: Duration::from_secs(1), ..Limits::default() };

    let error = failure_with(compiler, limits).await;

    assert_snapshot!(error, @"plugin file:FILE: compiling the component goes over the compile limit of 1s (plugins.limits.compile_time)");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[tokio::test]
async fn a_compiler_that_does_not_answer_as_it_should_is_told_with_its_last_words() {
    let small = || Limits { component_bytes: 64 * 1024, ..Limits::default() };

    assert_snapshot!(failure("echo first >&2; echo oh no >&2; exit 3", small()).await, @"plugin file:FILE: the component does not compile: the compiler broke off (exit status: 3): oh no");
    assert_snapshot!(failure("echo dxplugin", small()).await, @"plugin file:FILE: the component does not compile: the compiler broke off (exit status: 0): it said nothing");
    assert_snapshot!(failure("exec cat /dev/zero", small()).await, @"plugin file:FILE: compiling the component goes over the limit of 256 KiB of machine code, four times plugins.limits.component_bytes");
    assert_snapshot!(failure("kill -s XCPU $$", small()).await, @"plugin file:FILE: compiling the component goes over the compile limit of 60s of CPU (plugins.limits.compile_cpu)");
    assert_snapshot!(failure_with(Some("/no/such/doproxy".into()), small()).await, @"plugin file:FILE: the compiler /no/such/doproxy does not start: No such file or directory (os error 2)");
}
