//! Bad weather: times in which the API is away, droplets boot slowly or never, a size is sold out, a metric is missing.

use std::str::FromStr;
use std::time::Duration;

use super::key_values::KeyValues;

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    from: f64,
    length: f64,
    every: Option<f64>,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// The API does not answer: nothing is created or deleted.
    ApiOutage,
    /// Droplets take this many times as long to boot.
    SlowBoots(f64),
    /// This share of the droplets never comes up.
    FailedBoots(f64),
    /// The size cannot be had: nothing is created.
    SoldOut,
    /// No series has a new sample.
    MetricOutage,
}

/// What a fault can be told beside when it is.
const FAULTS: [(&str, &[&str]); 5] = [
    ("api-outage", &["from", "length", "every"]),
    ("slow-boots", &["from", "length", "every", "factor"]),
    ("failed-boots", &["from", "length", "every", "share"]),
    ("sold-out", &["from", "length", "every"]),
    ("metric-outage", &["from", "length", "every"]),
];

/// A fault that is written wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no fault: {problem}")]
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
        return Err(format!("there is no {name:?}; there are {}", FAULTS.map(|(name, _)| name).join(", ")));
    };
    let settings = KeyValues::parse(settings, known)?;
    let kind = match name {
        "api-outage" => FaultKind::ApiOutage,
        "slow-boots" => match settings.number("factor")?.unwrap_or(3.0) {
            factor if factor >= 1.0 => FaultKind::SlowBoots(factor),
            factor => return Err(format!("factor is {factor}; it is at least 1")),
        },
        "failed-boots" => match settings.number("share")?.unwrap_or(0.5) {
            share if (0.0..=1.0).contains(&share) => FaultKind::FailedBoots(share),
            share => return Err(format!("share is {share}; it is from 0 to 1")),
        },
        "sold-out" => FaultKind::SoldOut,
        _ => FaultKind::MetricOutage,
    };
    let every = settings.duration("every")?;
    if every.is_some_and(|every| every <= 0.0) {
        return Err("every is above 0".to_owned());
    }
    Ok(Fault { kind, from: settings.required_duration("from")?, length: settings.required_duration("length")?, every })
}

impl Fault {
    fn is_active(&self, at: f64) -> bool {
        let since = self.every.map_or(at - self.from, |every| (at - self.from).rem_euclid(every));
        at >= self.from && (0.0..self.length).contains(&since)
    }
}

/// All that goes wrong in a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultSchedule(pub Vec<Fault>);

impl FaultSchedule {
    fn active(&self, at: Duration) -> impl Iterator<Item = FaultKind> + '_ {
        let at = at.as_secs_f64();
        self.0.iter().filter(move |fault| fault.is_active(at)).map(|fault| fault.kind)
    }

    /// Whether the API is away, so long after the beginning.
    pub fn is_api_down(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::ApiOutage)
    }

    /// Whether nothing can be had.
    pub fn is_sold_out(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::SoldOut)
    }

    /// Whether no series has a new sample.
    pub fn are_metrics_missing(&self, at: Duration) -> bool {
        self.active(at).any(|kind| kind == FaultKind::MetricOutage)
    }

    /// How many times as long a boot takes that begins now; `None` where it never ends, which `luck` from 0 to 1 decides.
    pub fn boot_factor(&self, at: Duration, luck: f64) -> Option<f64> {
        self.active(at).try_fold(1.0, |factor, kind| match kind {
            FaultKind::SlowBoots(slower) => Some(factor * slower),
            FaultKind::FailedBoots(share) if luck < share => None,
            _ => Some(factor),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_on_from_its_beginning_to_its_end_and_again() {
        let weather = FaultSchedule(vec!["api-outage:from=1h,length=10m,every=2h".parse().unwrap()]);
        let minutes = |minutes: u64| weather.is_api_down(Duration::from_mins(minutes));

        assert_eq!([59, 60, 69, 70, 180, 189, 190].map(minutes), [false, true, true, false, true, true, false]);
    }

    #[test]
    fn boots_are_slower_or_never_end() {
        let weather = FaultSchedule(vec![
            "slow-boots:from=0,length=1h,factor=4".parse().unwrap(),
            "failed-boots:from=0,length=1h,share=0.25".parse().unwrap(),
        ]);

        assert_eq!(weather.boot_factor(Duration::from_mins(1), 0.3), Some(4.0));
        assert_eq!(weather.boot_factor(Duration::from_mins(1), 0.2), None);
        assert_eq!(weather.boot_factor(Duration::from_mins(61), 0.2), Some(1.0));
    }

    #[test]
    fn what_is_written_wrongly_is_told_with_what_there_is() {
        for (text, wanted) in [
            (
                "storm:from=0,length=1h",
                "\"storm:from=0,length=1h\" is no fault: there is no \"storm\"; there are api-outage, slow-boots, failed-boots, sold-out, metric-outage",
            ),
            ("sold-out:from=1h", "\"sold-out:from=1h\" is no fault: it needs length"),
            (
                "slow-boots:from=0,length=1h,factor=0.5",
                "\"slow-boots:from=0,length=1h,factor=0.5\" is no fault: factor is 0.5; it is at least 1",
            ),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), wanted);
        }
    }
}
