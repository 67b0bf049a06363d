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
mod tests {
    use super::*;

    fn need(name: &str, window_ms: u64) -> MetricRequirement {
        MetricRequirement { name: name.to_owned(), window_ms, required: true }
    }

    #[test]
    fn longest_lookback_of_all_policies_wins() {
        let needs = MetricRequirements::union(&[need("a", 60_000), need("b", 0), need("a", 5000)]);

        assert_eq!(needs.window("a"), Some(Duration::from_mins(1)));
        assert_eq!(needs.window("c"), None);
        assert_eq!(needs.max_window(), Duration::from_mins(1));
    }

    #[test]
    fn unmet_requirement_lists_available_series() {
        let options = Options::new(Duration::from_secs(15));
        let needs = [need("queue.depth", 0), need("haproxy.queued", 30 * 86_400_000), need("haproxy.sessions", 60_000)];

        let unmet: Vec<String> =
            unmet_requirements(&options, "queue", &needs).iter().map(ToString::to_string).collect();

        insta::assert_snapshot!(unmet.join("\n"), @r"
        metric queue.depth is required by policy queue, but no source provides it; available: haproxy.requests_per_second, haproxy.sessions, haproxy.queued, haproxy.errors_per_second, haproxy.utilization, haproxy.response_time_ms; add a source under `metrics.sources`
        policy queue needs 30.0 days of metric haproxy.queued, but samples are kept for 14.0 days; set a longer `metrics.retention`
        ");
    }
}
