//! Scaling policy that keeps metrics at their targets.
//!
//! For a metric that is a total over the fleet, with a target T per droplet, a value v needs `ceil(v/T)` droplets. For
//! a metric that is an average over the droplets, with a target T and n ready droplets, it needs `ceil(n·v/T)`. The
//! largest need of several metrics applies. `ceil` is computed for x − 10⁻⁹, to compensate for division errors. A rule
//! and the following stages turn the need into a size:
//!
//! - [`ratio`]: a metric within the tolerance of its target needs the current size. Kubernetes' Horizontal Pod
//!   Autoscaler (`pkg/controller/podautoscaler`, `replica_calculator.go` and `horizontal.go`), DigitalOcean, GCE.
//! - [`alarms`]: consecutive minutes above the target, or well below it. AWS target tracking.
//! - `panic`: a mean over a minute, and one over seconds that takes precedence when it doubles. Knative's autoscaler
//!   (`pkg/autoscaler/scaling/autoscaler.go`).
//! - then the window of recommendations and the step limits: [`mod@decide`].
//!
//! [`preset`] contains the constants of these autoscalers.

pub mod alarms;
pub mod config;
pub mod decide;
pub mod measure;
pub mod panic;
pub mod preset;
pub mod ratio;
mod reason;

use config::Config;
use doproxy_policy_sdk::export_policy;

export_policy! {
    /// The policy.
    pub struct TargetTracking;
    config: Config,
    schema: include_str!("schema.json"),
    decide: decide::decide,
}
