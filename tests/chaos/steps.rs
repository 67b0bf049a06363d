//! A history: what is asked of the fleet, what goes wrong meanwhile, and where a process is stopped.

use std::time::Duration;

use doproxy::controller::recover::Strangers;
use doproxy::crash;
use doproxy::inventory::{Freeze, Inventory};
use doproxy::model::Timestamp;
use doproxy::simulation::cloud::{CallFault, Chance, Effect, Faults, Frequency, Rate, Selection};

use crate::fleet::{Fleet, PREFIX, ThisController, serves, some, tag};

/// The longest that a command may take: every wait has a deadline, and several may follow each other.
const PATIENCE: Duration = Duration::from_hours(6);

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A process does this, and is stopped at a point, if it gets there.
    Command(Command, Option<u64>),
    /// From now on this goes wrong, and nothing else.
    Faults(Box<Faults>),
    /// Another program makes a droplet: one that bears the fleet's tag, has a name of ours, or is nobody's business.
    Elsewhere(Elsewhere),
    /// Somebody deletes a droplet of the fleet in the control panel.
    DeleteByHand(u64),
    /// Health checks fail from now on, or pass.
    Sick(bool),
    /// A droplet has open sessions.
    Sessions(u64, u32),
    /// The wall clock is wrong by so many seconds from now on.
    Clock(i64),
    /// Time passes.
    Pass(Duration),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create(u32),
    Delete(u64),
    Import(u64),
    Recover(Strangers),
    Freeze,
    Unfreeze,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elsewhere {
    Tagged,
    Namesake,
    Foreign,
}

/// The history of a seed.
pub fn history(seed: u64) -> Vec<Step> {
    let mut chance = Chance::from_seed(seed);
    let steps = 3 + below(&mut chance, 9);
    (0..steps).map(|_| step(&mut chance)).collect()
}

fn below(chance: &mut Chance, most: u64) -> u64 {
    chance.next_u64() % most
}

fn step(chance: &mut Chance) -> Step {
    match below(chance, 20) {
        0..10 => {
            let command = command(chance);
            let stops = (below(chance, 3) > 0).then(|| 1 + below(chance, 90));
            Step::Command(command, stops)
        }
        10..14 => Step::Faults(Box::new(faults(chance))),
        14 => Step::Elsewhere([Elsewhere::Tagged, Elsewhere::Namesake, Elsewhere::Foreign][below(chance, 3) as usize]),
        15 => Step::DeleteByHand(below(chance, 5)),
        16 => Step::Sick(below(chance, 2) == 0),
        17 => Step::Sessions(below(chance, 5), below(chance, 3) as u32),
        18 => Step::Clock([-86_400, -3_600, 0, 3_600, 86_400][below(chance, 5) as usize]),
        _ => Step::Pass(Duration::from_secs(below(chance, 900))),
    }
}

fn command(chance: &mut Chance) -> Command {
    match below(chance, 12) {
        0..5 => Command::Create(1 + below(chance, 3) as u32),
        5..8 => Command::Delete(below(chance, 5)),
        8 => Command::Import(below(chance, 5)),
        9 => Command::Recover([Strangers::Report, Strangers::Adopt, Strangers::Delete][below(chance, 3) as usize]),
        10 => {
            if below(chance, 3) == 0 {
                Command::Freeze
            } else {
                Command::Unfreeze
            }
        }
        _ => Command::Recover(Strangers::Report),
    }
}

fn faults(chance: &mut Chance) -> Faults {
    let mut faults = Faults::default();
    if below(chance, 2) == 0 {
        faults.list_lag_ms = below(chance, 60_000);
    }
    if below(chance, 4) == 0 {
        faults.not_found_after_create_ms = below(chance, 60_000);
    }
    let sometimes = |chance: &mut Chance| match below(chance, 4) {
        0 => Frequency::Next(1 + below(chance, 3) as u32),
        1 => Frequency::Always,
        _ => Frequency::Rate(Rate::new(0.3).unwrap()),
    };
    for _ in 0..below(chance, 3) {
        let method = ["POST", "GET", "DELETE"][below(chance, 3) as usize].to_owned();
        let refusal = |code, message: Option<&str>, acted| Effect::Status {
            code,
            message: message.map(str::to_owned),
            retry_after_s: None,
            acted,
        };
        let effect = match below(chance, 9) {
            0 => Effect::DropResponse,
            1 => Effect::Reset,
            2 => refusal(500, None, true),
            3 => refusal(503, None, false),
            4 => refusal(429, None, false),
            5 => refusal(422, Some("Droplet already has a pending event."), false),
            6 => refusal(401, None, false),
            7 => refusal(422, None, false),
            _ => Effect::LatencyMs(below(chance, 20_000)),
        };
        let when = sometimes(chance);
        faults.calls.push(CallFault { method: Some(method), path: None, when, effect });
    }
    match below(chance, 8) {
        0 => faults.stuck_in_new = sometimes(chance),
        1 => faults.active_without_address = sometimes(chance),
        2 => faults.lost_creates = sometimes(chance),
        3 => faults.ignored_deletes = sometimes(chance),
        4 => faults.droplet_limit = Some(below(chance, 4) as u32),
        5 => faults.sold_out_sizes = vec!["s-1vcpu-1gb".to_owned()],
        _ => {}
    }
    faults
}

/// Carries a step out.
pub async fn take(fleet: &mut Fleet, step: &Step) {
    match step {
        Step::Command(command, stop_at) => run(fleet, command, *stop_at).await,
        Step::Faults(faults) => fleet.set_faults((**faults).clone()),
        Step::Elsewhere(kind) => {
            let taken = fleet.snapshot().await.droplets.first().map(|droplet| droplet.name.to_string());
            match kind {
                Elsewhere::Tagged => fleet.make_elsewhere("somebodys", vec![tag()]).await,
                Elsewhere::Namesake => {
                    fleet.make_elsewhere(&taken.unwrap_or_else(|| format!("{PREFIX}-0-abcdef")), vec![]).await;
                }
                Elsewhere::Foreign => fleet.make_elsewhere("blog", vec![]).await,
            }
        }
        Step::DeleteByHand(which) => {
            let droplets = fleet.snapshot().await.droplets;
            let ids: Vec<_> = droplets.iter().filter_map(|droplet| droplet.id).collect();
            if let Some(id) = pick(&ids, *which) {
                // It may be gone already.
                let _ = fleet.cloud.inner.with_world(|world, now| world.delete(now, id));
            }
        }
        Step::Sick(sick) => fleet.balancer.inner.set_all_sick(*sick),
        Step::Sessions(which, sessions) => {
            let ids: Vec<_> = fleet.balancer.inner.servers().iter().map(|server| server.id).collect();
            if let Some(id) = pick(&ids, *which) {
                fleet.balancer.inner.set_sessions(id, *sessions);
            }
        }
        Step::Clock(off_by) => fleet.clock_off_by = *off_by,
        Step::Pass(time) => tokio::time::sleep(*time).await,
    }
}

fn pick<T: Copy>(among: &[T], which: u64) -> Option<T> {
    let count = u64::try_from(among.len()).unwrap();
    (count > 0).then(|| among[usize::try_from(which % count).unwrap()])
}

async fn run(fleet: &mut Fleet, command: &Command, stop_at: Option<u64>) {
    let process = fleet.process();
    let (command_of_task, elsewhere) = (command.clone(), elsewhere(fleet));
    crash::stop_at(stop_at);
    // A task of its own, so that a stop ends it, and whatever it holds, as the end of a process does.
    let task = tokio::spawn(async move { obey(&process, &command_of_task, &elsewhere).await });
    let ended = tokio::time::timeout(PATIENCE, task).await;
    crash::stop_at(None);
    match ended {
        Err(_) => fleet.cloud.violations.note(format!("{command:?} did not end within {PATIENCE:?}")),
        Ok(Err(stopped)) if stopped.is_panic() => {
            if let Err(panic) = stopped.into_panic().downcast::<crash::Stopped>() {
                let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                fleet.cloud.violations.note(format!("{command:?} panicked: {words}"));
            }
        }
        // It says itself where doproxy is to blame.
        Ok(Ok(Err(error))) if error.contains("a fault in doproxy") => fleet.cloud.violations.note(error),
        Ok(_) => {}
    }
}

/// Droplets that are not of this fleet.
fn elsewhere(fleet: &Fleet) -> Vec<doproxy::model::DropletId> {
    fleet.cloud.inner.with_world(|world, now| {
        let all = world.list(now, Selection::All).droplets;
        all.iter().filter(|droplet| !droplet.has_tag(tag().as_str())).map(|droplet| droplet.id).collect()
    })
}

/// Does what the command line does: carry on what was left, and then what was asked for.
pub async fn obey(
    process: &ThisController,
    command: &Command,
    elsewhere: &[doproxy::model::DropletId],
) -> Result<(), String> {
    let done = async {
        match command {
            Command::Create(count) => {
                process.carry_on(|_| {}).await?;
                process.create(&some(*count)).await?.into_result()?;
            }
            Command::Delete(which) => {
                process.carry_on(|_| {}).await?;
                let names = serves(&process.load().await?);
                let count = u64::try_from(names.len()).unwrap_or_default();
                if count > 0 {
                    let name = names[usize::try_from(which % count).unwrap_or_default()].clone();
                    process.delete(&[name], "test").await?.into_result()?;
                }
            }
            Command::Import(which) => {
                process.carry_on(|_| {}).await?;
                if let Some(id) = pick(elsewhere, *which) {
                    process.import(&[id]).await?;
                }
            }
            Command::Recover(strangers) => drop(process.recover(*strangers).await?),
            Command::Freeze => {
                let freeze = Freeze { since: Timestamp(1), reason: "test".to_owned() };
                process.inventory().set_freeze(Some(&freeze)).await.expect("a freeze can be written");
            }
            Command::Unfreeze => process.inventory().set_freeze(None).await.expect("a freeze can be lifted"),
        }
        Ok::<(), doproxy::controller::ControllerError>(())
    };
    done.await.map_err(|error| error.to_string())
}
