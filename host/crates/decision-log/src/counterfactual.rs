//! Finds tipping points: the metric values at which the decision would have been different. Evaluates the components
//! repeatedly with one number changed, first in growing steps, then by bisection. Every evaluation is a real call, and
//! their number is bounded.

use std::sync::Arc;

use doproxy_core::domain::{AnswerSource, Evaluation, Observation, Sample, TickRecord};
use doproxy_core::pipeline::select;
use doproxy_plugin_host::Policy;
use serde::Serialize;

use crate::components::Components;
use crate::error::RecordError;

/// Number of steps away from the observed value, each twice as large as the previous one: from a twentieth to more than
/// a thousandfold.
const MAX_STEPS: u32 = 16;

/// Number of bisections of the last step, which determine the value to one part in ten thousand.
const BISECTION_STEPS: u32 = 14;

/// Maximum number of series that are examined.
const MAX_SERIES: usize = 40;

/// The part of a series that is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturbation {
    /// The newest value.
    Newest,
    /// All values of the window, by one factor; `value` and `at` refer to the newest.
    Window,
}

/// A value at which the decision changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TippingPoint {
    /// The closest value to the observed one that was found to change the decision.
    pub at: f64,
    /// The size that the decision would have led to.
    pub size: u32,
}

/// The tipping points of one series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Counterfactual {
    /// The series.
    pub series: String,
    /// The labels that distinguish it from others of the same name.
    pub labels: Vec<(String, String)>,
    /// The unit.
    pub unit: String,
    /// The newest value.
    pub value: f64,
    /// The part of the series that is changed.
    pub perturbation: Perturbation,
    /// The size that the decision led to.
    pub size: u32,
    /// The nearest tipping point above the observed value.
    pub above: Option<TippingPoint>,
    /// The nearest tipping point below the observed value.
    pub below: Option<TippingPoint>,
}

/// Searches for tipping points, series by series. Series without one are omitted.
pub async fn counterfactuals(
    record: &TickRecord,
    components: &Components,
) -> Result<Vec<Counterfactual>, Arc<RecordError>> {
    let mut policies = Vec::with_capacity(record.evaluations.len());
    for evaluation in &record.evaluations {
        policies.push(match evaluation.answered_by {
            AnswerSource::Hold => None,
            AnswerSource::Primary | AnswerSource::LastGood => {
                Some(components.policy(&evaluation.digest, &evaluation.reference).await?)
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

/// A tick that is evaluated with changed numbers.
struct CounterfactualQuery {
    policies: Vec<Option<Arc<Policy>>>,
    evaluations: Vec<Evaluation>,
    observation: Observation,
}

impl CounterfactualQuery {
    /// Returns the size that the evaluations lead to. `None` if no policy is active, or if one that succeeded fails
    /// now: a fallback would then have been used instead.
    async fn size(&mut self) -> Option<u32> {
        for (policy, evaluation) in self.policies.iter().zip(&mut self.evaluations) {
            let Some(policy) = policy else { continue };
            evaluation.decision =
                policy.decide(&evaluation.config, &self.observation, &evaluation.state).await.ok()?.value;
        }
        let (_, decision) = select(&self.observation, self.evaluations.iter().map(Evaluation::active_decision))?;
        Some(decision.outcome.size(self.observation.size()))
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
        // No factor changes 0, and a value that is not finite has no neighbors.
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

/// The variation of one number.
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

    /// Returns the nearest value in a direction that leads to another size.
    async fn find_tipping_point(&mut self, size: u32, direction: f64) -> Option<TippingPoint> {
        let unit = if self.value == 0.0 { 1.0 } else { self.value.abs() };
        let mut near = self.value;
        let mut step = unit / 20.0;
        for _ in 0..MAX_STEPS {
            let mut far = self.value + direction * step;
            // Measured values are not negative, unless the observed one is.
            let at_zero = self.value >= 0.0 && far <= 0.0;
            if at_zero {
                far = 0.0;
            }
            #[expect(clippy::float_cmp, reason = "a step lost to rounding makes no progress")]
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

    /// Bisects between a value that leads to `size` and one that leads to another size.
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
