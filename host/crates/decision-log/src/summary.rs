//! Summarizes ticks, and determines which of them are significant enough to list.

use doproxy_core::domain::{AnswerSource, Mode, TickRecord};
use serde::Serialize;

/// The summary of a tick, as shown in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordSummary {
    /// The previous size.
    pub from: u32,
    /// The size that the plan leads to.
    pub to: u32,
    /// The size that the decision would have led to.
    pub recommended: u32,
    /// The policy whose evaluation was selected.
    pub policy: Option<String>,
    /// The reason of its decision.
    pub reason: String,
    /// The guard rules that changed something.
    pub restrictions: Vec<String>,
    /// Active policies that failed, and the source of their evaluation.
    pub failing: Vec<(String, AnswerSource)>,
    /// Number of creates and deletes in the plan.
    pub changes: usize,
    /// The error that kept operations from starting.
    pub error: Option<String>,
}

impl RecordSummary {
    /// Summarizes a tick.
    pub fn new(record: &TickRecord) -> Self {
        let selected = record.selected.and_then(|index| record.evaluations.get(index as usize));
        let active = record.evaluations.iter().filter(|evaluation| evaluation.mode == Mode::Active);
        let mut restrictions: Vec<String> = Vec::new();
        for restriction in &record.plan.restrictions {
            if !restrictions.contains(&restriction.rule) {
                restrictions.push(restriction.rule.clone());
            }
        }
        let size = record.observation.size();
        Self {
            from: record.plan.from,
            to: record.plan.to,
            recommended: selected.map_or(size, |evaluation| evaluation.decision.outcome.size(size)),
            policy: selected.map(|evaluation| evaluation.policy.clone()),
            reason: selected
                .map_or_else(|| "no policy is active".to_owned(), |evaluation| evaluation.decision.reason.clone()),
            restrictions,
            failing: active
                .filter(|evaluation| evaluation.failure.is_some())
                .map(|evaluation| (evaluation.policy.clone(), evaluation.answered_by))
                .collect(),
            changes: record.plan.creates.len() + record.plan.deletes.len(),
            error: record.outcome.error.clone(),
        }
    }

    /// Reports whether the tick changes something, or differs from the previous one.
    pub fn is_significant(&self, before: Option<&Self>) -> bool {
        let quiet = self.recommended == self.from && self.restrictions.is_empty() && self.failing.is_empty();
        let news = match before {
            None => !quiet,
            Some(before) => {
                (self.recommended, &self.restrictions, &self.failing, &self.policy)
                    != (before.recommended, &before.restrictions, &before.failing, &before.policy)
            }
        };
        self.changes > 0 || self.error.is_some() || news
    }
}
