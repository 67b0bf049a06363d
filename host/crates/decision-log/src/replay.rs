//! Replays recorded ticks: the same components with the same inputs must return bit-identical decisions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use doproxy_core::domain::{AnswerSource, Decision, Evaluation, Outcome, Plan, RecordId, TickRecord};
use doproxy_core::pipeline::{evaluate, select};
use doproxy_plugin_host::{CallOutput, PluginError, Policy};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::codec::bit_identical;
use crate::components::Components;
use crate::error::RecordError;
use crate::reader::{LogReader, StoredRecord};

/// A mismatch between a replay and its record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum ReplayMismatch {
    /// A component returns another decision.
    Decision {
        /// The policy.
        policy: String,
        /// The recorded decision.
        recorded: Box<Decision>,
        /// The replayed decision.
        now: Box<Decision>,
    },
    /// A component uses a different amount of fuel for the same decision.
    Fuel {
        /// The policy.
        policy: String,
        /// The recorded fuel.
        recorded: u64,
        /// The replayed fuel.
        now: u64,
    },
    /// A component logs different lines.
    Log {
        /// The policy.
        policy: String,
    },
    /// A component that succeeded fails now.
    NowFails {
        /// The policy.
        policy: String,
        /// The error.
        why: String,
    },
    /// A component that failed succeeds now. This is not a mismatch if the failure was a timeout.
    NowSucceeds {
        /// The policy.
        policy: String,
        /// The recorded failure.
        failure: String,
    },
    /// A component is unavailable.
    MissingComponent {
        /// The policy.
        policy: String,
        /// The error.
        why: String,
    },
    /// Another evaluation is selected.
    Selection {
        /// The policy whose evaluation was selected in the record.
        recorded: Option<String>,
        /// The policy whose evaluation is selected now.
        now: Option<String>,
    },
    /// The guard returns another plan.
    Plan {
        /// The recorded plan.
        recorded: Box<Plan>,
        /// The replayed plan.
        now: Box<Plan>,
    },
    /// The record cannot be read.
    Unreadable {
        /// The error.
        why: String,
    },
}

impl fmt::Display for ReplayMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decision { policy, recorded, now } => {
                let (was, is) = (describe_outcome(&recorded.outcome), describe_outcome(&now.outcome));
                if was == is {
                    let part = if recorded.reason == now.reason {
                        "with a different state or signals"
                    } else {
                        "for a different reason"
                    };
                    write!(f, "{policy} decides {is} as recorded, {part}")
                } else {
                    write!(f, "{policy} decides {is}; the record has {was}")
                }
            }
            Self::Fuel { policy, recorded, now } => write!(f, "{policy} uses {now} fuel; the record has {recorded}"),
            Self::Log { policy } => write!(f, "{policy} logs different lines"),
            Self::NowFails { policy, why } => write!(f, "{policy} fails now but succeeded then: {why}"),
            Self::NowSucceeds { policy, failure } => write!(f, "{policy} succeeds now but failed then: {failure}"),
            Self::MissingComponent { policy, why } => write!(f, "{policy} cannot be evaluated: {why}"),
            Self::Selection { recorded, now } => {
                let name = |policy: &Option<String>| policy.clone().unwrap_or_else(|| "no policy".to_owned());
                write!(f, "the selected evaluation is that of {}; the record has {}", name(now), name(recorded))
            }
            Self::Plan { recorded, now } if (recorded.from, recorded.to) == (now.from, now.to) => {
                write!(
                    f,
                    "the guard plans {} → {} as recorded, with different operations or restrictions",
                    now.from, now.to
                )
            }
            Self::Plan { recorded, now } => {
                write!(
                    f,
                    "the guard plans {} → {}; the record has {} → {}",
                    now.from, now.to, recorded.from, recorded.to
                )
            }
            Self::Unreadable { why } => f.write_str(why),
        }
    }
}

/// Describes an outcome in a few words.
pub(super) fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hold => "hold".to_owned(),
        Outcome::ScaleTo(to) => format!("scale to {}", to.count),
        Outcome::Change(change) => {
            let created = change.create.iter().fold(0_u32, |sum, request| sum.saturating_add(request.count));
            format!("create {created}, delete {}", change.delete.len())
        }
    }
}

/// The result of replaying a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayResult {
    /// The record's number.
    pub id: RecordId,
    /// The mismatches; empty if the replay is identical.
    pub mismatches: Vec<ReplayMismatch>,
}

/// The result of replaying many records.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReplaySummary {
    /// Number of replayed records.
    pub replayed: u64,
    /// The records with mismatches, in order.
    pub differing: Vec<ReplayResult>,
}

/// Re-evaluates a recorded evaluation with the same component and the same inputs.
pub(super) async fn re_evaluate(
    policy: &Policy,
    evaluation: &Evaluation,
    record: &TickRecord,
) -> Result<CallOutput<Decision>, PluginError> {
    policy.decide(&evaluation.config, &record.observation, &evaluation.state).await
}

/// Replays a tick and returns the mismatches.
pub async fn replay(record: &TickRecord, components: &Components) -> Vec<ReplayMismatch> {
    let mut differences = Vec::new();
    for outcome in &record.evaluations {
        replay_evaluation(outcome, record, components, &mut differences).await;
    }
    let decisions = record.evaluations.iter().map(Evaluation::active_decision);
    let now = select(&record.observation, decisions).map(|(index, _)| index);
    let name =
        |index: Option<usize>| index.and_then(|index| record.evaluations.get(index)).map(|one| one.policy.clone());
    let recorded = record.selected.map(|index| index as usize);
    if now != recorded {
        differences.push(ReplayMismatch::Selection { recorded: name(recorded), now: name(now) });
    }
    // The guard is checked on its own: on the decision that was selected at the time.
    let selected = record.evaluations.iter().enumerate();
    let selected = selected.map(|(index, evaluation)| (recorded == Some(index)).then_some(&evaluation.decision));
    let plan = evaluate(&record.observation, selected, &record.rules, &record.facts).plan;
    if !bit_identical(&plan, &record.plan) {
        differences.push(ReplayMismatch::Plan { recorded: Box::new(record.plan.clone()), now: Box::new(plan) });
    }
    differences
}

async fn replay_evaluation(
    evaluation: &Evaluation,
    record: &TickRecord,
    components: &Components,
    differences: &mut Vec<ReplayMismatch>,
) {
    // A policy that failed to load was not evaluated.
    if evaluation.digest.is_empty() && evaluation.failure.is_some() {
        return;
    }
    let policy = evaluation.policy.clone();
    let component = match components.policy(&evaluation.digest, &evaluation.reference).await {
        Ok(component) => component,
        Err(why) => return differences.push(ReplayMismatch::MissingComponent { policy, why: why.to_string() }),
    };
    let failed = evaluation.failure.as_ref().filter(|_| evaluation.answered_by == AnswerSource::Hold);
    match (re_evaluate(&component, evaluation, record).await, failed) {
        (Ok(CallOutput { value, log, usage: stats }), None) => {
            if !bit_identical(&value, &evaluation.decision) {
                let recorded = Box::new(evaluation.decision.clone());
                return differences.push(ReplayMismatch::Decision { policy, recorded, now: Box::new(value) });
            }
            if stats.fuel != evaluation.fuel {
                differences.push(ReplayMismatch::Fuel {
                    policy: policy.clone(),
                    recorded: evaluation.fuel,
                    now: stats.fuel,
                });
            }
            if !log.iter().map(ToString::to_string).eq(evaluation.log.iter().cloned()) {
                differences.push(ReplayMismatch::Log { policy });
            }
        }
        (Err(why), None) => differences.push(ReplayMismatch::NowFails { policy, why: why.to_string() }),
        // Elapsed time is the one input that is not reproducible.
        (Ok(_), Some(failure)) if failure.contains("the call timeout of") => {}
        (Ok(_), Some(failure)) => differences.push(ReplayMismatch::NowSucceeds { policy, failure: failure.clone() }),
        (Err(_), Some(_)) => {}
    }
}

/// Number of records that are read and replayed together.
const CHUNK: usize = 128;

/// Replays many ticks on all cores; calls `progress` with the number of completed ones.
pub async fn replay_all(
    archive: &Arc<LogReader>,
    components: &Arc<Components>,
    ids: &[RecordId],
    mut progress: impl FnMut(u64),
) -> Result<ReplaySummary, RecordError> {
    let at_a_time = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1;
    let mut chunks = ids.chunks(CHUNK);
    let mut running: JoinSet<Result<Vec<ReplayResult>, RecordError>> = JoinSet::new();
    let mut differing: BTreeMap<RecordId, ReplayResult> = BTreeMap::new();
    let mut replayed = 0;
    loop {
        while running.len() < at_a_time
            && let Some(chunk) = chunks.next()
        {
            running.spawn(replay_chunk(archive.clone(), components.clone(), chunk.to_vec()));
        }
        let Some(verdicts) = running.join_next().await else { break };
        for verdict in verdicts.map_err(|error| RecordError::TaskAborted(error.to_string()))?? {
            replayed += 1;
            if !verdict.mismatches.is_empty() {
                differing.insert(verdict.id, verdict);
            }
        }
        progress(replayed);
    }
    Ok(ReplaySummary { replayed, differing: differing.into_values().collect() })
}

async fn replay_chunk(
    archive: Arc<LogReader>,
    components: Arc<Components>,
    ids: Vec<RecordId>,
) -> Result<Vec<ReplayResult>, RecordError> {
    let wanted = ids.clone();
    let read = tokio::task::spawn_blocking(move || archive.get_many(&wanted)).await;
    let records = read.map_err(|error| RecordError::TaskAborted(error.to_string()))??;
    let mut verdicts = Vec::with_capacity(ids.len());
    for (id, record) in ids.into_iter().zip(records) {
        let differences = match record {
            Ok(StoredRecord { record, .. }) => replay(&record, &components).await,
            Err(error) => vec![ReplayMismatch::Unreadable { why: error.to_string() }],
        };
        verdicts.push(ReplayResult { id, mismatches: differences });
    }
    Ok(verdicts)
}
