//! Properties that a policy must have for any observation.

use std::path::Path;
use std::time::Duration;

use doproxy_core::domain::{Decision, DropletId, Observation, ObservedDroplet, Outcome, Phase, Sample};
use doproxy_plugin_host::{CallOutput, PluginError, Policy};
use serde::{Deserialize, Serialize};

use crate::test::expectation::{Actual, CallErrorKind};
use crate::test::generator::is_average;
use crate::test::observation_builder::ObservationFixture;
use crate::test::runner::capture_failure;

/// A property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display, strum::VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Property {
    /// The policy returns a decision or an error defined by the contract: it does not trap, exceed a limit, return an
    /// invalid result, or delete a droplet that does not exist.
    Answers,
    /// The same tick leads to the same decision and uses the same fuel.
    SameTwice,
    /// Under constant load, the fleet does not grow, shrink and grow again.
    Steady,
    /// Without fresh metrics, the policy does not shrink a fleet that it would not shrink under load.
    CalmWhenBlind,
    /// Doubling the load never leads to a smaller fleet. Only a warning, because a metric may measure free capacity.
    Monotone,
    /// The target size is within the fleet's limits. Only a warning, because the host enforces the limits.
    WithinBounds,
}

/// The result of checking a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyOutcome {
    /// The property holds.
    Holds,
    /// The property is violated, with a description.
    Violated(String),
}

impl Property {
    /// Reports whether a violation is only a warning, because policies may have valid reasons for it.
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::Monotone | Self::WithinBounds)
    }

    /// Checks the property for `policy` with this observation and the state returned by the previous tick.
    pub async fn check(
        self,
        policy: &Policy,
        config: &str,
        fixture: &ObservationFixture,
        state: &[u8],
    ) -> Result<PropertyOutcome, PluginError> {
        let observation = match fixture.observation(Path::new(".")) {
            Ok(observation) => observation,
            Err(error) => return Ok(PropertyOutcome::Violated(format!("invalid observation: {error}"))),
        };
        let asked = PolicyUnderTest { policy, config };
        Ok(match self {
            Self::Answers => asked.answers(&observation, state).await?,
            Self::SameTwice => asked.same_twice(&observation, state).await?,
            Self::Steady => asked.steady(observation).await?,
            Self::CalmWhenBlind => asked.calm_when_blind(&observation).await?,
            Self::Monotone => asked.monotone(&observation).await?,
            Self::WithinBounds => asked.within_bounds(&observation, state).await?,
        })
    }
}

/// Number of ticks with constant load.
const STEADY_TICKS: u32 = 30;

/// Time between these ticks.
const STEADY_INTERVAL: Duration = Duration::from_mins(1);

struct PolicyUnderTest<'a> {
    policy: &'a Policy,
    config: &'a str,
}

impl PolicyUnderTest<'_> {
    /// Returns the result of one call: a decision, or `None` for an error defined by the contract; `Err` for a contract
    /// violation.
    async fn decide(
        &self,
        observation: &Observation,
        state: &[u8],
    ) -> Result<Result<Option<CallOutput<Decision>>, String>, PluginError> {
        Ok(match capture_failure(self.policy.decide(self.config, observation, state).await)? {
            Ok(called) => Ok(Some(called)),
            Err(Actual::Failed { error: CallErrorKind::MissingMetric | CallErrorKind::Failed, .. }) => Ok(None),
            Err(actual) => Err(actual.reason().to_owned()),
        })
    }

    /// Returns the target size; the current size if the policy cannot determine one.
    async fn target_size(&self, observation: &Observation) -> Result<u32, PluginError> {
        let size = observation.size();
        Ok(match self.decide(observation, b"").await? {
            Ok(Some(called)) => called.value.outcome.size(size),
            Ok(None) | Err(_) => size,
        })
    }

    async fn answers(&self, observation: &Observation, state: &[u8]) -> Result<PropertyOutcome, PluginError> {
        Ok(match self.decide(observation, state).await? {
            Err(message) => PropertyOutcome::Violated(message),
            Ok(None) => PropertyOutcome::Holds,
            Ok(Some(called)) => match unknown_deletion(&called.value.outcome, observation) {
                Some(id) => {
                    PropertyOutcome::Violated(format!("the decision deletes droplet {id}, which is not in the fleet"))
                }
                None => PropertyOutcome::Holds,
            },
        })
    }

    async fn same_twice(&self, observation: &Observation, state: &[u8]) -> Result<PropertyOutcome, PluginError> {
        let (Ok(Some(first)), Ok(Some(again))) =
            (self.decide(observation, state).await?, self.decide(observation, state).await?)
        else {
            return Ok(PropertyOutcome::Holds);
        };
        Ok(if first.value != again.value {
            PropertyOutcome::Violated(format!("first {:?}, then {:?}", first.value.reason, again.value.reason))
        } else if first.usage.fuel != again.usage.fuel {
            PropertyOutcome::Violated(format!("first {} fuel, then {}", first.usage.fuel, again.usage.fuel))
        } else {
            PropertyOutcome::Holds
        })
    }

    async fn within_bounds(&self, observation: &Observation, state: &[u8]) -> Result<PropertyOutcome, PluginError> {
        let Ok(Some(called)) = self.decide(observation, state).await? else { return Ok(PropertyOutcome::Holds) };
        let limits = observation.limits;
        let size = called.value.outcome.size(observation.size());
        let is_within = (limits.min..=limits.max).contains(&size);
        Ok(if is_within || called.value.outcome == Outcome::Hold {
            PropertyOutcome::Holds
        } else {
            PropertyOutcome::Violated(format!(
                "the target size is {size}, but the limits are {} to {}",
                limits.min, limits.max
            ))
        })
    }

    async fn monotone(&self, observation: &Observation) -> Result<PropertyOutcome, PluginError> {
        // Extremely large values cannot be doubled.
        let once = with_values(observation, |value| value.abs().min(1e15));
        let twice = with_values(observation, |value| value.abs().min(1e15) * 2.0);
        let (less, more) = (self.target_size(&once).await?, self.target_size(&twice).await?);
        Ok(if more >= less {
            PropertyOutcome::Holds
        } else {
            PropertyOutcome::Violated(format!("the target size is {less} droplets, but {more} for twice the load"))
        })
    }

    async fn calm_when_blind(&self, observation: &Observation) -> Result<PropertyOutcome, PluginError> {
        let kept = observation.size().min(observation.limits.max);
        let mut stale = observation.clone();
        stale.metrics.iter_mut().for_each(|series| series.stale = true);
        let mut empty = observation.clone();
        empty.metrics.iter_mut().for_each(|series| series.samples.clear());
        let mut none = observation.clone();
        none.metrics.clear();
        for (blind, how) in
            [(stale, "all series are stale"), (empty, "no series has a sample"), (none, "there is no series")]
        {
            let wanted = match self.decide(&blind, b"").await? {
                Err(message) => return Ok(PropertyOutcome::Violated(format!("while {how}: {message}"))),
                Ok(None) => continue,
                Ok(Some(called)) => called.value.outcome.size(blind.size()),
            };
            if wanted >= kept {
                continue;
            }
            // A policy that reads no metrics, such as a schedule, has the same target under any load.
            let loaded = with_values(observation, |value| value.abs().mul_add(1000.0, 1_000_000.0));
            if self.target_size(&loaded).await? > wanted {
                return Ok(PropertyOutcome::Violated(format!(
                    "the target size is {wanted} droplets instead of {kept} while {how}"
                )));
            }
        }
        Ok(PropertyOutcome::Holds)
    }

    async fn steady(&self, mut observation: Observation) -> Result<PropertyOutcome, PluginError> {
        let begin = observation.size().max(1);
        let totals: Vec<f64> = observation.metrics.iter().map(|series| latest_value(series.samples.last())).collect();
        let mut state = Vec::new();
        let mut sizes = vec![observation.size()];
        for _ in 0..STEADY_TICKS {
            let called = match self.decide(&observation, &state).await? {
                Ok(Some(called)) => called.value,
                Ok(None) => return Ok(PropertyOutcome::Holds),
                Err(message) => return Ok(PropertyOutcome::Violated(message)),
            };
            state = called.state;
            apply_outcome(&mut observation, &called.outcome);
            sizes.push(observation.size());
            advance(&mut observation, &totals, begin);
        }
        Ok(if reversals(&sizes) < 2 {
            PropertyOutcome::Holds
        } else {
            let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
            PropertyOutcome::Violated(format!("under constant load, the fleet size was {}", sizes.join(" ")))
        })
    }
}

/// Returns the first droplet in a deletion that does not exist.
fn unknown_deletion(outcome: &Outcome, observation: &Observation) -> Option<DropletId> {
    let ids: &[DropletId] = match outcome {
        Outcome::Hold => &[],
        Outcome::ScaleTo(to) => &to.delete_first,
        Outcome::Change(change) => &change.delete,
    };
    ids.iter().copied().find(|id| observation.fleet.iter().all(|droplet| droplet.id != Some(*id)))
}

/// Returns the observation with other metric values, all of them fresh.
fn with_values(observation: &Observation, value: impl Fn(f64) -> f64) -> Observation {
    let mut changed = observation.clone();
    for series in &mut changed.metrics {
        series.stale = false;
        series.samples.iter_mut().for_each(|sample| sample.value = value(sample.value));
    }
    changed
}

/// Returns the latest value, to be kept constant.
fn latest_value(sample: Option<&Sample>) -> f64 {
    sample.map(|sample| sample.value.abs()).filter(|value| value.is_finite()).unwrap_or_default()
}

/// Applies a decision immediately, within the limits.
fn apply_outcome(observation: &mut Observation, outcome: &Outcome) {
    let limits = observation.limits;
    let wanted = outcome.size(observation.size()).clamp(limits.min, limits.max.max(limits.min));
    let deleted: &[DropletId] = match outcome {
        Outcome::Hold => &[],
        Outcome::ScaleTo(to) => &to.delete_first,
        Outcome::Change(change) => &change.delete,
    };
    while observation.size() > wanted {
        let named = observation.fleet.iter().position(|droplet| droplet.id.is_some_and(|id| deleted.contains(&id)));
        let Some(place) = named.or_else(|| observation.fleet.len().checked_sub(1)) else { return };
        observation.fleet.remove(place);
    }
    let mut id = observation.fleet.iter().filter_map(|droplet| droplet.id).map(|id| id.0).max().unwrap_or(0);
    while observation.size() < wanted {
        id += 1;
        let Some(droplet) = new_droplet(observation, id) else { return };
        observation.fleet.push(droplet);
    }
}

fn new_droplet(observation: &Observation, id: u64) -> Option<ObservedDroplet> {
    Some(ObservedDroplet {
        id: Some(DropletId(id)),
        name: doproxy_core::domain::DropletName::parse(format!("web-{id}")).ok()?,
        phase: Phase::Serving,
        phase_since: observation.now,
        created_at: observation.now,
        template: 0,
        paid_until: None,
        healthy: true,
        protected: false,
        load: Some(doproxy_core::domain::Load::default()),
    })
}

/// Advances by one tick under the same load: totals stay constant, and averages are distributed over the current
/// droplets.
fn advance(observation: &mut Observation, totals: &[f64], begin: u32) {
    let size = observation.size().max(1);
    observation.now = observation.now.plus(STEADY_INTERVAL);
    observation.tick = observation.tick.saturating_add(1);
    for (series, total) in observation.metrics.iter_mut().zip(totals) {
        let value = if is_average(&series.name) { total * f64::from(begin) / f64::from(size) } else { *total };
        series.samples.push(Sample { at: observation.now, value });
        if series.samples.len() > 60 {
            series.samples.remove(0);
        }
    }
}

/// Returns the number of changes between growing and shrinking.
fn reversals(sizes: &[u32]) -> usize {
    let steps: Vec<bool> = sizes.windows(2).filter(|pair| pair[0] != pair[1]).map(|pair| pair[1] > pair[0]).collect();
    steps.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

#[cfg(test)]
mod tests;
