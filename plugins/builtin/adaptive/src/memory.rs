//! The policy state and its binary form.

use crate::backtest::{Backtest, Band};
use crate::bytes::{Reader, Writer};
use crate::config::Config;
use crate::forecast::{Forecaster, METHODS};

/// Version of the state format; a state in another format is discarded.
const VERSION: usize = 2;

/// The policy state.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyState {
    /// Start of the current step, in milliseconds since the Unix epoch.
    pub step_started_at: u64,
    /// Planned length of the step, in milliseconds; `None` before the first.
    pub step_ms: Option<u64>,
    /// Number of completed steps.
    pub steps: u64,
    /// The highest demand in the current step, in droplets' worth of work.
    pub peak_demand: f64,
    /// Demand of the previous step.
    pub previous_demand: f64,
    /// The target range after the previous step.
    pub band: Option<Band>,
    /// The forecasters, in the order of [`METHODS`].
    pub forecasters: Vec<Forecaster>,
    /// The backtest of all methods.
    pub backtest: Backtest,
}

impl PolicyState {
    /// Reads the state; returns a new one that starts at `began` with a fleet of `size` if there is none or if it
    /// belongs to another capacity or season.
    pub fn read(state: &[u8], config: &Config, began: u64, size: u32) -> Self {
        parse(state, config).unwrap_or_else(|| Self {
            step_started_at: began,
            step_ms: None,
            steps: 0,
            peak_demand: 0.0,
            previous_demand: -1.0,
            band: None,
            forecasters: METHODS.iter().map(|kind| Forecaster::new(*kind, config.seasonality)).collect(),
            backtest: Backtest::new(size),
        })
    }

    /// Encodes the state.
    pub fn write(&self, config: &Config) -> Vec<u8> {
        let mut to = Writer::new();
        to.write_u8(VERSION);
        for number in fingerprint(config) {
            to.write_u64(number);
        }
        to.write_u64(self.step_started_at);
        to.write_u64(self.step_ms.unwrap_or_default());
        to.write_u64(self.steps);
        to.write_f32(self.peak_demand);
        to.write_f32(self.previous_demand);
        to.write_u8(usize::from(self.band.is_some()));
        let Band { min: least, max: most } = self.band.unwrap_or_default();
        to.write_u64(least.into());
        to.write_u64(most.into());
        self.forecasters.iter().for_each(|forecaster| forecaster.write(&mut to));
        self.backtest.write(&mut to);
        to.finish()
    }
}

/// Returns the settings for which a state is valid: all demand in it is in droplets' worth of work.
fn fingerprint(config: &Config) -> [u64; 2] {
    [config.capacity_per_droplet.to_bits(), config.seasonality.length_ms]
}

fn parse(state: &[u8], config: &Config) -> Option<PolicyState> {
    let mut from = Reader::new(state);
    if from.read_u8()? != VERSION {
        return None;
    }
    for number in fingerprint(config) {
        if from.read_u64()? != number {
            return None;
        }
    }
    let (began, step_ms, steps) = (from.read_u64()?, from.read_u64()?, from.read_u64()?);
    let (highest, before) = (from.read_f32()?, from.read_f32()?);
    let has_band = from.read_u8()? == 1;
    let band = Band { min: u32::try_from(from.read_u64()?).ok()?, max: u32::try_from(from.read_u64()?).ok()? };
    let forecasters = METHODS
        .iter()
        .map(|kind| Forecaster::read(&mut from, *kind, config.seasonality))
        .collect::<Option<Vec<_>>>()?;
    let backtest = Backtest::read(&mut from)?;
    let step_ms = Some(step_ms).filter(|step_ms| *step_ms > 0);
    let band = Some(band).filter(|_| has_band);
    from.is_empty().then_some(PolicyState {
        step_started_at: began,
        step_ms,
        steps,
        peak_demand: highest,
        previous_demand: before,
        band,
        forecasters,
        backtest,
    })
}
