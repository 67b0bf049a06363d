//! The definition of a policy.

/// Defines a [`Policy`](crate::Policy) and exports it as the component of the crate.
///
/// - `config` is a type with a function `parse(&str) -> Result<Self, Vec<Problem>>`, which returns all problems of a
///   text that has passed the schema.
/// - `schema` is the JSON Schema of the configuration, usually `include_str!("schema.json")`.
/// - `metrics`, which may be omitted, is an array of [`MetricRequirement`](crate::MetricRequirement)s.
/// - `decide` is a function or closure from the configuration, the [`Observation`](crate::Observation) and the state
///   to a [`Decision`](crate::Decision).
///
/// Name, version and description are those of the package. The component exists only if the crate is compiled to
/// WebAssembly; everywhere else the policy is an ordinary type that tests can call.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::testing::{ObservationBuilder, decide};
/// use doproxy_policy_sdk::{
///     Decision, MetricRequirement, Observation, Outcome, Policy, Problem, export_policy, parse_json,
/// };
///
/// #[derive(serde::Deserialize)]
/// pub struct Config {
///     spare: u32,
/// }
///
/// impl Config {
///     pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
///         parse_json(json)
///     }
/// }
///
/// fn keep_spare(config: &Config, observation: &Observation, state: &[u8]) -> Decision {
///     let busy = observation.fleet.iter().filter(|droplet| droplet.load.is_some_and(|load| load.sessions > 0));
///     let size = observation.limits.clamp(busy.count() as u32 + config.spare);
///     Decision { outcome: Outcome::ScaleTo(size), ..Decision::hold(format!("{} to spare", config.spare), state) }
/// }
///
/// export_policy! {
///     /// Keeps some droplets idle.
///     pub struct Spare;
///     config: Config,
///     schema: r#"{"properties": {"spare": {"type": "integer", "minimum": 0}}, "required": ["spare"]}"#,
///     metrics: [MetricRequirement { name: "haproxy.sessions", window_ms: 60_000 }],
///     decide: keep_spare,
/// }
///
/// assert_eq!(Spare::METRIC_REQUIREMENTS[0].name, "haproxy.sessions");
/// let decision = decide::<Spare>(r#"{"spare": 2}"#, ObservationBuilder::at(0).serving(1), b"");
/// assert_eq!(decision.outcome, Outcome::ScaleTo(2));
/// ```
#[macro_export]
macro_rules! export_policy {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident;
        config: $config:ty,
        schema: $schema:expr,
        $(metrics: $metrics:expr,)?
        decide: $decide:expr $(,)?
    ) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub struct $name;

        impl $crate::Policy for $name {
            type Config = $config;

            const MANIFEST: $crate::Manifest = $crate::manifest!($schema);

            $(const METRIC_REQUIREMENTS: &'static [$crate::MetricRequirement] = &$metrics;)?

            fn parse(json: &str) -> Result<Self::Config, Vec<$crate::Problem>> {
                <$config>::parse(json)
            }

            fn decide(config: &Self::Config, observation: &$crate::Observation, state: &[u8]) -> $crate::Decision {
                let decide: fn(&Self::Config, &$crate::Observation, &[u8]) -> $crate::Decision = $decide;
                decide(config, observation, state)
            }
        }

        #[cfg(target_family = "wasm")]
        #[expect(unsafe_code, reason = "generated")]
        mod component {
            $crate::export_policy_component!(super::$name);
        }
    };
}
