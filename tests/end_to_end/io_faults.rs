//! I/O faults during `create` and `delete`: each writing system call fails (ENOSPC, EIO), or the process is killed at
//! it, and the next command resumes the operation.
//!
//! A clean run under strace finds the positions. Only a sample of them is tested; `DOPROXY_EVERY=1` tests all of them,
//! which takes half an hour. strace counts the calls of each thread separately, so a kill hits the first thread to
//! reach the count, which is equally useful.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use crate::invariants::{assert_recovers, print_line, wrap_command};
use doproxy_test_support::environment::{Output, TestEnvironment, run};

/// The default sampling interval of positions, chosen so that the test takes less than a minute.
const DEFAULT_STRIDE: usize = 23;

/// System calls that change state outside the process.
const MUTATING_SYSCALLS: &str =
    "write,writev,pwrite64,fsync,fdatasync,ftruncate,rename,linkat,unlink,openat,connect,sendto,sendmsg";
/// The injected errors, each with the system calls that can fail with it.
const FAILURES: [(&str, &[&str]); 2] = [
    ("error=ENOSPC", &["write", "writev", "pwrite64", "openat", "rename", "linkat"]),
    ("error=EIO", &["write", "writev", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename"]),
];

/// An injected fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    call: String,
    /// The index among the calls of this kind, on this file if there is one; counted from 1.
    number: usize,
    /// The file in the fleet's folder.
    file: Option<String>,
    /// The strace injection: `error=EIO`, `signal=KILL`.
    effect: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, number, file, effect: what } = self;
        write!(
            f,
            "{what} at {call} number {number}{}",
            file.as_ref().map(|file| format!(" of {file}")).unwrap_or_default()
        )
    }
}

/// Returns the positions of a clean run, with the possible faults at each.
fn faults(trace: &str, folder: &str) -> Vec<Fault> {
    let mut counts: BTreeMap<(&str, &str, Option<&str>), usize> = BTreeMap::new();
    let mut faults = BTreeSet::new();
    for line in trace.lines().filter(|line| !line.contains(" resumed>")) {
        let Some((thread, call)) = line.split_once(' ').map(|(thread, rest)| (thread, rest.trim_start())) else {
            continue;
        };
        let Some((call, _)) =
            call.split_once('(').filter(|(call, _)| MUTATING_SYSCALLS.split(',').any(|one| one == *call))
        else {
            continue;
        };
        let mut count = |file| {
            let count = counts.entry((thread, call, file)).or_default();
            *count += 1;
            *count
        };
        let file = file_of(line, folder);
        let (number, number_of_file) = (count(None), file.map(|file| count(Some(file))));
        if call == "openat" && !line.contains("O_CREAT") {
            continue;
        }
        faults.insert(Fault { call: call.to_owned(), number, file: None, effect: "signal=KILL" });
        // Only files fail, not pipes and sockets: no program can handle errors of its own runtime's pipes and sockets.
        for (error, failing) in FAILURES {
            if let (Some(file), Some(number)) = (file, number_of_file)
                && failing.contains(&call)
            {
                faults.insert(Fault { call: call.to_owned(), number, file: Some(file.to_owned()), effect: error });
            }
        }
    }
    faults.into_iter().collect()
}

/// Returns the file in the fleet's folder that a call refers to: the last one it names. A file with a process ID in its
/// name differs in the next run.
fn file_of<'line>(line: &'line str, folder: &str) -> Option<&'line str> {
    let (_, rest) = line.rsplit_once(folder)?;
    let file = rest.split(['"', '>', '<']).next()?.strip_prefix('/')?;
    (!file.is_empty() && !file.contains(".new.")).then_some(file)
}

async fn set() -> TestEnvironment {
    let env = TestEnvironment::with_options(Duration::from_millis(1), 25).await;
    env.configure_timeouts("20ms", "drain: 1s, create_visibility: 300ms, boot: 10s, warm_up: 10s, delete: 10s");
    env
}

/// Removes the inventory and all droplets, as before the first `create`.
fn clear(env: &TestEnvironment) {
    while !env.billed().is_empty() {
        env.delete_out_of_band(0);
    }
    for entry in std::fs::read_dir(env.path("")).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("doproxy.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
}

async fn trace(env: &TestEnvironment, arguments: &[&str]) -> Vec<Fault> {
    let file = env.path("trace");
    let strace =
        ["-f", "-y", "--seccomp-bpf", "-e", &format!("trace={MUTATING_SYSCALLS}"), "-o", file.to_str().unwrap()];
    let ended = run(&mut wrap_command("strace", &strace, &env.command(arguments))).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let folder = std::fs::canonicalize(env.path("")).unwrap();
    faults(&std::fs::read_to_string(file).unwrap(), folder.to_str().unwrap())
}

async fn with_fault(env: &TestEnvironment, fault: &Fault, arguments: &[&str]) -> Output {
    let Fault { call, number, file, effect: what } = fault;
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{what}:when={number}"));
    let mut strace = vec!["-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let file = file.as_ref().map(|file| env.path(file));
    if let Some(file) = &file {
        // Only calls on this file are counted. Filtering in the kernel is faster, but strace 6.1 then sends no signals.
        strace.extend(["-P", file.to_str().unwrap(), "--seccomp-bpf"]);
    }
    run(&mut wrap_command("strace", &strace, &env.command(arguments))).await
}

/// The results of the commands with an injected fault.
#[derive(Debug, Default)]
struct Tally {
    survived: usize,
    killed: usize,
    failed: usize,
}

async fn run_with_fault(env: &TestEnvironment, fault: &Fault, arguments: &[&str], tally: &Mutex<Tally>) {
    let what = format!("{} with {fault}", arguments[0]);
    let ended = with_fault(env, fault, arguments).await;
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
    assert!(ended.code <= 0 || ended.stderr.contains("error: "), "{what}: it failed without a message: {ended:?}");
    assert_recovers(env, &what).await;
    let mut tally = tally.lock().unwrap();
    tally.survived += 1;
    // strace ends as its program did: by a signal, or with its exit code.
    match ended.code {
        0 => {}
        1..128 => tally.failed += 1,
        _ => tally.killed += 1,
    }
}

/// Creates droplets without an inventory and deletes one of the two, each with its own fault.
async fn run_rounds(creates: &Mutex<Vec<Fault>>, deletes: &Mutex<Vec<Fault>>, tally: &Mutex<Tally>) {
    let env = set().await;
    loop {
        let (create, delete) = (creates.lock().unwrap().pop(), deletes.lock().unwrap().pop());
        if create.is_none() && delete.is_none() {
            break;
        }
        if let Some(fault) = create {
            clear(&env);
            run_with_fault(&env, &fault, &["create", "--count", "2"], tally).await;
        }
        if let Some(fault) = delete {
            if env.billed().is_empty() {
                env.run_ok(&["create"]).await;
            }
            run_with_fault(&env, &fault, &["delete", "0", "--yes"], tally).await;
        }
    }
    env.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn next_command_recovers_from_any_io_fault() {
    let every = std::env::var("DOPROXY_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(DEFAULT_STRIDE);
    let env = set().await;
    let creates = trace(&env, &["create", "--count", "2"]).await;
    let deletes = trace(&env, &["delete", "0", "--yes"]).await;
    env.tear_down().await;
    let all = creates.len() + deletes.len();
    let some = |faults: Vec<Fault>| faults.into_iter().step_by(every).collect::<Vec<_>>();
    let (creates, deletes) = (some(creates), some(deletes));
    let positions = creates.len() + deletes.len();
    let (creates, deletes, tally) = (Mutex::new(creates), Mutex::new(deletes), Mutex::default());

    tokio::join!(run_rounds(&creates, &deletes, &tally), run_rounds(&creates, &deletes, &tally));

    let Tally { survived, killed, failed } = tally.into_inner().unwrap();
    print_line(&format!(
        "I/O faults: {positions} positions, {survived} survived (of {all}; {killed} were killed, {failed} failed with a message)"
    ));
    assert_eq!(survived, positions);
    assert!(killed > 0 && failed > 0, "no fault was injected");
}
