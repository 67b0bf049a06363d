//! A record in sentences: what was seen, what each policy answered and by what numbers, what the guard cut, what was
//! done, and what would have had to be different.

use std::sync::Arc;

use serde::Serialize;

use super::counterfactual::{Changed, Counterfactual, Turn, counterfactuals};
use super::loosened::{Loosened, loosened};
use super::replay::wish;
use super::{Components, RecordError, Recorded};
use crate::model::{Answer, Mode, Observation, Outcome, Phase, RecordId, Rung, Series, TickRecord, Trigger};

/// A record with what would have been different.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Which record.
    pub id: RecordId,
    /// What was seen.
    pub seen: Vec<String>,
    /// What each policy answered.
    pub answers: Vec<String>,
    /// Why the answer was taken that was.
    pub chosen: String,
    /// What the guard cut.
    pub guard: Vec<Loosened>,
    /// What was planned, and what came of it.
    pub done: Vec<String>,
    /// What would have turned the answer.
    pub counterfactuals: Vec<Counterfactual>,
    /// Why these could not be found, where that is so.
    pub without_counterfactuals: Option<String>,
    #[serde(skip)]
    head: String,
}

/// Explains a record. The components are asked some hundred times; where one cannot be had, only that part is missing.
pub async fn explain(recorded: &Recorded, components: &Components) -> Explanation {
    let found = counterfactuals(&recorded.record, components).await;
    explained(recorded, found)
}

fn explained(recorded: &Recorded, found: Result<Vec<Counterfactual>, Arc<RecordError>>) -> Explanation {
    let record = &recorded.record;
    let (counterfactuals, without_counterfactuals) = match found {
        Ok(found) => (found, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Explanation {
        id: recorded.id,
        seen: seen(&record.observation),
        answers: record.answers.iter().flat_map(|answer| answered(answer, record.observation.size())).collect(),
        chosen: taken(record),
        guard: loosened(record),
        done: done(record),
        counterfactuals,
        without_counterfactuals,
        head: format!("Record {} of {}, made {}.", recorded.id, record.at, why(record.trigger)),
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut section = |title: &str, lines: &[String]| {
            if lines.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{title}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
        };
        let guard: Vec<String> = self.guard.iter().flat_map(cut).collect();
        let mut turns: Vec<String> = self.counterfactuals.iter().map(turned).collect();
        turns.extend(self.without_counterfactuals.iter().map(|why| format!("It cannot be said: {why}.")));
        if turns.is_empty() {
            turns.push("No value of any series alone would have led to another size.".to_owned());
        }
        section(&self.head, &self.seen)?;
        section("What the policies answered:", &self.answers)?;
        section("What was taken:", std::slice::from_ref(&self.chosen))?;
        section("What the guard cut:", &guard)?;
        section("What was done:", &self.done)?;
        section("What would have been different:", &turns)
    }
}

fn why(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Interval => "since it was time",
        Trigger::NextCheck => "since a policy had asked to be asked again",
        Trigger::Reload => "since policies or configuration had changed",
        Trigger::Manual => "since somebody asked for it",
    }
}

/// Numbers as people read them: up to four decimals, fewer for large ones.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        large if large >= 1000.0 => 0,
        medium if medium >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `1 droplet`, `2 droplets`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn seen(seen: &Observation) -> Vec<String> {
    let of = |phase: Phase| seen.fleet.iter().filter(move |droplet| droplet.phase == phase);
    let phases = [Phase::Requested, Phase::Booting, Phase::Warming, Phase::Serving, Phase::Draining, Phase::Deleting];
    let fleet: Vec<String> = phases
        .into_iter()
        .filter(|phase| of(*phase).next().is_some())
        .map(|phase| format!("{} {phase}", of(phase).count()))
        .collect();
    let sick = of(Phase::Serving).filter(|droplet| !droplet.healthy).count();
    let mut fleet = match fleet.as_slice() {
        [] => "The fleet was empty".to_owned(),
        _ => format!("The fleet had {}: {}", count(seen.fleet.len(), "droplet"), fleet.join(", ")),
    };
    if sick > 0 {
        fleet += &format!(", {sick} of them unhealthy");
    }
    let limits = &seen.limits;
    let mut lines = vec![format!("{fleet}; its bounds were {} to {}.", limits.min, limits.max)];
    lines.extend(seen.metrics.iter().map(|series| {
        let stale = if series.stale { ", which was stale" } else { "" };
        let window = match series.samples.as_slice() {
            [first, .., last] => {
                format!(" ({} samples of the last {} s)", series.samples.len(), last.at.since(first.at).as_secs())
            }
            _ => String::new(),
        };
        match series.samples.last() {
            Some(newest) => {
                format!("{} was {}{}{window}{stale}.", named(series), number(newest.value), unit(&series.unit))
            }
            None => format!("{} had no sample{stale}.", named(series)),
        }
    }));
    lines
}

fn named(series: &Series) -> String {
    label(&series.name, &series.labels)
}

fn label(name: &str, labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

fn unit(unit: &str) -> String {
    if unit.is_empty() { String::new() } else { format!(" {unit}") }
}

fn answered(answer: &Answer, size: u32) -> Vec<String> {
    let decision = &answer.decision;
    let shadow = if answer.mode == Mode::Shadow { " (a shadow, never acted upon)" } else { "" };
    let wants = match &decision.outcome {
        Outcome::Hold => format!("wanted to hold the fleet at {size}"),
        Outcome::ScaleTo(to) if to.count == size => format!("wanted to stay at {size}"),
        outcome @ (Outcome::ScaleTo(_) | Outcome::Change(_)) => format!("wanted to {}", wish(outcome)),
    };
    let mut lines = match (&answer.failure, answer.rung) {
        (None, _) => vec![format!("{}{shadow} {wants}: {}.", answer.policy, decision.reason)],
        (Some(failure), Rung::LastGood) => vec![
            format!("{}{shadow} failed: {failure}.", answer.policy),
            format!(
                "The last component of it that had answered was asked in its place, and {wants}: {}.",
                decision.reason
            ),
        ],
        (Some(failure), Rung::Own | Rung::Hold) => {
            return vec![format!("{}{shadow} failed, so it counted as holding the fleet: {failure}.", answer.policy)];
        }
    };
    lines.extend(decision.signals.iter().map(|signal| {
        let target = signal.target.map(|target| format!(" against a target of {}", number(target))).unwrap_or_default();
        let wants = signal.wants.map(|wants| format!(", which alone wants {}", count(wants as usize, "droplet")));
        format!("- {} was {}{target}{}.", signal.name, number(signal.value), wants.unwrap_or_default())
    }));
    lines.push(format!("- It is {} and was told {}.", answer.reference, answer.config));
    lines.extend(answer.log.iter().map(|line| format!("- It logged: {line}")));
    lines
}

fn taken(record: &TickRecord) -> String {
    let size = record.observation.size();
    let active: Vec<&Answer> = record.answers.iter().filter(|answer| answer.mode == Mode::Active).collect();
    let Some(taken) = record.chosen.and_then(|index| record.answers.get(index as usize)) else {
        return "Nobody's answer: no policy was active, and the fleet was kept within its bounds.".to_owned();
    };
    let to = taken.decision.outcome.size(size);
    if active.len() == 1 {
        return format!("The answer of {}, the only active policy: {size} → {to}.", taken.policy);
    }
    let others: Vec<String> = active
        .iter()
        .filter(|answer| answer.policy != taken.policy)
        .map(|answer| format!("{} wanted {}", answer.policy, answer.decision.outcome.size(size)))
        .collect();
    let policy = &taken.policy;
    format!("The answer of {policy}, {size} → {to}: the largest fleet counts, and {}.", others.join(", "))
}

fn cut(loosened: &Loosened) -> Vec<String> {
    let mut lines: Vec<String> =
        loosened.details.iter().map(|detail| format!("{}: {detail}.", loosened.rule)).collect();
    if let (Some(without), Some(last)) = (loosened.without, lines.last_mut()) {
        *last += &format!(" Without this rule the fleet would have gone to {without}.");
    }
    lines
}

fn done(record: &TickRecord) -> Vec<String> {
    let plan = &record.plan;
    let mut lines: Vec<String> = plan
        .creates
        .iter()
        .map(|create| {
            let size = create.request.size.as_deref().map(|size| format!(" of {size}")).unwrap_or_default();
            format!("Create {}{size}: {}.", count(create.request.count as usize, "droplet"), create.reason)
        })
        .collect();
    lines.extend(plan.deletes.iter().map(|delete| format!("Drain and delete {}: {}.", delete.droplet, delete.reason)));
    if lines.is_empty() {
        lines.push(format!("Nothing: the fleet stayed at {}.", plan.to));
    } else {
        lines.push(format!("That is {} → {}.", plan.from, plan.to));
    }
    let operations: Vec<String> = record.outcome.operations.iter().map(ToString::to_string).collect();
    match operations.as_slice() {
        [] => {}
        [one] => lines.push(format!("It is operation {one} of the journal.")),
        [first, .., last] => {
            lines.push(format!("These are {} operations of the journal, {first} to {last}.", operations.len()));
        }
    }
    lines.extend(record.outcome.error.iter().map(|error| format!("It could not be begun: {error}.")));
    lines
}

fn turned(found: &Counterfactual) -> String {
    let name = label(&found.series, &found.labels);
    let led = |turn: &Turn| format!("it would have wanted {}", turn.size);
    let mut parts = Vec::new();
    if let Some(turn) = &found.above {
        parts.push(format!("from {} on {}", bound(turn.at, found.value), led(turn)));
    }
    if let Some(turn) = &found.below {
        parts.push(format!("from {} down {}", bound(turn.at, found.value), led(turn)));
    }
    let what = match found.changed {
        Changed::Newest => format!("{name} was {}{}", number(found.value), unit(&found.unit)),
        Changed::Window => {
            format!(
                "{name} was {}{}, and had all its window been as much larger or smaller",
                number(found.value),
                unit(&found.unit)
            )
        }
    };
    format!("{what}; {}.", parts.join("; "))
}

/// A bound that reads as another number than what was seen.
fn bound(at: f64, seen: f64) -> String {
    let text = number(at);
    if text == number(seen) { format!("{at:.6}") } else { text }
}
