//! What policies say that they need.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::Options;
use crate::model::MetricRequirement;

/// How far back each series is wanted, by the policy that wants most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricRequirements(HashMap<String, Duration>);

impl MetricRequirements {
    /// The union over the needs of all policies.
    pub fn union<'a>(needs: impl IntoIterator<Item = &'a MetricRequirement>) -> Self {
        let mut windows: HashMap<String, Duration> = HashMap::new();
        for need in needs {
            let window = windows.entry(need.name.clone()).or_default();
            *window = (*window).max(Duration::from_millis(need.window_ms));
        }
        Self(windows)
    }

    /// How far back a series is wanted, where somebody says so.
    pub fn window(&self, name: &str) -> Option<Duration> {
        self.0.get(name).copied()
    }

    /// The longest of all.
    pub(super) fn max_window(&self) -> Duration {
        self.0.values().copied().max().unwrap_or_default()
    }
}

/// A need that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetRequirement {
    /// The series.
    pub metric: String,
    /// Who needs it.
    pub policy: String,
    /// Whether the policy can do nothing without it.
    pub required: bool,
    reason: UnmetReason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum UnmetReason {
    /// No source gives it.
    NoSource { given: Vec<String> },
    /// It is not kept as long as it is looked back at.
    RetentionTooShort { window: Duration, kept: Duration },
}

impl fmt::Display for UnmetRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, policy, .. } = self;
        match &self.reason {
            UnmetReason::NoSource { given } => write!(
                f,
                "metric {metric} is needed by policy {policy}; nothing gives it; sources give: {}; add one under `metrics.sources`",
                given.join(", ")
            ),
            UnmetReason::RetentionTooShort { window, kept } => write!(
                f,
                "policy {policy} looks back {} at metric {metric}, and samples are kept for {}; set a longer `metrics.retention`",
                days(*window),
                days(*kept)
            ),
        }
    }
}

fn days(time: Duration) -> String {
    format!("{:.1} days", time.as_secs_f64() / 86_400.0)
}

/// What a policy needs and will not get.
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
    fn the_policy_that_looks_back_furthest_counts() {
        let needs = MetricRequirements::union(&[need("a", 60_000), need("b", 0), need("a", 5000)]);

        assert_eq!(needs.window("a"), Some(Duration::from_mins(1)));
        assert_eq!(needs.window("c"), None);
        assert_eq!(needs.max_window(), Duration::from_mins(1));
    }

    #[test]
    fn a_need_that_nothing_meets_is_told_with_what_there_is() {
        let options = Options::new(Duration::from_secs(15));
        let needs = [need("queue.depth", 0), need("haproxy.queued", 30 * 86_400_000), need("haproxy.sessions", 60_000)];

        let unmet: Vec<String> =
            unmet_requirements(&options, "queue", &needs).iter().map(ToString::to_string).collect();

        insta::assert_snapshot!(unmet.join("\n"), @r"
        metric queue.depth is needed by policy queue; nothing gives it; sources give: haproxy.requests_per_second, haproxy.sessions, haproxy.queued, haproxy.errors_per_second, haproxy.utilisation, haproxy.response_time_ms; add one under `metrics.sources`
        policy queue looks back 30.0 days at metric haproxy.queued, and samples are kept for 14.0 days; set a longer `metrics.retention`
        ");
    }
}
