//! Builds the observation of a simulated pool, in the form in which the controller presents a real fleet to a policy.

use std::time::Duration;

use doproxy_core::domain::{
    DropletId, DropletName, Limits, Load, MetricRequirement, Observation, ObservedDroplet, Phase, Sample, Series,
    Timestamp,
};
use doproxy_core::pipeline::SERIES;

use crate::model::fluid::{Droplet, Pool, Step};
use crate::number::{round_to_u64, to_tick};
use crate::scenario::Scenario;

/// Load balancer figures of one tick.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) sessions: u32,
    pub(super) queued: u32,
    /// Mean response time; `None` unless individual requests are simulated.
    pub(super) response_time_ms: Option<f64>,
}

/// Builds observations. It updates the previous observation in place, so that a tick costs little besides the policy
/// call.
#[derive(Debug)]
pub(super) struct SimulatedObserver {
    observation: Observation,
    /// Window length of each series, in milliseconds.
    windows: Vec<u64>,
}

impl SimulatedObserver {
    /// Creates an observer of `scenario` with the metric windows that `needs` requires.
    pub(super) fn new(scenario: &Scenario, needs: &[MetricRequirement]) -> Self {
        let interval_ms = u64::try_from(scenario.tick.as_millis()).unwrap_or(u64::MAX);
        let windows = SERIES.map(|(name, _)| {
            needs.iter().filter(|need| need.name == name).map(|need| need.window_ms).max().unwrap_or(0)
        });
        let limits = scenario.scaling_rules.as_ref().map_or(
            Limits {
                min: scenario.setup.min,
                max: scenario.setup.max,
                max_hourly_cost: None,
                max_create: u32::MAX,
                max_delete: u32::MAX,
            },
            |bounds| bounds.limits,
        );
        let metrics = SERIES.map(|(name, unit)| Series {
            name: name.to_owned(),
            unit: unit.to_owned(),
            labels: Vec::new(),
            interval_ms,
            stale: false,
            samples: Vec::new(),
        });
        Self {
            observation: Observation {
                now: scenario.start,
                tick: 0,
                fleet_name: scenario.fleet.to_string(),
                templates: vec![scenario.template.clone()],
                fleet: Vec::new(),
                metrics: metrics.into(),
                limits,
                boot_time_ms: u64::try_from(scenario.boot_time.median().as_millis()).ok(),
                last_scale_out: None,
                last_scale_in: None,
                facts: Vec::new(),
            },
            windows: windows.into(),
        }
    }

    /// Returns the latest observation.
    pub(super) fn observation(&self) -> &Observation {
        &self.observation
    }

    /// Records the times of the last scale-out and scale-in, which are part of the observation.
    pub(super) fn record_scaling(&mut self, added: bool, removed: bool) {
        let now = self.observation.now;
        self.observation.last_scale_out = if added { Some(now) } else { self.observation.last_scale_out };
        self.observation.last_scale_in = if removed { Some(now) } else { self.observation.last_scale_in };
    }

    /// Observes the state at the end of tick `now`.
    pub(super) fn observe(&mut self, scenario: &Scenario, now: u32, pool: &Pool, step: &Step, traffic: Traffic) {
        self.observation.now = scenario.end_of(now);
        self.observation.tick = now.into();
        self.observe_droplets(scenario, now, pool, step, traffic);
        let are_away = scenario.faults.are_metrics_missing(scenario.elapsed_at_end_of(now));
        let room = f64::from(step.ready) * scenario.setup.capacity;
        let values = [
            Some(step.demand),
            Some(f64::from(traffic.sessions)),
            Some(f64::from(traffic.queued)),
            Some(step.unserved / scenario.setup.tick_s),
            (room > 0.0).then(|| step.demand / room),
            traffic.response_time_ms,
        ];
        let at = self.observation.now;
        for ((series, window), value) in self.observation.metrics.iter_mut().zip(&self.windows).zip(values) {
            series.stale = are_away;
            if let (Some(value), false) = (value, are_away) {
                series.samples.push(Sample { at, value });
            }
            let too_old = series.samples.iter().take_while(|sample| at.0 - sample.at.0 >= (*window).max(1)).count();
            // The newest sample is always included, however old, and the series is marked stale.
            series.samples.drain(..too_old.min(series.samples.len().saturating_sub(1)));
        }
    }

    fn observe_droplets(&mut self, scenario: &Scenario, now: u32, pool: &Pool, step: &Step, traffic: Traffic) {
        let fleet = &mut self.observation.fleet;
        let mut index = 0;
        let each = PerDropletLoad::of(scenario, step, traffic);
        for droplet in pool.droplets() {
            let id = droplet_id(droplet.serial);
            while fleet.get(index).is_some_and(|seen| seen.id != Some(id)) {
                fleet.remove(index);
            }
            if index == fleet.len() {
                fleet.push(observed_droplet(scenario, droplet));
            }
            let is_ready = droplet.ready_at <= now;
            let seen = &mut fleet[index];
            if is_ready && seen.phase != Phase::Serving {
                seen.phase = Phase::Serving;
                seen.phase_since = tick_start(scenario, droplet.ready_at);
                seen.healthy = true;
            }
            seen.load = is_ready.then_some(each.0);
            index += 1;
        }
        fleet.truncate(index);
    }
}

/// Returns the ID by which policies refer to a droplet.
fn droplet_id(serial: u32) -> DropletId {
    DropletId(u64::from(serial) + 1)
}

/// Returns the start time of tick `now`.
fn tick_start(scenario: &Scenario, now: u32) -> Timestamp {
    scenario.start.plus(scenario.tick.saturating_mul(now))
}

fn observed_droplet(scenario: &Scenario, droplet: &Droplet) -> ObservedDroplet {
    let created_at = tick_start(scenario, droplet.billed_from);
    let minimum_s = scenario.price_model.minimum_s;
    ObservedDroplet {
        id: Some(droplet_id(droplet.serial)),
        name: DropletName::parse(format!("sim-{}", droplet.serial)).expect("a word and a number form a valid name"),
        phase: Phase::Booting,
        phase_since: created_at,
        created_at,
        template: 0,
        paid_until: (minimum_s > 0.0).then(|| created_at.plus(Duration::from_secs_f64(minimum_s))),
        healthy: false,
        protected: false,
        load: None,
    }
}

/// The load of each serving droplet; all droplets are identical.
struct PerDropletLoad(Load);

impl PerDropletLoad {
    fn of(scenario: &Scenario, step: &Step, traffic: Traffic) -> Self {
        let ready = step.ready.max(1);
        let served = step.demand - step.unserved / scenario.setup.tick_s;
        let share =
            |count: u32| to_tick(usize::try_from(round_to_u64(f64::from(count) / f64::from(ready))).unwrap_or(0));
        Self(Load {
            sessions: share(traffic.sessions),
            max_sessions: Some(scenario.slots),
            queued: share(traffic.queued),
            requests_per_second: served / f64::from(ready),
            response_time_ms: traffic.response_time_ms,
            errors_per_second: 0.0,
        })
    }
}
