//! The values at which the answer would have been another: by asking the components again and again with one number
//! changed, first in ever larger steps, then by bisection. Every question is a real call, and their number is bounded.

use std::sync::Arc;

use serde::Serialize;

use super::{Components, RecordError};
use crate::controller::decide::chosen;
use crate::model::{Answer, Observation, Rung, Sample, TickRecord};
use crate::plugin::Policy;

/// Steps away from what was seen, each twice as large as the one before: from a twentieth to more than a thousandfold.
const STEPS: u32 = 16;

/// Halvings of the last step: it is then known to a part in ten thousand.
const HALVINGS: u32 = 14;

/// Most series that are looked at.
const MOST_SERIES: usize = 40;

/// What of a series is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// Its newest value.
    Newest,
    /// All values of its window, by one factor; `value` and `at` are of the newest.
    Window,
}

/// Where the answer turns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Turn {
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
    pub changed: Changed,
    /// The size that the answer led to.
    pub size: u32,
    /// From there on upwards.
    pub above: Option<Turn>,
    /// From there on downwards.
    pub below: Option<Turn>,
}

/// Looks for what would have turned the answer, series by series. Those that turn nothing are left out.
pub async fn counterfactuals(
    record: &TickRecord,
    components: &Components,
) -> Result<Vec<Counterfactual>, Arc<RecordError>> {
    let mut policies = Vec::with_capacity(record.answers.len());
    for answer in &record.answers {
        policies.push(match answer.rung {
            Rung::Hold => None,
            Rung::Own | Rung::LastGood => Some(components.policy(&answer.digest, &answer.reference).await?),
        });
    }
    let mut question = Question { policies, answers: record.answers.clone(), observation: record.observation.clone() };
    let mut found = Vec::new();
    let Some(size) = question.size().await else { return Ok(found) };
    for index in 0..record.observation.metrics.len().min(MOST_SERIES) {
        let windowed = record.observation.metrics.get(index).is_some_and(|series| series.samples.len() > 1);
        let kinds = if windowed { &[Changed::Newest, Changed::Window][..] } else { &[Changed::Newest] };
        for changed in kinds {
            let turned = question.turns(record, index, *changed, size).await;
            if let Some(turned) = turned.filter(|turned| turned.above.is_some() || turned.below.is_some()) {
                found.push(turned);
                break;
            }
        }
    }
    Ok(found)
}

/// The tick, to be asked about with other numbers.
struct Question {
    policies: Vec<Option<Arc<Policy>>>,
    answers: Vec<Answer>,
    observation: Observation,
}

impl Question {
    /// The size that the answers lead to. `None` where no policy is active, or one that answered fails now: then the
    /// answer would not have been its own.
    async fn size(&mut self) -> Option<u32> {
        for (policy, answer) in self.policies.iter().zip(&mut self.answers) {
            let Some(policy) = policy else { continue };
            answer.decision = policy.decide(&answer.config, &self.observation, &answer.state).await.ok()?.value;
        }
        let index = chosen(&self.observation, &self.answers)?;
        Some(self.answers.get(index)?.decision.outcome.size(self.observation.size()))
    }

    async fn turns(
        &mut self,
        record: &TickRecord,
        index: usize,
        changed: Changed,
        size: u32,
    ) -> Option<Counterfactual> {
        let series = record.observation.metrics.get(index)?;
        let value = series.samples.last()?.value;
        // What is 0 stays 0 by any factor, and what is no number has no others beside it.
        if !value.is_finite() || changed == Changed::Window && value == 0.0 {
            return None;
        }
        let mut probe = Probe { question: self, index, seen: &series.samples, changed, value };
        let above = probe.turn(size, 1.0).await;
        let below = probe.turn(size, -1.0).await;
        probe.put_back();
        Some(Counterfactual {
            series: series.name.clone(),
            labels: series.labels.clone(),
            unit: series.unit.clone(),
            value,
            changed,
            size,
            above,
            below,
        })
    }
}

/// One number that is turned.
struct Probe<'a> {
    question: &'a mut Question,
    index: usize,
    seen: &'a [Sample],
    changed: Changed,
    value: f64,
}

impl Probe<'_> {
    fn put_back(&mut self) {
        if let Some(series) = self.question.observation.metrics.get_mut(self.index) {
            series.samples.clear();
            series.samples.extend_from_slice(self.seen);
        }
    }

    async fn size_at(&mut self, value: f64) -> Option<u32> {
        self.put_back();
        let samples = &mut self.question.observation.metrics.get_mut(self.index)?.samples;
        match self.changed {
            Changed::Newest => samples.last_mut()?.value = value,
            Changed::Window => samples.iter_mut().for_each(|sample| sample.value *= value / self.value),
        }
        self.question.size().await
    }

    /// The nearest value in a direction that leads to another size.
    async fn turn(&mut self, size: u32, direction: f64) -> Option<Turn> {
        let unit = if self.value == 0.0 { 1.0 } else { self.value.abs() };
        let mut near = self.value;
        let mut step = unit / 20.0;
        for _ in 0..STEPS {
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
    async fn bisect(&mut self, size: u32, mut near: f64, mut far: f64, mut other: u32) -> Turn {
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(near, far);
            match self.size_at(middle).await {
                Some(found) if found != size => (far, other) = (middle, found),
                _ => near = middle,
            }
        }
        Turn { at: far, size: other }
    }
}
