//! The metric requirements of policies.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use doproxy_core::domain::MetricRequirement;

use crate::options::Options;

/// The required lookback of each series, over all policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricRequirements(HashMap<String, Duration>);

impl MetricRequirements {
    /// Returns the union of the requirements of all policies.
    pub fn union<'a>(needs: impl IntoIterator<Item = &'a MetricRequirement>) -> Self {
        let mut windows: HashMap<String, Duration> = HashMap::new();
        for need in needs {
            let window = windows.entry(need.name.clone()).or_default();
            *window = (*window).max(Duration::from_millis(need.window_ms));
        }
        Self(windows)
    }

    /// Returns the required lookback of a series, if a policy specifies one.
    pub fn window(&self, name: &str) -> Option<Duration> {
        self.0.get(name).copied()
    }

    /// Returns the longest lookback.
    pub(super) fn max_window(&self) -> Duration {
        self.0.values().copied().max().unwrap_or_default()
    }
}

/// An unmet requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetRequirement {
    /// The series.
    pub metric: String,
    /// The policy that requires it.
    pub policy: String,
    /// `true` if the policy cannot work without it.
    pub required: bool,
    reason: UnmetReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum UnmetReason {
    /// No source provides it.
    NoSource { given: Vec<String> },
    /// Its samples are kept for less than the lookback.
    RetentionTooShort { window: Duration, kept: Duration },
}

impl fmt::Display for UnmetRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, policy, .. } = self;
        match &self.reason {
            UnmetReason::NoSource { given } => write!(
                f,
                "metric {metric} is required by policy {policy}, but no source provides it; available: {}; add a source under `metrics.sources`",
                given.join(", ")
            ),
            UnmetReason::RetentionTooShort { window, kept } => write!(
                f,
                "policy {policy} needs {} of metric {metric}, but samples are kept for {}; set a longer `metrics.retention`",
                days(*window),
                days(*kept)
            ),
        }
    }
}

fn days(time: Duration) -> String {
    format!("{:.1} days", time.as_secs_f64() / 86_400.0)
}

/// Returns the requirements of a policy that are not met.
pub fn unmet_requirements(options: &Options, policy: &str, needs: &[MetricRequirement]) -> Vec<UnmetRequirement> {
    let given = options.names();
    let unmet = |need: &MetricRequirement| {
        let window = Duration::from_millis(need.window_ms);
        let why = if !given.contains(&need.name) {
            UnmetReason::NoSource { given: given.clone() }
        } else if window > options.retention.raw {
            UnmetReason::RetentionTooShort { window, kept: options.retention.raw }
        } else {
            return None;
        };
        Some(UnmetRequirement {
            metric: need.name.clone(),
            policy: policy.to_owned(),
            required: need.required,
            reason: why,
        })
    };
    needs.iter().filter_map(unmet).collect()
}

#[cfg(test)]
mod tests;
