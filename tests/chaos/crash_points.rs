//! Enumeration of all crash points of a process and of the recovery after it, in a real process that really aborts. A
//! run without a crash counts the points, so that no list has to be maintained.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command as Process, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use doproxy_controller::OrphanPolicy;
use doproxy_core::domain::DropletId;
use doproxy_emulator::{Faults, Selection};
use tempfile::TempDir;

use crate::fleet::{Fleet, folder, tag};
use crate::invariants;
use crate::steps::{Command, run_command};

/// The argument that marks a child process of this program.
pub const CHILD: &str = "--child";
/// The exit code of a child that observed an invariant violation.
const EXIT_VIOLATION: u8 = 3;
/// The lag of lists.
const LAG_MS: u64 = 60_000;
/// As [`LAG_MS`], for the service: it polls every second, so a long lag would add a thousand equivalent points.
const SERVICE_LAG_MS: u64 = 5_000;
const SIGABRT: i32 = 6;

/// The command or service to crash.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// The serving droplets at the start.
    fleet: u32,
    /// `true` if another program has created a droplet with the fleet's tag, and one without.
    external_droplets: bool,
}

const SCENARIOS: [Scenario; 6] = [
    Scenario { name: "create", fleet: 0, external_droplets: false },
    Scenario { name: "delete", fleet: 2, external_droplets: false },
    Scenario { name: "import", fleet: 1, external_droplets: true },
    Scenario { name: "adopt", fleet: 0, external_droplets: true },
    Scenario { name: "recover", fleet: 1, external_droplets: false },
    Scenario { name: SERVICE, fleet: 0, external_droplets: false },
];

/// The service passes many points, so its second crashes are reduced by this factor.
const SERVICE_STRIDE: u64 = 15;

/// With lagging lists, the sampling interval of the service's crash points.
const SERVICE_STRIDE_WITH_LAG: u64 = 7;

/// The service instead of a command: it recovers by restarting.
const SERVICE: &str = "service";

impl Scenario {
    fn command(name: &str) -> Command {
        match name {
            "create" => Command::Create(2),
            "delete" => Command::Delete(0),
            "import" => Command::Import(0),
            "adopt" => Command::Recover(OrphanPolicy::Adopt),
            _ => Command::Recover(OrphanPolicy::Report),
        }
    }

    fn prepare(self) -> TempDir {
        let folder = folder();
        in_virtual_time(async {
            let mut fleet = Fleet::saved(folder.path(), 1).await;
            let process = fleet.process();
            if self.fleet > 0 {
                run_command(&process, &Command::Create(self.fleet), &[]).await.unwrap();
            }
            if self.external_droplets {
                fleet.create_external_droplet("somebodys", vec![]).await;
                let tags = if self.name == "adopt" { vec![tag()] } else { vec![] };
                fleet.create_external_droplet("another", tags).await;
            }
            // Lists are as old as the lag, so the start must be long ago.
            tokio::time::sleep(std::time::Duration::from_mins(10)).await;
            fleet.cloud.save();
        });
        folder
    }
}

/// Tries every point of every scenario; returns `true` if no invariant was violated.
pub fn enumerate() -> bool {
    let started = Instant::now();
    let mut points = BTreeMap::new();
    let mut schedules: Vec<(Scenario, bool, u64)> = Vec::new();
    let prepared: Vec<(Scenario, TempDir)> = SCENARIOS.iter().map(|one| (*one, one.prepare())).collect();
    for (scenario, base) in &prepared {
        for lag in [false, true] {
            let copy = copy_folder(base.path());
            let passed = count_points(copy.path(), scenario.name, lag);
            points.insert((scenario.name, lag), passed);
            let every = if lag && scenario.name == SERVICE { SERVICE_STRIDE_WITH_LAG } else { 1 };
            schedules.extend((1..=passed).filter(|at| at.is_multiple_of(every)).map(|at| (*scenario, lag, at)));
        }
    }
    for ((name, lag), passed) in &points {
        println!("crash points: {passed:>3} of {name}{}", if *lag { ", with lagging lists" } else { "" });
    }
    let (next, second) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let bad: Mutex<Vec<String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some((scenario, lag, at)) = schedules.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let base = prepared.iter().find(|(one, _)| one.name == scenario.name).unwrap().1.path();
                    let (tried, broken) = try_point(base, scenario.name, *lag, *at);
                    second.fetch_add(tried, Ordering::Relaxed);
                    bad.lock().unwrap().extend(broken);
                }
            });
        }
    });
    let bad = bad.into_inner().unwrap();
    for line in bad.iter().take(20) {
        println!("VIOLATION: {line}");
    }
    println!(
        "crash points: {} enumerated, {} schedules with a second crash in the recovery, {} failed, {:.1} s",
        schedules.len(),
        second.into_inner(),
        bad.len(),
        started.elapsed().as_secs_f64()
    );
    bad.is_empty() && !schedules.is_empty()
}

/// Crashes at one point, then at each point of the recovery; returns the number of second crashes and the violations.
fn try_point(base: &Path, scenario: &str, lag: bool, at: u64) -> (usize, Vec<String>) {
    let check = |bad: &mut Vec<String>, folder: &Path, what: String| {
        let broken = in_virtual_time(async {
            let mut fleet = Fleet::saved(folder, 2).await;
            invariants::violations_after_recovery(&mut fleet).await
        });
        bad.extend(
            broken
                .into_iter()
                .map(|broken| format!("{scenario}{}, {what}: {broken}", if lag { " with lag" } else { "" })),
        );
    };
    let mut bad = Vec::new();
    let recovery = if scenario == SERVICE { SERVICE } else { "recover" };
    let first = copy_folder(base);
    if let Err(why) = crash_at(first.path(), scenario, lag, at) {
        return (0, vec![format!("{scenario} crashed at {at}: {why}")]);
    }
    let once = copy_folder(first.path());
    if scenario == SERVICE {
        let status = spawn(once.path(), SERVICE, lag, |_| {});
        if !status.success() {
            bad.push(format!("{scenario} crashed at {at} and restarted ended with {status}"));
        }
    }
    check(&mut bad, once.path(), format!("crashed at {at}"));
    // Lagging lists make a second crash dangerous; without them the first is sufficient, except for the service.
    if !lag && scenario != SERVICE {
        return (0, bad);
    }
    let stride = if scenario == SERVICE { stride() * SERVICE_STRIDE } else { stride() };
    let counted = copy_folder(first.path());
    let passed = count_points(counted.path(), recovery, lag);
    check(&mut bad, counted.path(), format!("crashed at {at}, recovered with lagging lists"));
    // Across all first points, each point of the recovery is covered, regardless of the stride.
    let mut tried = 0;
    for again in (1..=passed).filter(|again| (again + at).is_multiple_of(stride)) {
        tried += 1;
        let second = copy_folder(first.path());
        match crash_at(second.path(), recovery, lag, again) {
            Ok(()) => check(&mut bad, second.path(), format!("crashed at {at} and in its recovery at {again}")),
            Err(why) => bad.push(format!("{scenario} crashed at {at}, its recovery at {again}: {why}")),
        }
    }
    (tried, bad)
}

/// Returns the sampling interval of a recovery's crash points; `DOPROXY_EVERY=1` crashes at all of them.
fn stride() -> u64 {
    std::env::var("DOPROXY_EVERY").ok().and_then(|every| every.parse().ok()).filter(|every| *every > 0).unwrap_or(8)
}

/// Returns the number of crash points in a command that is not crashed.
fn count_points(folder: &Path, scenario: &str, lag: bool) -> u64 {
    let trace = folder.join("trace");
    let status = spawn(folder, scenario, lag, |child| _ = child.env("DOPROXY_FAILPOINT_TRACE", &trace));
    assert!(status.success(), "{scenario} failed without a crash: {status}");
    let lines = std::fs::read_to_string(&trace).unwrap_or_default().lines().count();
    std::fs::remove_file(&trace).unwrap();
    u64::try_from(lines).unwrap()
}

/// Runs a command that crashes at a point.
fn crash_at(folder: &Path, scenario: &str, lag: bool, at: u64) -> Result<(), String> {
    let status = spawn(folder, scenario, lag, |child| _ = child.env("DOPROXY_FAILPOINT", at.to_string()));
    if status.signal() == Some(SIGABRT) {
        Ok(())
    } else {
        Err(format!("no crash at this point; the process ended with {status}"))
    }
}

fn spawn(folder: &Path, scenario: &str, lag: bool, set: impl FnOnce(&mut Process)) -> std::process::ExitStatus {
    let mut child = Process::new(std::env::current_exe().unwrap());
    let lag_ms = match (lag, scenario) {
        (false, _) => 0,
        (true, SERVICE) => SERVICE_LAG_MS,
        (true, _) => LAG_MS,
    };
    child.arg(CHILD).arg(folder).arg(scenario).arg(lag_ms.to_string());
    child.env_clear().stdin(Stdio::null());
    set(&mut child);
    child.status().unwrap()
}

/// Runs a command on the saved cloud as one process of doproxy.
pub fn child(arguments: Vec<String>) -> ExitCode {
    let [folder, scenario, lag] = arguments.as_slice() else { return ExitCode::from(2) };
    let violated = in_virtual_time(async {
        let mut fleet = Fleet::saved(Path::new(folder), 3).await;
        fleet.set_faults(Faults { list_lag_ms: lag.parse().unwrap(), ..Faults::default() });
        let foreign: Vec<DropletId> = fleet.cloud.inner.with_state(|cloud, now| {
            let all = cloud.list(now, Selection::All).droplets;
            all.iter().filter(|droplet| !droplet.has_tag(tag().as_str())).map(|droplet| droplet.id).collect()
        });
        if scenario == SERVICE {
            crate::service::serve(&mut fleet, Path::new(folder)).await;
            return fleet.cloud.violations.all();
        }
        let process = fleet.process();
        // A recovery that finds another process's operations undone may end with an error; only the final state
        // matters.
        let _ = run_command(&process, &Scenario::command(scenario), &foreign).await;
        fleet.cloud.violations.all()
    });
    for what in &violated {
        eprintln!("{what}");
    }
    if violated.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_VIOLATION) }
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

fn copy_folder(folder: &Path) -> TempDir {
    let copy = crate::fleet::folder();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}
