//! Values out of series.

use std::fmt;

use crate::numbers::mean;
use crate::{Observation, Series};

/// Why a series has no value to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesError {
    /// There is no such series, or it has no sample, or none that is a finite number.
    Missing,
    /// Its source failed or is late.
    Stale,
}

impl fmt::Display for SeriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is not there",
            Self::Stale => "is stale",
        })
    }
}

/// How several series of one name, which differ in their labels, become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// They are parts of a total.
    Sum,
    /// They are averages.
    Mean,
}

impl Combine {
    /// One value of several.
    fn apply(self, values: &[f64]) -> Option<f64> {
        let combined = match self {
            Self::Sum if values.is_empty() => None,
            Self::Sum => Some(values.iter().sum()),
            Self::Mean => mean(values.iter().copied()),
        };
        combined.filter(|value| value.is_finite())
    }
}

impl Observation {
    /// The newest value of the series of that name.
    pub fn newest(&self, name: &str, combine: Combine) -> Result<f64, SeriesError> {
        self.combined(name, combine, |series| series.samples.last().map(|sample| sample.value))
    }

    /// The mean over the last `length_ms` of the series of that name: of its samples that are younger than that, and of
    /// its newest where none is.
    pub fn mean_over(&self, name: &str, combine: Combine, length_ms: u64) -> Result<f64, SeriesError> {
        self.combined(name, combine, |series| {
            let young = |at: u64| self.now.saturating_sub(at) < length_ms;
            let values = series.samples.iter().filter(|sample| young(sample.at)).map(|sample| sample.value);
            mean(values).or_else(|| series.samples.last().map(|sample| sample.value))
        })
    }

    /// The time between the samples of the series of that name, in milliseconds; 0 where there is none.
    pub fn interval_ms(&self, name: &str) -> u64 {
        self.series_named(name).map(|series| series.interval_ms).max().unwrap_or(0)
    }

    /// The series of that name.
    pub fn series_named(&self, name: &str) -> impl Iterator<Item = &Series> {
        self.metrics.iter().filter(move |series| series.name == name)
    }

    fn combined(
        &self,
        name: &str,
        combine: Combine,
        value: impl Fn(&Series) -> Option<f64>,
    ) -> Result<f64, SeriesError> {
        if self.series_named(name).any(|series| series.stale) {
            return Err(SeriesError::Stale);
        }
        // A part of a total that is not there makes the total unknown.
        let values: Option<Vec<f64>> = self.series_named(name).map(value).collect();
        combine.apply(&values.unwrap_or_default()).ok_or(SeriesError::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ObservationBuilder;

    #[test]
    fn parts_add_up_and_averages_are_averaged() {
        let observation = ObservationBuilder::at(0).series("m", &[9.0, 1.0]).series("m", &[3.0]).build();

        assert_eq!(observation.newest("m", Combine::Sum), Ok(4.0));
        assert_eq!(observation.newest("m", Combine::Mean), Ok(2.0));
    }

    #[test]
    fn what_cannot_be_gone_by_is_a_gap() {
        let cases = [
            (ObservationBuilder::at(0), SeriesError::Missing),
            (ObservationBuilder::at(0).series("m", &[]), SeriesError::Missing),
            (ObservationBuilder::at(0).series("m", &[f64::NAN]), SeriesError::Missing),
            (ObservationBuilder::at(0).series("m", &[f64::INFINITY]), SeriesError::Missing),
            (ObservationBuilder::at(0).series("m", &[1.0]).series("m", &[]), SeriesError::Missing),
            (ObservationBuilder::at(0).series("m", &[1.0]).stale(), SeriesError::Stale),
        ];
        for (scene, gap) in cases {
            let observation = scene.build();
            for combine in [Combine::Sum, Combine::Mean] {
                assert_eq!(observation.newest("m", combine), Err(gap), "{observation:?}");
                assert_eq!(observation.mean_over("m", combine, 60_000), Err(gap), "{observation:?}");
            }
        }
    }

    #[test]
    fn a_mean_is_over_the_window_and_not_before_it() {
        // One a minute; the newest is of now.
        let observation = ObservationBuilder::at(600_000).series("m", &[100.0, 4.0, 2.0]).build();

        assert_eq!(observation.mean_over("m", Combine::Sum, 60_000), Ok(2.0));
        assert_eq!(observation.mean_over("m", Combine::Sum, 120_000), Ok(3.0));
        assert_eq!(observation.mean_over("m", Combine::Sum, 0), Ok(2.0));
    }
}
