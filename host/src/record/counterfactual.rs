//! The values at which the answer would have been another: by asking the components again and again with one number
//! changed, first in ever larger steps, then by bisection. Every question is a real call, and their number is bounded.

use std::sync::Arc;

use serde::Serialize;

use super::{Components, RecordError};
use crate::controller::policy_slot::select;
use crate::model::{AnswerSource, Evaluation, Observation, Sample, TickRecord};
use crate::plugin::Policy;

/// Steps away from what was seen, each twice as large as the one before: from a twentieth to more than a thousandfold.
const MAX_STEPS: u32 = 16;

/// Halvings of the last step: it is then known to a part in ten thousand.
const BISECTION_STEPS: u32 = 14;

/// Most series that are looked at.
const MAX_SERIES: usize = 40;

/// What of a series is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturbation {
    /// Its newest value.
    Newest,
    /// All values of its window, by one factor; `value` and `at` are of the newest.
    Window,
}

/// Where the answer turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TippingPoint {
    /// The value nearest to what was seen that was found to turn it.
    pub at: f64,
    /// The size that it would have led to.
    pub size: u32,
}

/// What would have turned the answer, by one series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The series.
    pub series: String,
    /// What tells it apart from others of its name.
    pub labels: Vec<(String, String)>,
    /// Its unit.
    pub unit: String,
    /// Its newest value.
    pub value: f64,
    /// What of it is changed.
    pub perturbation: Perturbation,
    /// The size that the answer led to.
    pub size: u32,
    /// From there on upwards.
    pub above: Option<TippingPoint>,
    /// From there on downwards.
    pub below: Option<TippingPoint>,
}

/// Looks for what would have turned the answer, series by series. Those that turn nothing are left out.
pub async fn counterfactuals(
    record: &TickRecord,
    components: &Components,
) -> Result<Vec<Counterfactual>, Arc<RecordError>> {
    let mut policies = Vec::with_capacity(record.evaluations.len());
    for answer in &record.evaluations {
        policies.push(match answer.answered_by {
            AnswerSource::Hold => None,
            AnswerSource::Primary | AnswerSource::LastGood => {
                Some(components.policy(&answer.digest, &answer.reference).await?)
            }
        });
    }
    let mut question = CounterfactualQuery {
        policies,
        evaluations: record.evaluations.clone(),
        observation: record.observation.clone(),
    };
    let mut found = Vec::new();
    let Some(size) = question.size().await else { return Ok(found) };
    for index in 0..record.observation.metrics.len().min(MAX_SERIES) {
        let windowed = record.observation.metrics.get(index).is_some_and(|series| series.samples.len() > 1);
        let kinds = if windowed { &[Perturbation::Newest, Perturbation::Window][..] } else { &[Perturbation::Newest] };
        for changed in kinds {
            let turned = question.tipping_points(record, index, *changed, size).await;
            if let Some(turned) = turned.filter(|turned| turned.above.is_some() || turned.below.is_some()) {
                found.push(turned);
                break;
            }
        }
    }
    Ok(found)
}

/// The tick, to be asked about with other numbers.
struct CounterfactualQuery {
    policies: Vec<Option<Arc<Policy>>>,
    evaluations: Vec<Evaluation>,
    observation: Observation,
}

impl CounterfactualQuery {
    /// The size that the answers lead to. `None` where no policy is active, or one that answered fails now: then the
    /// answer would not have been its own.
    async fn size(&mut self) -> Option<u32> {
        for (policy, answer) in self.policies.iter().zip(&mut self.evaluations) {
            let Some(policy) = policy else { continue };
            answer.decision = policy.decide(&answer.config, &self.observation, &answer.state).await.ok()?.value;
        }
        let index = select(&self.observation, &self.evaluations)?;
        Some(self.evaluations.get(index)?.decision.outcome.size(self.observation.size()))
    }

    async fn tipping_points(
        &mut self,
        record: &TickRecord,
        index: usize,
        changed: Perturbation,
        size: u32,
    ) -> Option<Counterfactual> {
        let series = record.observation.metrics.get(index)?;
        let value = series.samples.last()?.value;
        // What is 0 stays 0 by any factor, and what is no number has no others beside it.
        if !value.is_finite() || changed == Perturbation::Window && value == 0.0 {
            return None;
        }
        let mut probe = Probe { query: self, index, original: &series.samples, perturbation: changed, value };
        let above = probe.find_tipping_point(size, 1.0).await;
        let below = probe.find_tipping_point(size, -1.0).await;
        probe.restore();
        Some(Counterfactual {
            series: series.name.clone(),
            labels: series.labels.clone(),
            unit: series.unit.clone(),
            value,
            perturbation: changed,
            size,
            above,
            below,
        })
    }
}

/// One number that is turned.
struct Probe<'a> {
    query: &'a mut CounterfactualQuery,
    index: usize,
    original: &'a [Sample],
    perturbation: Perturbation,
    value: f64,
}

impl Probe<'_> {
    fn restore(&mut self) {
        if let Some(series) = self.query.observation.metrics.get_mut(self.index) {
            series.samples.clear();
            series.samples.extend_from_slice(self.original);
        }
    }

    async fn size_at(&mut self, value: f64) -> Option<u32> {
        self.restore();
        let samples = &mut self.query.observation.metrics.get_mut(self.index)?.samples;
        match self.perturbation {
            Perturbation::Newest => samples.last_mut()?.value = value,
            Perturbation::Window => samples.iter_mut().for_each(|sample| sample.value *= value / self.value),
        }
        self.query.size().await
    }

    /// The nearest value in a direction that leads to another size.
    async fn find_tipping_point(&mut self, size: u32, direction: f64) -> Option<TippingPoint> {
        let unit = if self.value == 0.0 { 1.0 } else { self.value.abs() };
        let mut near = self.value;
        let mut step = unit / 20.0;
        for _ in 0..MAX_STEPS {
            let mut far = self.value + direction * step;
            // What is measured is not negative, unless it was.
            let at_zero = self.value >= 0.0 && far <= 0.0;
            if at_zero {
                far = 0.0;
            }
            #[expect(clippy::float_cmp, reason = "a step that is lost in rounding leads nowhere")]
            if far == near {
                return None;
            }
            match self.size_at(far).await {
                Some(other) if other != size => return Some(self.bisect(size, near, far, other).await),
                _ if at_zero => return None,
                _ => near = far,
            }
            step *= 2.0;
        }
        None
    }

    /// Between one value that leads to `size` and one that leads to another.
    async fn bisect(&mut self, size: u32, mut near: f64, mut far: f64, mut other: u32) -> TippingPoint {
        for _ in 0..BISECTION_STEPS {
            let middle = f64::midpoint(near, far);
            match self.size_at(middle).await {
                Some(found) if found != size => (far, other) = (middle, found),
                _ => near = middle,
            }
        }
        TippingPoint { at: far, size: other }
    }
}
