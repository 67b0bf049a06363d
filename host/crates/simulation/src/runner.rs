//! Runs a policy through a scenario: each tick it receives the observation that the controller would build, and the
//! guard has the final decision.
//!
//! The policy is the same component that runs in production, called in the same way. Observation, decision and guard
//! are the controller's own types and functions; only their environment is simulated.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doproxy_core::domain::{
    CreateHistory, Decision, DropletId, DropletName, GuardFacts, Money, Observation, Outcome, Timestamp,
};
use doproxy_core::pipeline::{Evaluated, ScalingHistory, evaluate};
use doproxy_plugin_host::{ConfiguredPolicy, Policy};

use crate::model::fluid::{CostMeter, Droplet, Pool, Run, Step};
use crate::model::requests::{Latency, Requests};
use crate::number::to_tick;
use crate::observation::{SimulatedObserver, Traffic};
use crate::scenario::{Model, Scenario};

/// The result of simulating a policy.
#[derive(Debug, Clone, Default)]
pub struct RunResult {
    /// Steps and billing data of the run.
    pub run: Run,
    /// Size changes that were carried out.
    pub changes: Vec<SizeChange>,
    /// Number of times each guard rule restricted a plan.
    pub restrictions: BTreeMap<String, u64>,
    /// Number of policy failures, with the time and reason of the first.
    pub failures: Option<Failures>,
    /// Request latencies, if individual requests were simulated.
    pub latency: Option<Latency>,
}

/// A size change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeChange {
    /// Tick at whose end the size changed.
    pub tick: u32,
    /// Size before the change.
    pub from: u32,
    /// Size after the change.
    pub to: u32,
    /// The policy's reason.
    pub reason: String,
}

/// Failures of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// Number of failures.
    pub count: u64,
    /// Time of the first failure.
    pub first_at: Timestamp,
    /// Reason for the first failure.
    pub first_error: String,
}

/// Progress of all runs, and a flag to stop them.
#[derive(Debug, Default)]
pub struct Progress {
    /// Ticks completed, summed over all runs.
    pub ticks: AtomicU64,
    /// Stop request; the result then covers the ticks completed so far.
    pub stop: AtomicBool,
}

/// Number of ticks between updates of [`Progress`].
const PROGRESS_INTERVAL_TICKS: u32 = 64;

/// Simulates `policy` in `scenario`.
pub async fn simulate(scenario: &Scenario, policy: &ConfiguredPolicy, progress: &Progress) -> RunResult {
    simulate_with_config(scenario, &policy.policy, &policy.config, progress).await
}

/// Simulates `policy` in `scenario` with the configuration `config` (JSON text) in place of its own.
pub async fn simulate_with_config(
    scenario: &Scenario,
    policy: &Policy,
    config: &str,
    progress: &Progress,
) -> RunResult {
    let mut result = RunResult::default();
    let mut fleet = SimulatedFleet::new(scenario);
    let mut observer = SimulatedObserver::new(scenario, &policy.manifest().metrics);
    let mut host = GuardState::default();
    let mut state = Vec::new();
    for now in 0..scenario.tick_count() {
        if now % PROGRESS_INTERVAL_TICKS == 0 {
            progress.ticks.fetch_add(PROGRESS_INTERVAL_TICKS.into(), Ordering::Relaxed);
            if progress.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let (step, traffic) = fleet.serve(now);
        result.run.steps.push(step);
        observer.observe(scenario, now, &fleet.pool, &step, traffic);
        let observation = observer.observation();
        let decision = match policy.decide(config, observation, &state).await {
            Ok(called) => called.value,
            Err(error) => {
                let (first, why) = (observation.now, error.to_string());
                result.failures.get_or_insert(Failures { count: 0, first_at: first, first_error: why }).count += 1;
                Decision::hold_after_failure(&policy.reference().to_string(), &state)
            }
        };
        let action =
            host.plan_action(scenario, now, observation, &decision, fleet.pool.cost_meter(), &mut result.restrictions);
        state = decision.state;
        let change = fleet.apply(now, &action);
        if change != (0, 0) {
            let from = observation.size();
            let to = fleet.pool.size();
            result.changes.push(SizeChange { tick: now, from, to, reason: decision.reason });
            observer.record_scaling(change.0 > 0, change.1 > 0);
            host.record_creates(scenario.end_of(now), change.0);
        }
    }
    result.latency = fleet.requests.as_ref().map(Requests::latency);
    result.run.cost_meter = fleet.pool.cost_meter().clone();
    result
}

/// The action at the end of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ScalingAction {
    create: u32,
    /// Serial numbers of the droplets to delete.
    delete: Vec<u32>,
}

/// The simulated fleet: the pool and its requests.
struct SimulatedFleet<'a> {
    scenario: &'a Scenario,
    pool: Pool,
    requests: Option<Requests>,
    backlog: f64,
}

impl<'a> SimulatedFleet<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let requests = match scenario.model {
            Model::Fluid => None,
            Model::Requests(service) => Some(Requests::new(service, scenario.slots, scenario.seed)),
        };
        Self { scenario, pool: Pool::new(scenario.setup.initial_size(&scenario.demand)), requests, backlog: 0.0 }
    }

    fn serve(&mut self, now: u32) -> (Step, Traffic) {
        let demand = self.scenario.demand.get(now as usize).copied().unwrap_or_default();
        if let Some(requests) = &mut self.requests {
            let step = requests.serve(now, demand, &mut self.pool, &self.scenario.setup);
            let traffic = Traffic {
                sessions: requests.sessions(),
                queued: requests.queued(),
                response_time_ms: requests.response_time_ms(),
            };
            return (step, traffic);
        }
        let step = self.pool.serve(now, demand, self.backlog, &self.scenario.setup);
        self.backlog = step.backlog;
        // By Little's law; all slots are in use if demand exceeds capacity.
        let slots = f64::from(step.ready) * f64::from(self.scenario.slots);
        let busy = (demand / self.scenario.setup.capacity * f64::from(self.scenario.slots)).min(slots);
        let whole = |count: f64| u32::try_from(crate::number::round_to_u64(count)).unwrap_or(u32::MAX);
        (step, Traffic { sessions: whole(busy), queued: whole(step.backlog), response_time_ms: None })
    }

    /// Applies `order`. Returns the number of droplets created and deleted.
    fn apply(&mut self, now: u32, order: &ScalingAction) -> (u32, u32) {
        let at = self.scenario.elapsed_at_end_of(now);
        let faults = &self.scenario.faults;
        if faults.is_api_down(at) {
            return (0, 0);
        }
        let create = if faults.is_sold_out(at) { 0 } else { order.create };
        for _ in 0..create {
            let droplet = self.scenario.new_droplet(self.pool.next_serial(), now);
            self.pool.add(1, droplet.billed_from, droplet.ready_at);
        }
        let mut deleted = 0;
        for serial in &order.delete {
            deleted += u32::from(self.pool.remove(*serial, now));
        }
        // A droplet that never becomes ready is abandoned after the startup timeout, as in the controller.
        let deadline = self.scenario.ticks(STARTUP_TIMEOUT);
        let lost = |droplet: &&Droplet| {
            droplet.ready_at == u32::MAX && now + 1 >= droplet.billed_from.saturating_add(deadline)
        };
        let lost: Vec<u32> = self.pool.droplets().iter().filter(lost).map(|droplet| droplet.serial).collect();
        for serial in lost {
            self.pool.remove(serial, now);
        }
        if create > 0 || deleted > 0 {
            self.pool.count_adaptation();
        }
        (create, deleted)
    }
}

/// Startup timeout of a droplet; the controller's default.
const STARTUP_TIMEOUT: Duration = Duration::from_mins(10);

/// The guard and the state that it carries between ticks.
#[derive(Debug, Default)]
struct GuardState {
    history: ScalingHistory,
    started: bool,
    creates: VecDeque<(Timestamp, u32)>,
}

impl GuardState {
    fn plan_action(
        &mut self,
        scenario: &Scenario,
        now: u32,
        observation: &Observation,
        decision: &Decision,
        cost_meter: &CostMeter,
        restrictions: &mut BTreeMap<String, u64>,
    ) -> ScalingAction {
        let Some(bounds) = &scenario.scaling_rules else { return unguarded_action(scenario, observation, decision) };
        if !self.started {
            self.history.start(observation.now, observation.size());
            self.started = true;
        }
        self.history.record_health(observation);
        let facts = GuardFacts {
            creates: CreateHistory { started: self.creates_in_last_hour(observation.now), ..CreateHistory::default() },
            spent_this_month: month_to_date_cost(scenario, cost_meter),
            api_unreachable: scenario
                .faults
                .is_api_down(scenario.elapsed_at_end_of(now))
                .then(|| "simulated outage".to_owned()),
            ..self.history.guard_facts(observation.now)
        };
        let Evaluated { plan, recommended_size, .. } = evaluate(observation, [Some(decision)], &bounds.rules, &facts);
        self.history.record_recommendation(observation.now, recommended_size, bounds.rules.stabilization_window);
        self.history.record_replacements(observation.now, plan.deletes.iter().filter(|delete| delete.replaced).count());
        for restriction in &plan.restrictions {
            if let Some(count) = restrictions.get_mut(&restriction.rule) {
                *count += 1;
            } else {
                restrictions.insert(restriction.rule.clone(), 1);
            }
        }
        let named = |name: &DropletName| {
            observation.fleet.iter().find(|droplet| droplet.name == *name).and_then(|droplet| droplet.id)
        };
        ScalingAction {
            create: plan.create_count(),
            delete: plan.deletes.iter().filter_map(|delete| named(&delete.droplet)).map(droplet_serial).collect(),
        }
    }

    fn record_creates(&mut self, at: Timestamp, count: u32) {
        if count > 0 {
            self.creates.push_back((at, count));
        }
    }

    fn creates_in_last_hour(&mut self, now: Timestamp) -> u32 {
        while self.creates.front().is_some_and(|(at, _)| now.since(*at) >= Duration::from_hours(1)) {
            self.creates.pop_front();
        }
        self.creates.iter().map(|(_, count)| count).sum()
    }
}

/// Returns the cost of the run so far. A run counts as one billing month.
fn month_to_date_cost(scenario: &Scenario, cost_meter: &CostMeter) -> Money {
    let billed = cost_meter.billed_ticks(scenario.price_model.minimum_ticks(scenario.setup.tick_s));
    let hours = crate::number::to_f64(billed) * scenario.setup.tick_s / 3600.0;
    Money::from_dollars(hours * scenario.price_model.hourly)
}

fn droplet_serial(id: DropletId) -> u32 {
    u32::try_from(id.0.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// Applies a decision within the minimum and maximum size, without any other guard rule.
fn unguarded_action(scenario: &Scenario, observation: &Observation, decision: &Decision) -> ScalingAction {
    let size = observation.size();
    let wanted = decision.outcome.size(size).clamp(scenario.setup.min, scenario.setup.max);
    let mut order = ScalingAction::default();
    let mut named = Vec::new();
    match &decision.outcome {
        Outcome::Hold => {}
        Outcome::ScaleTo(to) => {
            order.create = wanted.saturating_sub(size);
            named.clone_from(&to.delete_first);
        }
        Outcome::Change(change) => {
            // When the size bounds restrict a change, creates are reduced first, then deletes.
            let deleted = to_tick(change.delete.len()).min(size);
            order.create = wanted.saturating_sub(size - deleted);
            named.clone_from(&change.delete);
        }
    }
    let after = size + order.create;
    let leaving = after.saturating_sub(wanted) as usize;
    let there = |id: &DropletId| observation.fleet.iter().any(|droplet| droplet.id == Some(*id));
    order.delete = named.into_iter().filter(there).take(leaving).map(droplet_serial).collect();
    for droplet in removal_order(observation) {
        if order.delete.len() >= leaving {
            break;
        }
        if !order.delete.contains(&droplet) {
            order.delete.push(droplet);
        }
    }
    order
}

/// Returns the removal order for droplets that the policy does not name: booting droplets, youngest first, then serving
/// ones, oldest first.
fn removal_order(observation: &Observation) -> impl Iterator<Item = u32> + '_ {
    let booting = observation.fleet.iter().rev().filter(|droplet| droplet.phase.is_starting());
    let ready = observation.fleet.iter().filter(|droplet| !droplet.phase.is_starting());
    booting.chain(ready).filter_map(|droplet| droplet.id).map(droplet_serial)
}
