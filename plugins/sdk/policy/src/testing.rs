//! Observations for policy tests.

use crate::{Decision, Droplet, Limits, Observation, Phase, Policy, Sample, Series};

/// Creates a healthy droplet without load, in a phase since a time.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::{ObservationBuilder, droplet};
/// use doproxy_policy_sdk::{Droplet, Phase};
///
/// let mut observation = ObservationBuilder::at(0).build();
/// observation.fleet.push(Droplet { healthy: false, ..droplet(Phase::Serving, 0) });
///
/// assert_eq!(observation.capacity(0).ready, 0);
/// ```
pub fn droplet(phase: Phase, since: u64) -> Droplet {
    Droplet { id: None, phase, phase_since: since, paid_until: None, healthy: true, load: None }
}

/// A builder of observations.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::ObservationBuilder;
///
/// let observation = ObservationBuilder::at(600_000)
///     .serving(2)
///     .booting(1)
///     .limits(1, 10)
///     .series("haproxy.sessions", &[40.0, 44.0])
///     .build();
///
/// assert_eq!(observation.size(), 3);
/// assert_eq!(observation.metrics[0].samples[0].at, 540_000);
/// ```
#[derive(Debug, Clone)]
pub struct ObservationBuilder(Observation);

impl ObservationBuilder {
    /// Starts with an empty fleet with limits 1 to 100 at a time in milliseconds, without series.
    pub fn at(now: u64) -> Self {
        Self(Observation {
            now,
            fleet: Vec::new(),
            metrics: Vec::new(),
            limits: Limits { min: 1, max: 100 },
            boot_time_ms: None,
        })
    }

    /// Adds droplets that have always been serving.
    #[must_use]
    pub fn serving(mut self, count: u32) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Serving, 0)));
        self
    }

    /// Adds booting droplets.
    #[must_use]
    pub fn booting(mut self, count: u32) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Booting, 0)));
        self
    }

    /// Adds droplets that started to serve at a time.
    #[must_use]
    pub fn serving_since(mut self, count: u32, since: u64) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Serving, since)));
        self
    }

    /// Adds serving droplets that are paid for until a time, with IDs that continue the existing ones.
    #[must_use]
    pub fn paid_until(mut self, count: u32, until: u64) -> Self {
        for _ in 0..count {
            let id = self.0.fleet.len() as u64 + 1;
            self.0.fleet.push(Droplet { id: Some(id), paid_until: Some(until), ..droplet(Phase::Serving, 0) });
        }
        self
    }

    /// Adds a series with one sample per minute, oldest first, the newest at the current time.
    #[must_use]
    pub fn series(self, name: &str, values: &[f64]) -> Self {
        self.series_every(60_000, name, values)
    }

    /// Adds a series with one sample per interval, oldest first, the newest at the current time.
    #[must_use]
    pub fn series_every(mut self, interval_ms: u64, name: &str, values: &[f64]) -> Self {
        let now = self.0.now;
        let at = |index: usize| {
            let back = u64::try_from(values.len() - 1 - index).unwrap_or(u64::MAX);
            now.saturating_sub(back.saturating_mul(interval_ms))
        };
        let samples = values.iter().enumerate().map(|(index, value)| Sample { at: at(index), value: *value }).collect();
        self.0.metrics.push(Series { name: name.to_owned(), interval_ms, stale: false, samples });
        self
    }

    /// Marks all series as stale.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.0.metrics.iter_mut().for_each(|series| series.stale = true);
        self
    }

    /// Sets the limits of the fleet.
    #[must_use]
    pub fn limits(mut self, min: u32, max: u32) -> Self {
        self.0.limits = Limits { min, max };
        self
    }

    /// Sets the recent boot time, in milliseconds.
    #[must_use]
    pub fn boot_time(mut self, ms: u64) -> Self {
        self.0.boot_time_ms = Some(ms);
        self
    }

    /// Returns the observation.
    pub fn build(self) -> Observation {
        self.0
    }
}

/// Decides with a configuration as text.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
/// use doproxy_policy_sdk::{Decision, Problem, export_policy, parse_json};
///
/// #[derive(serde::Deserialize)]
/// pub struct Config {
///     note: String,
/// }
///
/// impl Config {
///     pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
///         parse_json(json)
///     }
/// }
///
/// export_policy! {
///     /// Always holds.
///     pub struct Hold;
///     config: Config,
///     schema: r#"{"properties": {"note": {"type": "string"}}, "required": ["note"]}"#,
///     decide: |config, _, state| Decision::hold(config.note.as_str(), state),
/// }
///
/// let decision = decide::<Hold>(r#"{"note": "maintenance"}"#, ObservationBuilder::at(0).serving(3), b"");
/// assert_eq!(decision.reason, "maintenance");
/// ```
///
/// # Panics
///
/// Panics if the configuration is invalid.
pub fn decide<P: Policy>(config: &str, scene: ObservationBuilder, state: &[u8]) -> Decision {
    let config = P::parse(config).unwrap_or_else(|problems| panic!("{config}: {problems:?}"));
    P::decide(&config, &scene.build(), state)
}

/// Returns the problems of a configuration as text, formatted as `PATH: MESSAGE`.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::{problems};
/// use doproxy_policy_sdk::{Decision, Problem, export_policy, parse_json};
///
/// #[derive(serde::Deserialize)]
/// pub struct Config {
///     note: String,
/// }
///
/// impl Config {
///     pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
///         parse_json(json)
///     }
/// }
///
/// export_policy! {
///     /// Always holds.
///     pub struct Hold;
///     config: Config,
///     schema: r#"{"properties": {"note": {"type": "string"}}, "required": ["note"]}"#,
///     decide: |config, _, state| Decision::hold(config.note.as_str(), state),
/// }
///
/// assert!(problems::<Hold>("{}")[0].contains("missing field `note`"));
/// ```
pub fn problems<P: Policy>(config: &str) -> Vec<String> {
    let problems = P::parse(config).map(drop).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}
