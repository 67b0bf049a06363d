//! Histories: the commands to a fleet, concurrent faults, and the crash points of processes.

use std::time::Duration;

use doproxy_controller::OrphanPolicy;
use doproxy_core::domain::Timestamp;
use doproxy_core::seams::{Inventory, Maintenance};
use doproxy_emulator::{CallFault, Effect, Faults, Frequency, Rate, Selection};
use doproxy_support::{SplitMix64, failpoint};

use crate::fleet::{Fleet, PREFIX, TestController, droplet_request, serving_names, tag};

/// The longest time for a command: every wait has a deadline, and several waits may follow each other.
const TIMEOUT: Duration = Duration::from_hours(6);

/// One step of a history.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A process runs this command, and crashes at this point if it reaches it.
    Command(Command, Option<u64>),
    /// These faults replace all previous ones.
    Faults(Box<Faults>),
    /// Another program creates a droplet: with the fleet's tag, with one of the fleet's names, or unrelated to the
    /// fleet.
    ExternalCreate(ExternalDroplet),
    /// An operator deletes a droplet of the fleet in the control panel.
    DeleteOutOfBand(u64),
    /// All health checks fail (`true`) or pass (`false`) from now on.
    FailHealthChecks(bool),
    /// The number of open sessions of a droplet.
    Sessions(u64, u32),
    /// The offset of the wall clock in seconds, from now on.
    SkewClock(i64),
    /// Virtual time passes.
    Wait(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create(u32),
    Delete(u64),
    Import(u64),
    Recover(OrphanPolicy),
    MaintenanceOn,
    MaintenanceOff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalDroplet {
    Tagged,
    SameName,
    Unrelated,
}

/// Returns the history of a seed.
pub fn history(seed: u64) -> Vec<Step> {
    let mut rng = SplitMix64::from_seed(seed);
    let steps = 3 + random_below(&mut rng, 9);
    (0..steps).map(|_| step(&mut rng)).collect()
}

fn random_below(rng: &mut SplitMix64, most: u64) -> u64 {
    rng.next_u64() % most
}

fn step(rng: &mut SplitMix64) -> Step {
    match random_below(rng, 20) {
        0..10 => {
            let command = command(rng);
            let stops = (random_below(rng, 3) > 0).then(|| 1 + random_below(rng, 90));
            Step::Command(command, stops)
        }
        10..14 => Step::Faults(Box::new(faults(rng))),
        14 => Step::ExternalCreate(
            [ExternalDroplet::Tagged, ExternalDroplet::SameName, ExternalDroplet::Unrelated]
                [random_below(rng, 3) as usize],
        ),
        15 => Step::DeleteOutOfBand(random_below(rng, 5)),
        16 => Step::FailHealthChecks(random_below(rng, 2) == 0),
        17 => Step::Sessions(random_below(rng, 5), random_below(rng, 3) as u32),
        18 => Step::SkewClock([-86_400, -3_600, 0, 3_600, 86_400][random_below(rng, 5) as usize]),
        _ => Step::Wait(Duration::from_secs(random_below(rng, 900))),
    }
}

fn command(rng: &mut SplitMix64) -> Command {
    match random_below(rng, 12) {
        0..5 => Command::Create(1 + random_below(rng, 3) as u32),
        5..8 => Command::Delete(random_below(rng, 5)),
        8 => Command::Import(random_below(rng, 5)),
        9 => Command::Recover(
            [OrphanPolicy::Report, OrphanPolicy::Adopt, OrphanPolicy::Delete][random_below(rng, 3) as usize],
        ),
        10 => {
            if random_below(rng, 3) == 0 {
                Command::MaintenanceOn
            } else {
                Command::MaintenanceOff
            }
        }
        _ => Command::Recover(OrphanPolicy::Report),
    }
}

fn faults(rng: &mut SplitMix64) -> Faults {
    let mut faults = Faults::default();
    if random_below(rng, 2) == 0 {
        faults.list_lag_ms = random_below(rng, 60_000);
    }
    if random_below(rng, 4) == 0 {
        faults.not_found_after_create_ms = random_below(rng, 60_000);
    }
    let sometimes = |rng: &mut SplitMix64| match random_below(rng, 4) {
        0 => Frequency::Next(1 + random_below(rng, 3) as u32),
        1 => Frequency::Always,
        _ => Frequency::Rate(Rate::new(0.3).unwrap()),
    };
    for _ in 0..random_below(rng, 3) {
        let method = ["POST", "GET", "DELETE"][random_below(rng, 3) as usize].to_owned();
        let refusal = |code, message: Option<&str>, applied| Effect::Status {
            code,
            message: message.map(str::to_owned),
            retry_after_s: None,
            applied,
        };
        let effect = match random_below(rng, 9) {
            0 => Effect::DropResponse,
            1 => Effect::Reset,
            2 => refusal(500, None, true),
            3 => refusal(503, None, false),
            4 => refusal(429, None, false),
            5 => refusal(422, Some("Droplet already has a pending event."), false),
            6 => refusal(401, None, false),
            7 => refusal(422, None, false),
            _ => Effect::LatencyMs(random_below(rng, 20_000)),
        };
        let when = sometimes(rng);
        faults.calls.push(CallFault { method: Some(method), path: None, when, effect });
    }
    match random_below(rng, 8) {
        0 => faults.stuck_in_new = sometimes(rng),
        1 => faults.active_without_address = sometimes(rng),
        2 => faults.lost_creates = sometimes(rng),
        3 => faults.ignored_deletes = sometimes(rng),
        4 => faults.droplet_limit = Some(random_below(rng, 4) as u32),
        5 => faults.sold_out_sizes = vec!["s-1vcpu-1gb".to_owned()],
        _ => {}
    }
    faults
}

/// Executes a step.
pub async fn execute(fleet: &mut Fleet, step: &Step) {
    match step {
        Step::Command(command, stop_at) => run(fleet, command, *stop_at).await,
        Step::Faults(faults) => fleet.set_faults((**faults).clone()),
        Step::ExternalCreate(kind) => {
            let taken = fleet.snapshot().await.droplets.first().map(|droplet| droplet.name.to_string());
            match kind {
                ExternalDroplet::Tagged => fleet.create_external_droplet("somebodys", vec![tag()]).await,
                ExternalDroplet::SameName => {
                    fleet.create_external_droplet(&taken.unwrap_or_else(|| format!("{PREFIX}-0-abcdef")), vec![]).await;
                }
                ExternalDroplet::Unrelated => fleet.create_external_droplet("blog", vec![]).await,
            }
        }
        Step::DeleteOutOfBand(which) => {
            let droplets = fleet.snapshot().await.droplets;
            let ids: Vec<_> = droplets.iter().filter_map(|droplet| droplet.id).collect();
            if let Some(id) = pick(&ids, *which) {
                // The droplet may already be deleted.
                let _ = fleet.cloud.inner.with_state(|cloud, now| cloud.delete(now, id));
            }
        }
        Step::FailHealthChecks(unhealthy) => fleet.balancer.inner.set_all_unhealthy(*unhealthy),
        Step::Sessions(which, sessions) => {
            let ids: Vec<_> = fleet.balancer.inner.servers().iter().map(|server| server.id).collect();
            if let Some(id) = pick(&ids, *which) {
                fleet.balancer.inner.set_sessions(id, *sessions);
            }
        }
        Step::SkewClock(off_by) => fleet.clock_skew_s = *off_by,
        Step::Wait(time) => tokio::time::sleep(*time).await,
    }
}

fn pick<T: Copy>(among: &[T], which: u64) -> Option<T> {
    let count = u64::try_from(among.len()).unwrap();
    (count > 0).then(|| among[usize::try_from(which % count).unwrap()])
}

async fn run(fleet: &mut Fleet, command: &Command, stop_at: Option<u64>) {
    let process = fleet.process();
    let (command_of_task, elsewhere) = (command.clone(), external_droplets(fleet));
    failpoint::abort_at(stop_at);
    // A separate task, so that a crash ends it and releases its resources, as the end of a process does.
    let task = tokio::spawn(async move { run_command(&process, &command_of_task, &elsewhere).await });
    let ended = tokio::time::timeout(TIMEOUT, task).await;
    failpoint::abort_at(None);
    match ended {
        Err(_) => fleet.cloud.violations.record(format!("{command:?} did not finish within {TIMEOUT:?}")),
        Ok(Err(stopped)) if stopped.is_panic() => {
            if let Err(panic) = stopped.into_panic().downcast::<failpoint::Aborted>() {
                let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                fleet.cloud.violations.record(format!("{command:?} panicked: {words}"));
            }
        }
        // The error message itself blames doproxy.
        Ok(Ok(Err(error))) if error.contains("bug in doproxy") => fleet.cloud.violations.record(error),
        Ok(_) => {}
    }
}

/// Returns the droplets outside this fleet.
fn external_droplets(fleet: &Fleet) -> Vec<doproxy_core::domain::DropletId> {
    fleet.cloud.inner.with_state(|cloud, now| {
        let all = cloud.list(now, Selection::All).droplets;
        all.iter().filter(|droplet| !droplet.has_tag(tag().as_str())).map(|droplet| droplet.id).collect()
    })
}

/// Runs a command as the command line does: resumes pending operations, then executes the command.
pub async fn run_command(
    process: &TestController,
    command: &Command,
    elsewhere: &[doproxy_core::domain::DropletId],
) -> Result<(), String> {
    let done = async {
        match command {
            Command::Create(count) => {
                process.resume(|_| {}).await?;
                process.create(&droplet_request(*count)).await?.into_result()?;
            }
            Command::Delete(which) => {
                process.resume(|_| {}).await?;
                let names = serving_names(&process.load().await?);
                let count = u64::try_from(names.len()).unwrap_or_default();
                if count > 0 {
                    let name = names[usize::try_from(which % count).unwrap_or_default()].clone();
                    process.delete(&[name], "test").await?.into_result()?;
                }
            }
            Command::Import(which) => {
                process.resume(|_| {}).await?;
                if let Some(id) = pick(elsewhere, *which) {
                    process.import(&[id]).await?;
                }
            }
            Command::Recover(orphans) => drop(process.recover(*orphans).await?),
            Command::MaintenanceOn => {
                let maintenance = Maintenance { since: Timestamp(1), reason: "test".to_owned() };
                process.inventory().set_maintenance(Some(&maintenance)).await.expect("maintenance mode can be set");
            }
            Command::MaintenanceOff => {
                process.inventory().set_maintenance(None).await.expect("maintenance mode can be cleared")
            }
        }
        Ok::<(), doproxy_controller::ControllerError>(())
    };
    done.await.map_err(|error| error.to_string())
}
