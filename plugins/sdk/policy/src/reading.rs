//! Reads values from series.

use std::fmt;

use crate::numbers::mean;
use crate::{Observation, Series};

/// The reason for which a series has no usable value.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::reading::{Combine, SeriesError};
/// use doproxy_policy_sdk::testing::ObservationBuilder;
///
/// let observation = ObservationBuilder::at(0).build();
/// let error = observation.newest("queue.depth", Combine::Sum).unwrap_err();
///
/// assert_eq!(error, SeriesError::Missing);
/// assert_eq!(format!("queue.depth {error}"), "queue.depth is missing");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesError {
    /// The series does not exist, has no samples, or has no finite one.
    Missing,
    /// Its source failed or is late.
    Stale,
}

impl fmt::Display for SeriesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Stale => "is stale",
        })
    }
}

/// The aggregation of several series with the same name and different labels.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::reading::Combine;
/// use doproxy_policy_sdk::testing::ObservationBuilder;
///
/// // Two sources report the same series with different labels.
/// let observation = ObservationBuilder::at(0).series("queue.depth", &[9.0]).series("queue.depth", &[3.0]).build();
///
/// assert_eq!(observation.newest("queue.depth", Combine::Sum), Ok(12.0));
/// assert_eq!(observation.newest("queue.depth", Combine::Mean), Ok(6.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// Adds them up: they are parts of a total.
    Sum,
    /// Averages them.
    Mean,
}

impl Combine {
    /// Aggregates the values.
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
    /// Returns the newest value of the series with a name.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::reading::{Combine, SeriesError};
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// let observation = ObservationBuilder::at(0).series("haproxy.sessions", &[40.0, 44.0]).build();
    ///
    /// assert_eq!(observation.newest("haproxy.sessions", Combine::Sum), Ok(44.0));
    /// assert_eq!(observation.newest("queue.depth", Combine::Sum), Err(SeriesError::Missing));
    /// ```
    pub fn newest(&self, name: &str, combine: Combine) -> Result<f64, SeriesError> {
        self.combined(name, combine, |series| series.samples.last().map(|sample| sample.value))
    }

    /// Returns the mean of a series' samples of the last `length_ms`, or its newest sample if there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::reading::Combine;
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// // One sample per minute.
    /// let observation = ObservationBuilder::at(600_000).series("haproxy.sessions", &[90.0, 4.0, 2.0]).build();
    ///
    /// assert_eq!(observation.mean_over("haproxy.sessions", Combine::Sum, 120_000), Ok(3.0));
    /// ```
    pub fn mean_over(&self, name: &str, combine: Combine, length_ms: u64) -> Result<f64, SeriesError> {
        self.combined(name, combine, |series| {
            let young = |at: u64| self.now.saturating_sub(at) < length_ms;
            let values = series.samples.iter().filter(|sample| young(sample.at)).map(|sample| sample.value);
            mean(values).or_else(|| series.samples.last().map(|sample| sample.value))
        })
    }

    /// Returns the time between samples of the series with a name, in milliseconds; 0 if there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// let observation = ObservationBuilder::at(0).series_every(15_000, "haproxy.sessions", &[4.0]).build();
    ///
    /// assert_eq!(observation.interval_ms("haproxy.sessions"), 15_000);
    /// ```
    pub fn interval_ms(&self, name: &str) -> u64 {
        self.series_named(name).map(|series| series.interval_ms).max().unwrap_or(0)
    }

    /// Returns the series with a name.
    ///
    /// # Examples
    ///
    /// ```
    /// use doproxy_policy_sdk::testing::ObservationBuilder;
    ///
    /// let observation = ObservationBuilder::at(0).series("queue.depth", &[9.0]).series("queue.depth", &[3.0]).build();
    ///
    /// assert_eq!(observation.series_named("queue.depth").count(), 2);
    /// ```
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
        // A total is unknown if any part is missing.
        let values: Option<Vec<f64>> = self.series_named(name).map(value).collect();
        combine.apply(&values.unwrap_or_default()).ok_or(SeriesError::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ObservationBuilder;

    #[test]
    fn sums_are_added_and_means_averaged() {
        let observation = ObservationBuilder::at(0).series("m", &[9.0, 1.0]).series("m", &[3.0]).build();

        assert_eq!(observation.newest("m", Combine::Sum), Ok(4.0));
        assert_eq!(observation.newest("m", Combine::Mean), Ok(2.0));
    }

    #[test]
    fn unusable_series_is_an_error() {
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
    fn mean_covers_only_the_window() {
        // One sample per minute, the newest at the current time.
        let observation = ObservationBuilder::at(600_000).series("m", &[100.0, 4.0, 2.0]).build();

        assert_eq!(observation.mean_over("m", Combine::Sum, 60_000), Ok(2.0));
        assert_eq!(observation.mean_over("m", Combine::Sum, 120_000), Ok(3.0));
        assert_eq!(observation.mean_over("m", Combine::Sum, 0), Ok(2.0));
    }
}
