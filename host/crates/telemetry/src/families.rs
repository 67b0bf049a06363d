//! All metrics of the service. Label values come from small sets: phases, rules, policy names and API calls.

use crate::registry::{MetricFamily, MetricKind};

/// Number of droplets in the fleet, by phase.
pub static FLEET_DROPLETS: MetricFamily =
    MetricFamily { name: "doproxy_fleet_droplets", help: "Droplets in the fleet, by phase.", kind: MetricKind::Gauge };

/// Fleet size that the last plan leads to.
pub static DESIRED_DROPLETS: MetricFamily = MetricFamily {
    name: "doproxy_desired_droplets",
    help: "Fleet size that the last plan leads to.",
    kind: MetricKind::Gauge,
};

/// Policy decisions, by policy and outcome.
pub static DECISIONS: MetricFamily = MetricFamily {
    name: "doproxy_decisions_total",
    help: "Policy decisions, by policy and outcome.",
    kind: MetricKind::Counter,
};

/// Plans restricted by the guard, by rule.
pub static GUARD_LIMITED: MetricFamily = MetricFamily {
    name: "doproxy_guard_limited_total",
    help: "Plans restricted by the guard, by rule.",
    kind: MetricKind::Counter,
};

/// Duration of policy evaluations.
pub static POLICY_EVALUATION_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_policy_evaluation_duration_seconds",
    help: "Wall-clock duration of a policy evaluation, by policy.",
    kind: MetricKind::Histogram(&[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]),
};

/// Policy failures, by the fallback that answered instead.
pub static POLICY_FAILURES: MetricFamily = MetricFamily {
    name: "doproxy_policy_failures_total",
    help: "Ticks in which a policy failed, by policy and by the fallback that answered instead.",
    kind: MetricKind::Counter,
};

/// Policies that are currently failing.
pub static POLICY_FAILING: MetricFamily = MetricFamily {
    name: "doproxy_policy_failing",
    help: "1 while the policy is failing, by policy.",
    kind: MetricKind::Gauge,
};

/// DigitalOcean API requests, by call and result.
pub static API_REQUESTS: MetricFamily = MetricFamily {
    name: "doproxy_api_requests_total",
    help: "DigitalOcean API requests, by call and result.",
    kind: MetricKind::Counter,
};

/// Remaining API rate limit.
pub static API_RATE_LIMIT_REMAINING: MetricFamily = MetricFamily {
    name: "doproxy_api_rate_limit_remaining",
    help: "DigitalOcean API requests that may be sent now, excluding those reserved for deletes.",
    kind: MetricKind::Gauge,
};

/// API availability.
pub static API_UP: MetricFamily =
    MetricFamily { name: "doproxy_api_up", help: "1 while the DigitalOcean API is usable.", kind: MetricKind::Gauge };

/// HAProxy reachability.
pub static HAPROXY_UP: MetricFamily = MetricFamily {
    name: "doproxy_haproxy_up",
    help: "1 while HAProxy's counters can be read.",
    kind: MetricKind::Gauge,
};

/// HAProxy updates, by method.
pub static HAPROXY_UPDATES: MetricFamily = MetricFamily {
    name: "doproxy_haproxy_updates_total",
    help: "HAProxy updates, by method: reload or Runtime API.",
    kind: MetricKind::Counter,
};

/// Startup duration of droplets.
pub static DROPLET_STARTUP_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_droplet_startup_duration_seconds",
    help: "Time from the decision to create a droplet until it serves.",
    kind: MetricKind::Histogram(&[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0]),
};

/// Ticks, by trigger and result.
pub static TICKS: MetricFamily =
    MetricFamily { name: "doproxy_ticks_total", help: "Ticks, by trigger and result.", kind: MetricKind::Counter };

/// Duration of ticks.
pub static TICK_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_tick_duration_seconds",
    help: "Wall-clock duration of a tick.",
    kind: MetricKind::Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
};

/// Reconcile passes, by result.
pub static RECONCILES: MetricFamily = MetricFamily {
    name: "doproxy_reconcile_total",
    help: "Reconcile passes over open operations, by result.",
    kind: MetricKind::Counter,
};

/// Open operations, by kind.
pub static OPEN_OPERATIONS: MetricFamily =
    MetricFamily { name: "doproxy_open_operations", help: "Open operations, by kind.", kind: MetricKind::Gauge };

/// Droplet events, by kind.
pub static EVENTS: MetricFamily =
    MetricFamily { name: "doproxy_events_total", help: "Droplet events, by kind.", kind: MetricKind::Counter };

/// Configuration reloads, by result.
pub static CONFIG_RELOADS: MetricFamily = MetricFamily {
    name: "doproxy_config_reloads_total",
    help: "Reloads of the configuration or a component, by result.",
    kind: MetricKind::Counter,
};

/// Build information.
pub static BUILD_INFO: MetricFamily =
    MetricFamily { name: "doproxy_build_info", help: "Constant 1, labeled with the version.", kind: MetricKind::Gauge };

/// Start time of the service.
pub static START_TIME: MetricFamily = MetricFamily {
    name: "process_start_time_seconds",
    help: "Start time of the service, in seconds since the Unix epoch.",
    kind: MetricKind::Gauge,
};
