//! The compiler process: its sandbox, and the handling of a process that misbehaves.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use doproxy_plugin_host::{Limits, PluginHost, PluginSettings};
use doproxy_test_support::guests::{GuestText, HOLD};
use insta::assert_snapshot;

use super::sandboxed_host;

#[tokio::test]
async fn component_compiled_in_a_process_runs_here() {
    let host = sandboxed_host(Limits::default());

    let policy = host.policy(&"builtin:target-tracking".parse().unwrap()).await.unwrap();

    assert_eq!(policy.manifest().name, "target-tracking");
}

#[test]
fn compiler_process_has_no_other_rights() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doproxy"))
        .args(["compile-plugin", "--cpu-seconds=7", "--memory-bytes=1000000000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The process prints the line after it has dropped its rights and then waits for the component.
    let mut enforced = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut enforced).unwrap();

    let proc = Path::new("/proc").join(child.id().to_string());
    let limits = fs::read_to_string(proc.join("limits")).unwrap();
    let status = fs::read_to_string(proc.join("status")).unwrap();
    let output = child.wait_with_output().unwrap();

    let (limited, landlock) = enforced.trim_end().split_once("; ").unwrap();
    assert_eq!(limited, "compiling with limits of 7 s of CPU time and 1000000000 bytes of memory");
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
    // Its empty input is not a component.
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"dxpluginR"), "{output:?}");
}

/// Creates a fake compiler that runs `script`.
fn fake_compiler(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("compiler");
    // Another process writes the file: while it is open for writing here, a fork in another thread could keep it busy.
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

/// Returns the error of loading a plugin with such a fake compiler.
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
async fn compiler_starts_without_environment_at_the_root() {
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
async fn slow_compiler_is_killed_and_reaped() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec tail -f /dev/null", pid.display());
    let compiler = Some(fake_compiler(directory.path(), &script));
    let limits = Limits { compile_timeout: Duration::from_secs(1), ..Limits::default() };

    let error = failure_with(compiler, limits).await;

    assert_snapshot!(error, @"plugin file:FILE: compiling the component exceeds the compile timeout of 1s (plugins.limits.compile_timeout)");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[tokio::test]
async fn compiler_failure_includes_its_last_output() {
    let small = || Limits { component_bytes: 64 * 1024, ..Limits::default() };

    assert_snapshot!(failure("echo first >&2; echo oh no >&2; exit 3", small()).await, @"plugin file:FILE: failed to compile the component: the compiler failed (exit status: 3): oh no");
    assert_snapshot!(failure("echo dxplugin", small()).await, @"plugin file:FILE: failed to compile the component: the compiler failed (exit status: 0): no output");
    assert_snapshot!(failure("exec cat /dev/zero", small()).await, @"plugin file:FILE: compiling the component exceeds the limit of 256 KiB of machine code, four times plugins.limits.component_bytes");
    assert_snapshot!(failure("kill -s XCPU $$", small()).await, @"plugin file:FILE: compiling the component exceeds the compile limit of 60s of CPU time (plugins.limits.compile_cpu_time)");
    assert_snapshot!(failure_with(Some("/no/such/doproxy".into()), small()).await, @"plugin file:FILE: failed to start the compiler /no/such/doproxy: No such file or directory (os error 2)");
}
