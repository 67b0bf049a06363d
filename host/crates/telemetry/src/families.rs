//! All metrics of the service. Label values come from small sets: phases, rules, policy names and API calls.

use crate::registry::{MetricFamily, MetricKind};

/// Declares metric families, and `ALL` with all of them in order; the help text is also their documentation. A family
/// with labels lists the meaning of their values.
macro_rules! families {
    ($(
        $family:ident: $kind:ident $(($bounds:expr))? $name:literal, $help:literal
        $([$($label:ident: $values:literal),+])?;
    )*) => {
        $(#[doc = $help]
        pub static $family: MetricFamily = MetricFamily {
            name: $name,
            help: $help,
            kind: MetricKind::$kind $(($bounds))?,
            labels: &[$($((stringify!($label), $values)),+)?],
        };)*

        /// Every family, for the generated reference.
        pub static ALL: &[&MetricFamily] = &[$(&$family),*];
    };
}

families! {
    FLEET_DROPLETS: Gauge "doproxy_fleet_droplets", "Droplets in the fleet, by phase."
        [phase: "phase of the droplet"];
    DESIRED_DROPLETS: Gauge "doproxy_desired_droplets", "Fleet size that the last plan leads to.";
    DECISIONS: Counter "doproxy_decisions_total", "Policy decisions, by policy and outcome."
        [policy: "name of the policy", mode: "`active` or `shadow`", outcome: "`hold`, `scale-to` or `change`"];
    GUARD_LIMITED: Counter "doproxy_guard_limited_total", "Plans restricted by the guard, by rule."
        [rule: "name of the guard rule"];
    POLICY_EVALUATION_DURATION: Histogram(&[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25])
        "doproxy_policy_evaluation_duration_seconds", "Wall-clock duration of a policy evaluation, by policy."
        [policy: "name of the policy"];
    POLICY_FAILURES: Counter "doproxy_policy_failures_total",
        "Ticks in which a policy failed, by policy and by the fallback that answered instead."
        [policy: "name of the policy", answered_by: "`last_good` or `hold`"];
    POLICY_FAILING: Gauge "doproxy_policy_failing", "1 while the policy is failing, by policy."
        [policy: "name of the policy"];
    API_REQUESTS: Counter "doproxy_api_requests_total", "DigitalOcean API requests, by call and result."
        [call: "method and path, such as `GET /v2/droplets/{id}`", result: "`ok`, or the class of the failure"];
    API_RATE_LIMIT_REMAINING: Gauge "doproxy_api_rate_limit_remaining",
        "DigitalOcean API requests that may be sent now, excluding those reserved for deletes.";
    API_UP: Gauge "doproxy_api_up", "1 while the DigitalOcean API is usable.";
    HAPROXY_UP: Gauge "doproxy_haproxy_up", "1 while HAProxy's counters can be read.";
    HAPROXY_UPDATES: Counter "doproxy_haproxy_updates_total", "HAProxy updates, by method: reload or Runtime API."
        [method: "`runtime_api` or `reload`"];
    DROPLET_STARTUP_DURATION: Histogram(&[5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0])
        "doproxy_droplet_startup_duration_seconds", "Time from the decision to create a droplet until it serves.";
    TICKS: Counter "doproxy_ticks_total", "Ticks, by trigger and result."
        [trigger: "`interval`, `next_check`, `reload` or `manual`", result: "`ok` or `failed`"];
    TICK_DURATION: Histogram(&[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0])
        "doproxy_tick_duration_seconds", "Wall-clock duration of a tick.";
    RECONCILES: Counter "doproxy_reconcile_total", "Reconcile passes over open operations, by result."
        [result: "`ok`, `conflict`, `maintenance` or `failed`"];
    OPEN_OPERATIONS: Gauge "doproxy_open_operations", "Open operations, by kind."
        [kind: "`create` or `delete`"];
    EVENTS: Counter "doproxy_events_total", "Droplet events, by kind."
        [kind: "a phase, or `created`, `retrying`, `abandoned`, `outcome_unknown`, `duplicate`, …"];
    CONFIG_RELOADS: Counter "doproxy_config_reloads_total", "Reloads of the configuration or a component, by result."
        [result: "`ok` or `refused`"];
    BUILD_INFO: Gauge "doproxy_build_info", "Constant 1, labeled with the version."
        [version: "version of doproxy"];
    START_TIME: Gauge "process_start_time_seconds", "Start time of the service, in seconds since the Unix epoch.";
}
