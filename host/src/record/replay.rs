//! Doing recorded ticks again: the same components, asked the same, have to answer the same, to the bit.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::codec::bit_identical;
use super::{Components, LogReader, RecordError, RecordRange, StoredRecord};
use crate::clock::Clock;
use crate::controller::guard::guard;
use crate::controller::policy_slot::{hold_without_policy, select};
use crate::model::{AnswerSource, Decision, Evaluation, Outcome, Plan, RecordId, TickRecord};
use crate::plugin::{CallOutput, Limits, PluginError, PluginHost, PluginSettings, Policy};

/// A place where a replay comes to something else than was recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum ReplayMismatch {
    /// A component answers something else.
    Decision {
        /// Whose answer it is.
        policy: String,
        /// What was recorded.
        recorded: Box<Decision>,
        /// What it answers now.
        now: Box<Decision>,
    },
    /// A component takes more or less fuel for the same answer.
    Fuel {
        /// Whose answer it is.
        policy: String,
        /// What was recorded.
        recorded: u64,
        /// What it takes now.
        now: u64,
    },
    /// A component logs something else.
    Log {
        /// Whose answer it is.
        policy: String,
    },
    /// A component answered then, and fails now.
    NowFails {
        /// Whose answer it is.
        policy: String,
        /// Why.
        why: String,
    },
    /// A component failed then, and answers now. Only a deadline may be the reason, and then this is no difference.
    NowSucceeds {
        /// Whose answer it is.
        policy: String,
        /// Why it failed.
        failure: String,
    },
    /// A component is not there.
    MissingComponent {
        /// Whose answer it is.
        policy: String,
        /// Why.
        why: String,
    },
    /// Another answer is taken.
    Selection {
        /// Whose was taken, as recorded.
        recorded: Option<String>,
        /// Whose would be taken.
        now: Option<String>,
    },
    /// The guard leaves something else.
    Plan {
        /// What was recorded.
        recorded: Box<Plan>,
        /// What it leaves now.
        now: Box<Plan>,
    },
    /// The record cannot be read.
    Unreadable {
        /// Why.
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
                        "with another state or signals"
                    } else {
                        "for another reason"
                    };
                    write!(f, "{policy} decides {is} as recorded, {part}")
                } else {
                    write!(f, "{policy} decides {is}; recorded is {was}")
                }
            }
            Self::Fuel { policy, recorded, now } => write!(f, "{policy} takes {now} fuel; recorded are {recorded}"),
            Self::Log { policy } => write!(f, "{policy} logs something else"),
            Self::NowFails { policy, why } => write!(f, "{policy} fails and answered then: {why}"),
            Self::NowSucceeds { policy, failure } => write!(f, "{policy} answers and failed then: {failure}"),
            Self::MissingComponent { policy, why } => write!(f, "{policy} cannot be asked: {why}"),
            Self::Selection { recorded, now } => {
                let name = |policy: &Option<String>| policy.clone().unwrap_or_else(|| "nobody".to_owned());
                write!(f, "the answer of {} is taken; recorded is {}", name(now), name(recorded))
            }
            Self::Plan { recorded, now } if (recorded.from, recorded.to) == (now.from, now.to) => {
                write!(f, "the guard leaves {} → {} as recorded, by other operations or cuts", now.from, now.to)
            }
            Self::Plan { recorded, now } => {
                write!(f, "the guard leaves {} → {}; recorded is {} → {}", now.from, now.to, recorded.from, recorded.to)
            }
            Self::Unreadable { why } => f.write_str(why),
        }
    }
}

/// What a decision wants, in two words.
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

/// What came of replaying a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplayResult {
    /// Which record.
    pub id: RecordId,
    /// Nothing, where it comes to the same.
    pub mismatches: Vec<ReplayMismatch>,
}

/// What came of replaying many.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ReplaySummary {
    /// How many were replayed.
    pub replayed: u64,
    /// Those that differ, in order.
    pub differing: Vec<ReplayResult>,
}

/// Asks the component that gave an answer again, with what it was asked then.
pub(super) async fn re_evaluate(
    policy: &Policy,
    answer: &Evaluation,
    record: &TickRecord,
) -> Result<CallOutput<Decision>, PluginError> {
    policy.decide(&answer.config, &record.observation, &answer.state).await
}

/// Does a tick again, and says where it comes to something else.
pub async fn replay(record: &TickRecord, components: &Components) -> Vec<ReplayMismatch> {
    let mut differences = Vec::new();
    for answer in &record.evaluations {
        replay_evaluation(answer, record, components, &mut differences).await;
    }
    let now = select(&record.observation, &record.evaluations);
    let name =
        |index: Option<usize>| index.and_then(|index| record.evaluations.get(index)).map(|one| one.policy.clone());
    let recorded = record.selected.map(|index| index as usize);
    if now != recorded {
        differences.push(ReplayMismatch::Selection { recorded: name(recorded), now: name(now) });
    }
    let none = hold_without_policy();
    let decision = recorded.and_then(|index| record.evaluations.get(index)).map_or(&none, |answer| &answer.decision);
    let plan = guard(&record.observation, decision, &record.rules, &record.facts);
    if !bit_identical(&plan, &record.plan) {
        differences.push(ReplayMismatch::Plan { recorded: Box::new(record.plan.clone()), now: Box::new(plan) });
    }
    differences
}

async fn replay_evaluation(
    answer: &Evaluation,
    record: &TickRecord,
    components: &Components,
    differences: &mut Vec<ReplayMismatch>,
) {
    // What could not be loaded was not asked.
    if answer.digest.is_empty() && answer.failure.is_some() {
        return;
    }
    let policy = answer.policy.clone();
    let component = match components.policy(&answer.digest, &answer.reference).await {
        Ok(component) => component,
        Err(why) => return differences.push(ReplayMismatch::MissingComponent { policy, why: why.to_string() }),
    };
    let failed = answer.failure.as_ref().filter(|_| answer.answered_by == AnswerSource::Hold);
    match (re_evaluate(&component, answer, record).await, failed) {
        (Ok(CallOutput { value, log, usage: stats }), None) => {
            if !bit_identical(&value, &answer.decision) {
                let recorded = Box::new(answer.decision.clone());
                return differences.push(ReplayMismatch::Decision { policy, recorded, now: Box::new(value) });
            }
            if stats.fuel != answer.fuel {
                differences.push(ReplayMismatch::Fuel {
                    policy: policy.clone(),
                    recorded: answer.fuel,
                    now: stats.fuel,
                });
            }
            if !log.iter().map(ToString::to_string).eq(answer.log.iter().cloned()) {
                differences.push(ReplayMismatch::Log { policy });
            }
        }
        (Err(why), None) => differences.push(ReplayMismatch::NowFails { policy, why: why.to_string() }),
        // Time is the one thing that is not the same again.
        (Ok(_), Some(failure)) if failure.contains("the deadline of") => {}
        (Ok(_), Some(failure)) => differences.push(ReplayMismatch::NowSucceeds { policy, failure: failure.clone() }),
        (Err(_), Some(_)) => {}
    }
}

/// Records that are read and replayed together.
const CHUNK: usize = 128;

/// Does many ticks again, over all cores; `progress` is told how many are done.
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

/// For tests: replays every record of a history that they made, and panics where one comes to something else. Answers how
/// many there were.
///
/// # Panics
///
/// When a record differs, or cannot be read.
#[doc(hidden)]
pub async fn assert_replays(path: &std::path::Path) -> u64 {
    let replayed = async {
        let archive = Arc::new(LogReader::open_read_only(path, Clock::from_wall_clock().now())?);
        let limits = Limits { call_timeout: Duration::from_secs(30), ..Limits::default() };
        let host = PluginHost::new(PluginSettings { limits, ..PluginSettings::default() })?;
        let components = Arc::new(Components::new(host, archive.clone()));
        let ids = archive.select(RecordRange::All)?;
        replay_all(&archive, &components, &ids, |_| ()).await
    };
    match replayed.await {
        Ok(ReplaySummary { replayed, differing }) if differing.is_empty() => replayed,
        Ok(ReplaySummary { differing, .. }) => panic!("{}: these differ: {differing:#?}", path.display()),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
