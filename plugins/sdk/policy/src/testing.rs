//! Observations to test policies with.

use crate::{Decision, Droplet, Limits, Observation, Phase, Policy, Sample, Series};

/// A healthy droplet without load that is in a phase since a time.
pub fn droplet(phase: Phase, since: u64) -> Droplet {
    Droplet { id: None, phase, phase_since: since, paid_until: None, healthy: true, load: None }
}

/// An observation in the making.
#[derive(Debug, Clone)]
pub struct ObservationBuilder(Observation);

impl ObservationBuilder {
    /// An empty fleet of 1 to 100 droplets at a time, in milliseconds, with no series.
    pub fn at(now: u64) -> Self {
        Self(Observation {
            now,
            fleet: Vec::new(),
            metrics: Vec::new(),
            limits: Limits { min: 1, max: 100 },
            boot_time_ms: None,
        })
    }

    /// So many droplets that have served for ever.
    #[must_use]
    pub fn serving(mut self, count: u32) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Serving, 0)));
        self
    }

    /// So many droplets that boot.
    #[must_use]
    pub fn booting(mut self, count: u32) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Booting, 0)));
        self
    }

    /// So many droplets that began to serve at a time.
    #[must_use]
    pub fn serving_since(mut self, count: u32, since: u64) -> Self {
        self.0.fleet.extend((0..count).map(|_| droplet(Phase::Serving, since)));
        self
    }

    /// So many droplets, numbered on from those there are, that serve and are paid for until a time.
    #[must_use]
    pub fn paid_until(mut self, count: u32, until: u64) -> Self {
        for _ in 0..count {
            let id = self.0.fleet.len() as u64 + 1;
            self.0.fleet.push(Droplet { id: Some(id), paid_until: Some(until), ..droplet(Phase::Serving, 0) });
        }
        self
    }

    /// A series of a sample a minute, oldest first, the newest of now.
    #[must_use]
    pub fn series(self, name: &str, values: &[f64]) -> Self {
        self.series_every(60_000, name, values)
    }

    /// A series of a sample every so many milliseconds, oldest first, the newest of now.
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

    /// All series are stale.
    #[must_use]
    pub fn stale(mut self) -> Self {
        self.0.metrics.iter_mut().for_each(|series| series.stale = true);
        self
    }

    /// The bounds of the fleet.
    #[must_use]
    pub fn limits(mut self, min: u32, max: u32) -> Self {
        self.0.limits = Limits { min, max };
        self
    }

    /// How long droplets took to boot lately, in milliseconds.
    #[must_use]
    pub fn boot_time(mut self, ms: u64) -> Self {
        self.0.boot_time_ms = Some(ms);
        self
    }

    /// What came of it.
    pub fn build(self) -> Observation {
        self.0
    }
}

/// Decides by a configuration as text, which must be valid.
///
/// # Panics
///
/// Where it is not.
pub fn decide<P: Policy>(config: &str, scene: ObservationBuilder, state: &[u8]) -> Decision {
    let config = P::parse(config).unwrap_or_else(|problems| panic!("{config}: {problems:?}"));
    P::decide(&config, &scene.build(), state)
}

/// The problems of a configuration as text, as `PATH: MESSAGE`.
pub fn problems<P: Policy>(config: &str) -> Vec<String> {
    let problems = P::parse(config).map(drop).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}
