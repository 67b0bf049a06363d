//! Conversions between the domain model and version 0.1.0. Text from guests is sanitized for terminals here.

use doproxy_core::domain::{
    Change, Decision, DropletId, DropletRequest, HourlyPrice, Limits, Load, Manifest, MetricRequirement, Observation,
    ObservedDroplet, ObservedTemplate, Outcome, Phase, Problem, Sample, ScaleTo, Series, Signal, Tag, UserDataRequest,
};
use doproxy_support::sanitize;

use super::bindings::{policy, types, user_data};
use crate::error::CallError;
use crate::log::LogLevel;

/// Maximum number of characters in a name, a slug or a path.
const MAX_NAME_LEN: usize = 200;

/// Maximum number of characters in a sentence.
const MAX_TEXT_LEN: usize = 2000;

/// Maximum number of reported problems.
const MAX_PROBLEMS: usize = 50;

/// The lists borrowed by the records of an observation.
pub(super) struct Lists<'a> {
    /// The tags of each template.
    tags: Vec<Vec<&'a str>>,
    /// The lists of each series.
    series: Vec<SeriesLists<'a>>,
    facts: Vec<(&'a str, &'a str)>,
}

struct SeriesLists<'a> {
    labels: Vec<(&'a str, &'a str)>,
    samples: Vec<types::Sample>,
}

impl<'a> Lists<'a> {
    pub(super) fn of(from: &'a Observation) -> Self {
        Self {
            tags: from.templates.iter().map(tags).collect(),
            series: from
                .metrics
                .iter()
                .map(|series| SeriesLists { labels: pairs(&series.labels), samples: samples(&series.samples) })
                .collect(),
            facts: pairs(&from.facts),
        }
    }
}

/// The records borrowed by an observation.
pub(super) struct Records<'a> {
    templates: Vec<types::Template<'a>>,
    fleet: Vec<types::Droplet<'a>>,
    metrics: Vec<types::Series<'a>>,
}

impl<'a> Records<'a> {
    pub(super) fn of(from: &'a Observation, lists: &'a Lists<'a>) -> Self {
        Self {
            templates: from.templates.iter().zip(&lists.tags).map(|(from, tags)| template(from, tags)).collect(),
            fleet: from.fleet.iter().filter_map(droplet).collect(),
            metrics: from.metrics.iter().zip(&lists.series).map(|(from, lists)| series(from, lists)).collect(),
        }
    }
}

pub(super) fn observation<'a>(
    from: &'a Observation,
    lists: &'a Lists<'a>,
    records: &'a Records<'a>,
) -> policy::Observation<'a> {
    policy::Observation {
        now: from.now.0,
        tick: from.tick,
        fleet_name: &from.fleet_name,
        templates: &records.templates,
        fleet: &records.fleet,
        metrics: &records.metrics,
        limits: limits(&from.limits),
        boot_time_ms: from.boot_time_ms,
        last_scale_out: from.last_scale_out.map(|at| at.0),
        last_scale_in: from.last_scale_in.map(|at| at.0),
        facts: &lists.facts,
    }
}

fn tags(of: &ObservedTemplate) -> Vec<&str> {
    of.tags.iter().map(Tag::as_str).collect()
}

fn pairs(from: &[(String, String)]) -> Vec<(&str, &str)> {
    from.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The contract guarantees finite numbers; other values from a source become gaps.
fn samples(from: &[Sample]) -> Vec<types::Sample> {
    from.iter()
        .filter(|sample| !sample.value.is_nan())
        .map(|sample| types::Sample { at: sample.at.0, value: sample.value })
        .collect()
}

fn template<'a>(from: &'a ObservedTemplate, tags: &'a [&'a str]) -> types::Template<'a> {
    types::Template {
        size: &from.size,
        region: &from.region,
        image: &from.image,
        tags,
        hourly_price: from.hourly_price.dollars(),
    }
}

/// Returns `None` for a deleted droplet, which is not part of an observation.
fn droplet(from: &ObservedDroplet) -> Option<types::Droplet<'_>> {
    Some(types::Droplet {
        id: from.id.map(|id| id.0),
        name: from.name.as_str(),
        phase: phase(from.phase)?,
        phase_since: from.phase_since.0,
        created_at: from.created_at.0,
        template: from.template,
        paid_until: from.paid_until.map(|at| at.0),
        healthy: from.healthy,
        protected: from.protected,
        load: from.load.as_ref().map(load),
    })
}

fn phase(from: Phase) -> Option<types::Phase> {
    Some(match from {
        Phase::Requested => types::Phase::Requested,
        Phase::Booting => types::Phase::Booting,
        Phase::Warming => types::Phase::Warming,
        Phase::Serving => types::Phase::Serving,
        Phase::Draining => types::Phase::Draining,
        Phase::Deleting => types::Phase::Deleting,
        Phase::Gone => return None,
    })
}

fn load(from: &Load) -> types::Load {
    types::Load {
        sessions: from.sessions,
        max_sessions: from.max_sessions,
        queued: from.queued,
        requests_per_second: from.requests_per_second,
        response_time_ms: from.response_time_ms,
        errors_per_second: from.errors_per_second,
    }
}

fn series<'a>(from: &'a Series, lists: &'a SeriesLists<'a>) -> types::Series<'a> {
    types::Series {
        name: &from.name,
        unit: &from.unit,
        labels: &lists.labels,
        interval_ms: from.interval_ms,
        stale: from.stale,
        samples: &lists.samples,
    }
}

fn limits(from: &Limits) -> types::Limits {
    types::Limits {
        min: from.min,
        max: from.max,
        max_hourly_cost: from.max_hourly_cost.map(HourlyPrice::dollars),
        max_create: from.max_create,
        max_delete: from.max_delete,
    }
}

pub(super) fn request(from: &UserDataRequest) -> user_data::Request {
    user_data::Request {
        fleet_name: from.fleet_name.clone(),
        hostname: from.hostname.clone(),
        index: from.index,
        size: from.size.clone(),
        region: from.region.clone(),
        image: from.image.clone(),
        tags: from.tags.clone(),
        params: from.params.clone(),
    }
}

/// Converts a decision; fails if it violates the contract.
pub(super) fn decision(from: policy::Decision) -> Result<Decision, CallError> {
    // A NaN or infinite value can neither be stored in the record nor compared.
    for signal in &from.signals {
        for (field, value) in [("value", Some(signal.value)), ("target", signal.target)] {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                let name = sanitize::sanitize_line(&signal.name, MAX_NAME_LEN);
                return Err(CallError::InvalidResult(format!("the {field} of its signal {name:?} is {value}")));
            }
        }
    }
    Ok(Decision {
        outcome: match from.outcome {
            policy::Outcome::Hold => Outcome::Hold,
            policy::Outcome::ScaleTo(to) => Outcome::ScaleTo(ScaleTo {
                count: to.count,
                template: to.template.map(droplet_request),
                delete_first: ids(to.delete_first),
            }),
            policy::Outcome::Change(change) => Outcome::Change(Change {
                create: change.create.into_iter().map(droplet_request).collect(),
                delete: ids(change.delete),
            }),
        },
        reason: sanitize::sanitize_line(&from.reason, MAX_TEXT_LEN),
        signals: from
            .signals
            .into_iter()
            .map(|signal| Signal {
                name: sanitize::sanitize_line(&signal.name, MAX_NAME_LEN),
                value: signal.value,
                target: signal.target,
                wants: signal.wants,
            })
            .collect(),
        state: from.state,
        next_check_ms: from.next_check_ms,
    })
}

fn droplet_request(from: policy::DropletRequest) -> DropletRequest {
    let name = |name: Option<String>| name.map(|name| sanitize::sanitize_line(&name, MAX_NAME_LEN));
    DropletRequest {
        count: from.count,
        size: name(from.size),
        region: name(from.region),
        image: name(from.image),
        tags: from.tags.iter().map(|tag| sanitize::sanitize_line(tag, MAX_NAME_LEN)).collect(),
        user_data_params: from.user_data_params,
    }
}

fn ids(from: Vec<u64>) -> Vec<DropletId> {
    from.into_iter().map(DropletId).collect()
}

/// Returns the size of a decision in bytes as received: its text, its lists, and 32 bytes for the numbers of each
/// entry.
pub(super) fn bytes_of(decision: &policy::Decision) -> usize {
    const ENTRY: usize = 32;
    let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let request = |request: &policy::DropletRequest| {
        ENTRY
            + [&request.size, &request.region, &request.image, &request.user_data_params]
                .into_iter()
                .map(optional)
                .sum::<usize>()
            + request.tags.iter().map(|tag| ENTRY + tag.len()).sum::<usize>()
    };
    let outcome = match &decision.outcome {
        policy::Outcome::Hold => 0,
        policy::Outcome::ScaleTo(to) => to.template.as_ref().map_or(0, request) + 8 * to.delete_first.len(),
        policy::Outcome::Change(change) => change.create.iter().map(request).sum::<usize>() + 8 * change.delete.len(),
    };
    let signals: usize = decision.signals.iter().map(|signal| ENTRY + signal.name.len()).sum();
    outcome + decision.reason.len() + signals + decision.state.len()
}

pub(super) fn manifest(from: types::Manifest) -> Manifest {
    Manifest {
        name: sanitize::sanitize_line(&from.name, MAX_NAME_LEN),
        version: sanitize::sanitize_line(&from.version, MAX_NAME_LEN),
        description: sanitize::sanitize_line(&from.description, MAX_TEXT_LEN),
        // Not sanitized, which could change its meaning: it is JSON, and displayed as such.
        config_schema: from.config_schema,
        metrics: from
            .metrics
            .into_iter()
            .map(|need| MetricRequirement {
                name: sanitize::sanitize_line(&need.name, MAX_NAME_LEN),
                window_ms: need.window_ms,
                required: need.required,
            })
            .collect(),
    }
}

pub(super) fn problems(from: &[types::Problem]) -> Vec<Problem> {
    from.iter()
        .take(MAX_PROBLEMS)
        .map(|problem| Problem {
            path: sanitize::sanitize_line(&problem.path, MAX_NAME_LEN),
            message: sanitize::sanitize_line(&problem.message, MAX_TEXT_LEN),
        })
        .collect()
}

pub(super) fn error(from: &types::Error) -> CallError {
    match from {
        types::Error::InvalidConfig(found) => CallError::InvalidConfig(problems(found)),
        types::Error::MissingMetric(name) => CallError::MissingMetric(sanitize::sanitize_line(name, MAX_NAME_LEN)),
        types::Error::Failed(message) => CallError::Failed(sanitize::sanitize_line(message, MAX_TEXT_LEN)),
    }
}

pub(super) fn level(from: super::bindings::log::Level) -> LogLevel {
    match from {
        super::bindings::log::Level::Debug => LogLevel::Debug,
        super::bindings::log::Level::Info => LogLevel::Info,
        super::bindings::log::Level::Warn => LogLevel::Warn,
    }
}

#[cfg(test)]
mod tests;
