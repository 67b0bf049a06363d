//! Confidentiality: the token must never appear anywhere, and user data must never appear in logs.
//!
//! Every test of this suite contributes: [`TestEnvironment`] searches the output of each command and the files of each
//! environment. This module has the commands with the most output, and the places that the other tests do not cover.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use doproxy_test_support::assert_output;
use doproxy_test_support::environment::{TestEnvironment, locations_searched, run, wait_until};

const POLICY: &str =
    "  policies: [{plugin: builtin:target-tracking, config: {metric: haproxy.sessions, target_per_droplet: 4}}]
user_data: {plugin: builtin:cloud-init, config: {template: \"#!/bin/sh\\necho {{ hostname }} MARKER\\n\"}}
";

/// The everyday commands of an operator.
const COMMANDS: [&[&str]; 11] = [
    &["check"],
    &["config", "show"],
    &["config", "show", "--json"],
    &["plugin", "inspect", "builtin:cloud-init"],
    &["create", "--count", "2"],
    &["print"],
    &["print", "--json"],
    &["generate"],
    &["reload"],
    &["run", "--once", "--window", "100ms"],
    &["delete", "0", "--yes"],
];

/// Writes a wrapper program that records its environment and arguments before running the original.
fn record(env: &TestEnvironment, name: &str, then: &str) -> String {
    let file = env.path(name).display().to_string();
    let script = format!(
        "#!/bin/sh\n{{ env; tr '\\0' ' ' <\"/proc/$$/cmdline\"; tr '\\0' ' ' <\"/proc/$PPID/cmdline\"; echo; }} >>{file}.seen\n{then}\n"
    );
    env.write_with_mode(name, &script, 0o755);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_reveals_the_token() {
    let env = TestEnvironment::new().await;
    let haproxy = record(&env, "haproxy.sh", "exec /usr/sbin/haproxy \"$@\"");
    let reload = record(&env, "reload.sh", &format!("kill -USR2 {}", env.haproxy_pid()));
    env.configure(POLICY)
        .edit("master_socket: master.sock", &format!("binary: {haproxy}\n  reload_command: [{reload}]"));

    let mut logged = String::new();
    for says_more in [&["-vvv"] as &[&str], &["-vvv", "--log-format", "json"]] {
        for command in COMMANDS {
            let mut command = env.command(&[command, says_more].concat());
            let ended = run(command.env("RUST_LOG", "trace")).await;
            assert_eq!(ended.code, 0, "{command:?}\n{}", ended.stderr);
            logged += &ended.stderr;
        }
    }

    assert!(
        logged.contains(" TRACE ") || logged.contains("\"TRACE\""),
        "the log is empty, so the search proves nothing"
    );
    let seen = |name: &str| std::fs::read_to_string(env.path(name)).unwrap();
    assert!(seen("haproxy.sh.seen").contains(" -c ") && seen("haproxy.sh.seen").contains("PATH="));
    assert!(seen("reload.sh.seen").contains(" create --count 2"));
    env.tear_down().await;
    // Bypasses the test harness, which captures the output of passing tests.
    writeln!(std::io::stdout(), "secrets found: 0 in {} places", locations_searched()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_compiler_does_not_receive_the_token() {
    let env = TestEnvironment::new().await;
    let mut command = env.command(&["plugin", "inspect", "builtin:cloud-init"]);
    let cold = env.path("cold");
    let mut doproxy = command.env("XDG_CACHE_HOME", cold).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = doproxy.id().unwrap();

    let mut seen = Vec::new();
    wait_until("the end of the command", async || {
        seen.extend(compiler_variables(pid));
        doproxy.try_wait().unwrap().is_some()
    })
    .await;

    assert!(!seen.is_empty(), "no compiler was observed");
    assert!(!seen.iter().any(|bytes| String::from_utf8_lossy(bytes).contains("very_secret")));
    env.tear_down().await;
}

/// Returns the arguments and environments of the compilers that a process has started, according to the system. Until
/// it executes another program, a child is a copy of its parent and not a compiler yet.
fn compiler_variables(pid: u32) -> Vec<Vec<u8>> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let pids: Vec<String> =
        children.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let of = |pid: &String, what: &str| std::fs::read(Path::new("/proc").join(pid).join(what)).unwrap_or_default();
    let is_compiler = |arguments: &Vec<u8>| String::from_utf8_lossy(arguments).contains("compile-plugin");
    let compilers = pids.iter().map(|pid| (pid, of(pid, "cmdline"))).filter(|(_, arguments)| is_compiler(arguments));
    compilers.flat_map(|(pid, arguments)| [of(pid, "environ"), arguments]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn process_with_token_leaves_no_core_dump() {
    let env = TestEnvironment::with_options(Duration::from_hours(1), 25).await;
    let mut waiting = env.start(&["create"]);
    wait_until("a droplet", async || env.billed().len() == 1).await;

    let limits = std::fs::read_to_string(format!("/proc/{}/limits", waiting.id().unwrap())).unwrap();

    let core: Vec<&str> = limits.lines().filter(|line| line.starts_with("Max core file size")).collect();
    insta::assert_snapshot!(core.join("\n").trim_end(), @"Max core file size        0                    0                    bytes");
    waiting.kill().await.unwrap();
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn misplaced_token_is_not_repeated_in_errors() {
    let env = TestEnvironment::new().await;
    let of = async |arguments: &[&str]| run(env.command(arguments).env_remove("DIGITALOCEAN_TOKEN")).await;

    let no_key = {
        env.write("wrong.yml", "token dop_v1_very_secret\n");
        of(&["check", "--config", "wrong.yml"]).await
    };
    let wrong_key = {
        env.write("wrong.yml", "droplet_options: dop_v1_very_secret\n");
        of(&["check", "--config", "wrong.yml"]).await
    };
    let as_a_file = of(&["check", "--config", "dop_v1_very_secret"]).await;

    assert_output!(env, [no_key.stderr, wrong_key.stderr, as_a_file.stderr].concat(), @r#"
    error: wrong.yml:1:1: invalid type: string "token dop_v1_…", expected struct File
    error: wrong.yml:1:18: droplet_options: invalid type: string "dop_v1_…", expected struct DropletOptions
    error: failed to read dop_v1_…: No such file or directory (os error 2); run `doproxy init` to write a starter file, or pass its path with `--config`
    "#);
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_credential_takes_precedence_over_token_file() {
    let env = TestEnvironment::new().await;
    env.write_with_mode("doproxy-token", "dop_v1_very_secret\n", 0o400);
    let mut command = env.configure("token_file: nowhere\n").command(&["check"]);

    let checked = run(command.env_remove("DIGITALOCEAN_TOKEN").env("CREDENTIALS_DIRECTORY", env.path("."))).await;

    let line = checked.stdout.lines().find(|line| line.contains("token")).unwrap_or_default();
    assert_output!(env, line.replace("/./", "/"), @"✓ token          from DIR/doproxy-token; account active, droplet limit 25");
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_appears_only_as_digest() {
    let env = TestEnvironment::new().await;
    env.configure(POLICY);

    let created = run(env.command(&["create", "-vvv"]).env("RUST_LOG", "trace")).await;

    assert!(env.user_data().contains("MARKER"));
    assert!(!created.stderr.contains("MARKER") && !created.stdout.contains("MARKER"), "{}", created.stderr);
    let left = env.files_with("MARKER");
    assert_eq!(left, [env.path("doproxy.yml")]);
    env.tear_down().await;
}
