//! Every metric of the service, with what it counts. Labels are from small sets: phases, rules, names of policies, calls.

use super::{MetricFamily, MetricKind};

/// Droplets of the fleet, by phase.
pub static FLEET_DROPLETS: MetricFamily =
    MetricFamily { name: "doproxy_fleet_droplets", help: "Droplets of the fleet, by phase.", kind: MetricKind::Gauge };

/// The size that the last plan leads to.
pub static DESIRED_DROPLETS: MetricFamily = MetricFamily {
    name: "doproxy_desired_droplets",
    help: "Size that the last plan leads to.",
    kind: MetricKind::Gauge,
};

/// Decisions, by policy and outcome.
pub static DECISIONS: MetricFamily = MetricFamily {
    name: "doproxy_decisions_total",
    help: "Answers of policies, by policy and outcome.",
    kind: MetricKind::Counter,
};

/// What the guard cut, by rule.
pub static GUARD_LIMITED: MetricFamily = MetricFamily {
    name: "doproxy_guard_cuts_total",
    help: "Plans of which the guard cut something, by rule.",
    kind: MetricKind::Counter,
};

/// The time of a policy's call.
pub static POLICY_EVALUATION_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_policy_call_seconds",
    help: "Wall-clock time of a policy's answer, by policy.",
    kind: MetricKind::Histogram(&[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]),
};

/// Failures of policies, by the rung of the ladder that answered for them.
pub static POLICY_FAILURES: MetricFamily = MetricFamily {
    name: "doproxy_policy_failures_total",
    help: "Ticks in which a policy failed, by policy and by what answered in its place.",
    kind: MetricKind::Counter,
};

/// Whether a policy fails now.
pub static POLICY_FAILING: MetricFamily = MetricFamily {
    name: "doproxy_policy_failing",
    help: "1 while a policy fails, by policy.",
    kind: MetricKind::Gauge,
};

/// Calls of the API, by call and result.
pub static API_REQUESTS: MetricFamily = MetricFamily {
    name: "doproxy_api_requests_total",
    help: "Requests to the API, by call and result.",
    kind: MetricKind::Counter,
};

/// What is left of the API's budget.
pub static API_RATE_LIMIT_REMAINING: MetricFamily = MetricFamily {
    name: "doproxy_api_budget_remaining",
    help: "Requests that may be sent to the API now, but for those that are kept for deletes.",
    kind: MetricKind::Gauge,
};

/// Whether the API can be used.
pub static API_UP: MetricFamily =
    MetricFamily { name: "doproxy_api_up", help: "1 while the API can be used.", kind: MetricKind::Gauge };

/// Whether HAProxy answers.
pub static HAPROXY_UP: MetricFamily = MetricFamily {
    name: "doproxy_haproxy_up",
    help: "1 while HAProxy's counters can be read.",
    kind: MetricKind::Gauge,
};

/// Changes of HAProxy, by how.
pub static HAPROXY_UPDATES: MetricFamily = MetricFamily {
    name: "doproxy_haproxy_changes_total",
    help: "Changes of HAProxy, by kind: reload, or at run time.",
    kind: MetricKind::Counter,
};

/// From decision to serving.
pub static DROPLET_STARTUP_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_decision_to_serving_seconds",
    help: "From the decision to create a droplet until it serves.",
    kind: MetricKind::Histogram(&[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0]),
};

/// Ticks, by trigger and result.
pub static TICKS: MetricFamily =
    MetricFamily { name: "doproxy_ticks_total", help: "Ticks, by trigger and result.", kind: MetricKind::Counter };

/// The time of a tick.
pub static TICK_DURATION: MetricFamily = MetricFamily {
    name: "doproxy_tick_seconds",
    help: "Wall-clock time of a tick.",
    kind: MetricKind::Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
};

/// Passes over what is under way, by result.
pub static RECONCILES: MetricFamily = MetricFamily {
    name: "doproxy_passes_total",
    help: "Passes over operations that are under way, by result.",
    kind: MetricKind::Counter,
};

/// Open operations, by kind.
pub static OPEN_OPERATIONS: MetricFamily = MetricFamily {
    name: "doproxy_open_operations",
    help: "Operations that are under way, by kind.",
    kind: MetricKind::Gauge,
};

/// What happened, by kind.
pub static EVENTS: MetricFamily =
    MetricFamily { name: "doproxy_events_total", help: "Changes of droplets, by kind.", kind: MetricKind::Counter };

/// Configurations that were read again, by result.
pub static CONFIG_RELOADS: MetricFamily = MetricFamily {
    name: "doproxy_configuration_reloads_total",
    help: "Times that the configuration or a component was loaded anew, by result.",
    kind: MetricKind::Counter,
};

/// The build.
pub static BUILD_INFO: MetricFamily =
    MetricFamily { name: "doproxy_build_info", help: "1, with the version.", kind: MetricKind::Gauge };

/// When the service started.
pub static START_TIME: MetricFamily = MetricFamily {
    name: "doproxy_start_time_seconds",
    help: "When the service started, in seconds since the Unix epoch.",
    kind: MetricKind::Gauge,
};
