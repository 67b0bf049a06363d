//! The state: all that is remembered, as bytes.

use crate::backtest::{Backtest, Band};
use crate::bytes::{Reader, Writer};
use crate::config::Config;
use crate::forecast::{Forecaster, KINDS};

/// The form of the state; another one is forgotten.
const VERSION: usize = 2;

/// All that is remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// When the step that is under way began, in milliseconds since the Unix epoch.
    pub began: u64,
    /// How long it is to be, in milliseconds; none before the first.
    pub step_ms: Option<u64>,
    /// How many steps are over.
    pub steps: u64,
    /// The highest demand of the step that is under way, in droplets' worth of work.
    pub highest: f64,
    /// The demand of the last step.
    pub before: f64,
    /// Which sizes were right after the last step.
    pub band: Option<Band>,
    /// Ways to forecast, in the order of [`KINDS`].
    pub forecasters: Vec<Forecaster>,
    /// What they would have led to.
    pub backtest: Backtest,
}

impl Memory {
    /// What was remembered; a beginning at `began` with a fleet of `size` where nothing was, or for another capacity or
    /// season.
    pub fn read(state: &[u8], config: &Config, began: u64, size: u32) -> Self {
        parse(state, config).unwrap_or_else(|| Self {
            began,
            step_ms: None,
            steps: 0,
            highest: 0.0,
            before: -1.0,
            band: None,
            forecasters: KINDS.iter().map(|kind| Forecaster::new(*kind, config.season)).collect(),
            backtest: Backtest::new(size),
        })
    }

    /// The state to hand back.
    pub fn write(&self, config: &Config) -> Vec<u8> {
        let mut to = Writer::new();
        to.few(VERSION);
        for number in kept_for(config) {
            to.whole(number);
        }
        to.whole(self.began);
        to.whole(self.step_ms.unwrap_or_default());
        to.whole(self.steps);
        to.real(self.highest);
        to.real(self.before);
        to.few(usize::from(self.band.is_some()));
        let Band { least, most } = self.band.unwrap_or_default();
        to.whole(least.into());
        to.whole(most.into());
        self.forecasters.iter().for_each(|forecaster| forecaster.write(&mut to));
        self.backtest.write(&mut to);
        to.finish()
    }
}

/// What a state is good for: all demand in it is in droplets' worth of work.
fn kept_for(config: &Config) -> [u64; 2] {
    [config.capacity_per_droplet.to_bits(), config.season.length_ms]
}

fn parse(state: &[u8], config: &Config) -> Option<Memory> {
    let mut from = Reader::new(state);
    if from.few()? != VERSION {
        return None;
    }
    for number in kept_for(config) {
        if from.whole()? != number {
            return None;
        }
    }
    let (began, step_ms, steps) = (from.whole()?, from.whole()?, from.whole()?);
    let (highest, before) = (from.real()?, from.real()?);
    let has_band = from.few()? == 1;
    let band = Band { least: u32::try_from(from.whole()?).ok()?, most: u32::try_from(from.whole()?).ok()? };
    let forecasters =
        KINDS.iter().map(|kind| Forecaster::read(&mut from, *kind, config.season)).collect::<Option<Vec<_>>>()?;
    let backtest = Backtest::read(&mut from)?;
    let step_ms = Some(step_ms).filter(|step_ms| *step_ms > 0);
    let band = Some(band).filter(|_| has_band);
    from.is_empty().then_some(Memory { began, step_ms, steps, highest, before, band, forecasters, backtest })
}
