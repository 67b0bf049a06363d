//! Fault schedule: periods in which the API is down, droplets boot slowly or never, a size is sold out, or metrics are
//! missing.

use std::str::FromStr;
use std::time::Duration;

use crate::key_values::KeyValues;

/// A fault and its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// Type of fault.
    pub kind: FaultKind,
    from: f64,
    length: f64,
    every: Option<f64>,
}

/// Type of fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// The API is down: nothing is created or deleted.
    ApiOutage,
    /// Boot times are multiplied by this factor.
    SlowBoots(f64),
    /// This share of new droplets never becomes ready.
    FailedBoots(f64),
    /// The size is sold out: nothing is created.
    SoldOut,
    /// No series receives new samples.
    MetricOutage,
}

/// The faults and the settings that each accepts.
const FAULTS: [(&str, &[&str]); 5] = [
    ("api-outage", &["from", "length", "every"]),
    ("slow-boots", &["from", "length", "every", "factor"]),
    ("failed-boots", &["from", "length", "every", "share"]),
    ("sold-out", &["from", "length", "every"]),
    ("metric-outage", &["from", "length", "every"]),
];

/// An invalid fault specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid fault: {problem}")]
pub struct InvalidFault {
    text: String,
    problem: String,
}

impl FromStr for Fault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        parse_fault(text).map_err(|problem| InvalidFault { text: text.to_owned(), problem })
    }
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let Some((_, known)) = FAULTS.iter().find(|(fault, _)| *fault == name) else {
        return Err(format!("unknown fault {name:?}; expected one of: {}", FAULTS.map(|(name, _)| name).join(", ")));
    };
    let settings = KeyValues::parse(settings, known)?;
    let kind = match name {
        "api-outage" => FaultKind::ApiOutage,
        "slow-boots" => match settings.number("factor")?.unwrap_or(3.0) {
            factor if factor >= 1.0 => FaultKind::SlowBoots(factor),
            factor => return Err(format!("factor is {factor}; it must be at least 1")),
        },
        "failed-boots" => match settings.number("share")?.unwrap_or(0.5) {
            share if (0.0..=1.0).contains(&share) => FaultKind::FailedBoots(share),
            share => return Err(format!("share is {share}; it must be between 0 and 1")),
        },
        "sold-out" => FaultKind::SoldOut,
        _ => FaultKind::MetricOutage,
    };
    let every = settings.duration("every")?;
    if every.is_some_and(|every| every <= 0.0) {
        return Err("every must be greater than 0".to_owned());
    }
    Ok(Fault { kind, from: settings.required_duration("from")?, length: settings.required_duration("length")?, every })
}

impl Fault {
    fn is_active(&self, at: f64) -> bool {
        let since = self.every.map_or(at - self.from, |every| (at - self.from).rem_euclid(every));
        at >= self.from && (0.0..self.length).contains(&since)
    }
}

/// All faults of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultSchedule(pub Vec<Fault>);

impl FaultSchedule {
    fn active(&self, at: Duration) -> impl Iterator<Item = FaultKind> + '_ {
        let at = at.as_secs_f64();
        self.0.iter().filter(move |fault| fault.is_active(at)).map(|fault| fault.kind)
    }

    /// Reports whether the API is down at `at`, measured from the start of the run.
    pub fn is_api_down(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::ApiOutage)
    }

    /// Reports whether the size is sold out.
    pub fn is_sold_out(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::SoldOut)
    }

    /// Reports whether metrics are missing: no series receives new samples.
    pub fn are_metrics_missing(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::MetricOutage)
    }

    /// Returns the factor by which a boot that starts at `at` is slowed. `None` means that the boot never completes;
    /// `luck`, a random number from 0 to 1, decides this.
    pub fn boot_factor(&self, at: Duration, luck: f64) -> Option<f64> {
        self.active(at).try_fold(1.0, |factor, kind| match kind {
            FaultKind::SlowBoots(slower) => Some(factor * slower),
            FaultKind::FailedBoots(share) if luck < share => None,
            _ => Some(factor),
        })
    }
}

#[cfg(test)]
mod tests;
