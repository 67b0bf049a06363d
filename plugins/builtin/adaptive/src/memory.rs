//! The state: all that is remembered, as bytes.

use crate::backtest::{Backtest, Band};
use crate::bytes::{Reader, Writer};
use crate::config::Config;
use crate::forecast::{Forecaster, METHODS};

/// The form of the state; another one is forgotten.
const VERSION: usize = 2;

/// All that is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyState {
    /// When the step that is under way began, in milliseconds since the Unix epoch.
    pub step_started_at: u64,
    /// How long it is to be, in milliseconds; none before the first.
    pub step_ms: Option<u64>,
    /// How many steps are over.
    pub steps: u64,
    /// The highest demand of the step that is under way, in droplets' worth of work.
    pub peak_demand: f64,
    /// The demand of the last step.
    pub previous_demand: f64,
    /// Which sizes were right after the last step.
    pub band: Option<Band>,
    /// Ways to forecast, in the order of [`KINDS`].
    pub forecasters: Vec<Forecaster>,
    /// What they would have led to.
    pub backtest: Backtest,
}

impl PolicyState {
    /// What was remembered; a beginning at `began` with a fleet of `size` where nothing was, or for another capacity or
    /// season.
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

    /// The state to hand back.
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

/// What a state is good for: all demand in it is in droplets' worth of work.
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
