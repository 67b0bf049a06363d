//! Every metric of the service, with what it counts. Labels are from small sets: phases, rules, names of policies, calls.

use super::{Family, Kind};

/// Droplets of the fleet, by phase.
pub static FLEET: Family =
    Family { name: "doproxy_fleet_droplets", help: "Droplets of the fleet, by phase.", kind: Kind::Gauge };

/// The size that the last plan leads to.
pub static DESIRED: Family =
    Family { name: "doproxy_desired_droplets", help: "Size that the last plan leads to.", kind: Kind::Gauge };

/// Decisions, by policy and outcome.
pub static DECISIONS: Family = Family {
    name: "doproxy_decisions_total",
    help: "Answers of policies, by policy and outcome.",
    kind: Kind::Counter,
};

/// What the guard cut, by rule.
pub static CUTS: Family = Family {
    name: "doproxy_guard_cuts_total",
    help: "Plans of which the guard cut something, by rule.",
    kind: Kind::Counter,
};

/// The time of a policy's call.
pub static PLUGIN_TIME: Family = Family {
    name: "doproxy_policy_call_seconds",
    help: "Wall-clock time of a policy's answer, by policy.",
    kind: Kind::Histogram(&[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]),
};

/// Failures of policies, by the rung of the ladder that answered for them.
pub static PLUGIN_FAILURES: Family = Family {
    name: "doproxy_policy_failures_total",
    help: "Ticks in which a policy failed, by policy and by what answered in its place.",
    kind: Kind::Counter,
};

/// Whether a policy fails now.
pub static POLICY_FAILING: Family =
    Family { name: "doproxy_policy_failing", help: "1 while a policy fails, by policy.", kind: Kind::Gauge };

/// Calls of the API, by call and result.
pub static API_CALLS: Family = Family {
    name: "doproxy_api_requests_total",
    help: "Requests to the API, by call and result.",
    kind: Kind::Counter,
};

/// What is left of the API's budget.
pub static API_BUDGET: Family = Family {
    name: "doproxy_api_budget_remaining",
    help: "Requests that may be sent to the API now, but for those that are kept for deletes.",
    kind: Kind::Gauge,
};

/// Whether the API can be used.
pub static API_UP: Family = Family { name: "doproxy_api_up", help: "1 while the API can be used.", kind: Kind::Gauge };

/// Whether HAProxy answers.
pub static HAPROXY_UP: Family =
    Family { name: "doproxy_haproxy_up", help: "1 while HAProxy's counters can be read.", kind: Kind::Gauge };

/// Changes of HAProxy, by how.
pub static HAPROXY_CHANGES: Family = Family {
    name: "doproxy_haproxy_changes_total",
    help: "Changes of HAProxy, by kind: reload, or at run time.",
    kind: Kind::Counter,
};

/// From decision to serving.
pub static SERVING_TIME: Family = Family {
    name: "doproxy_decision_to_serving_seconds",
    help: "From the decision to create a droplet until it serves.",
    kind: Kind::Histogram(&[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0]),
};

/// Ticks, by trigger and result.
pub static TICKS: Family =
    Family { name: "doproxy_ticks_total", help: "Ticks, by trigger and result.", kind: Kind::Counter };

/// The time of a tick.
pub static TICK_TIME: Family = Family {
    name: "doproxy_tick_seconds",
    help: "Wall-clock time of a tick.",
    kind: Kind::Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
};

/// Passes over what is under way, by result.
pub static PASSES: Family = Family {
    name: "doproxy_passes_total",
    help: "Passes over operations that are under way, by result.",
    kind: Kind::Counter,
};

/// Open operations, by kind.
pub static OPERATIONS: Family =
    Family { name: "doproxy_open_operations", help: "Operations that are under way, by kind.", kind: Kind::Gauge };

/// What happened, by kind.
pub static EVENTS: Family =
    Family { name: "doproxy_events_total", help: "Changes of droplets, by kind.", kind: Kind::Counter };

/// Configurations that were read again, by result.
pub static RELOADS: Family = Family {
    name: "doproxy_configuration_reloads_total",
    help: "Times that the configuration or a component was loaded anew, by result.",
    kind: Kind::Counter,
};

/// The build.
pub static BUILD: Family = Family { name: "doproxy_build_info", help: "1, with the version.", kind: Kind::Gauge };

/// When the service started.
pub static STARTED: Family = Family {
    name: "doproxy_start_time_seconds",
    help: "When the service started, in seconds since the Unix epoch.",
    kind: Kind::Gauge,
};
