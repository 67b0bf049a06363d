//! Scores of a run: the elasticity measures of the SPEC Research Group, and cost.
//!
//! Sources: Herbst, Kounev, Reussner, "Elasticity in Cloud Computing" (2013); Ilyushkin et al., "An Experimental
//! Performance Evaluation of Autoscalers for Complex Workflows" (2017); Bauer et al., "Chameleon" (2019). None of these
//! measures ranks policies by itself: keeping a droplet over a gap shorter than its boot time is correct, yet counts as
//! over-provisioning. The ranking uses the unserved share, the cost over the limit at that share, and the frequency of
//! size changes.

use serde::{Deserialize, Serialize};

use crate::bound::{Limit, SLO_PCT};
use crate::model::fluid::{Run, Setup, Step};
use crate::number::{ceil_to_u32, len_to_f64, to_f64, to_tick};

/// The measures of a run. Field names are those of the `--json` output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Under-provisioning: mean share of required droplets that were missing, in percent.
    pub theta_u: f64,
    /// Over-provisioning: mean share of droplets beyond the required number, in percent.
    pub theta_o: f64,
    /// Ticks with too few droplets, in percent.
    pub tau_u: f64,
    /// Ticks with too many droplets, in percent.
    pub tau_o: f64,
    /// Instability: ticks in which supply and demand moved in different directions, in percent.
    pub upsilon: f64,
    /// Auto-scaling deviation: the five measures above combined by the 5-norm.
    pub sigma: f64,
    /// Unserved requests, in percent.
    pub unserved_pct: f64,
    /// Requests waiting at the end, in percent of all requests; only with [`Overload::Queue`](crate::model::fluid::Overload).
    pub backlog_pct: f64,
    /// Size changes per hour.
    pub adaptations_per_h: f64,
    /// Billed hours, without a minimum charge.
    pub droplet_hours: f64,
    /// Cost in dollars, including the minimum charge.
    pub cost: f64,
    /// Hours billed by the clairvoyant optimum, which leaves nothing unserved.
    pub optimum_droplet_hours: f64,
    /// Cost including the minimum charge, relative to the optimum, which has no minimum charge.
    pub cost_over_optimum: f64,
    /// Cost relative to the lowest cost possible for any policy with the same unserved share.
    pub cost_over_limit: f64,
    /// Cost relative to the lowest cost possible for any policy that leaves `SLO_PCT` unserved. It ranks the policies
    /// that meet this objective; `None` if more is unserved.
    pub cost_over_limit_at_slo: Option<f64>,
}

/// The price of a droplet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriceModel {
    /// Dollars per hour.
    pub hourly: f64,
    /// Minimum billed time per droplet, in seconds.
    pub minimum_s: f64,
}

impl PriceModel {
    /// Returns the minimum charge in ticks, rounded up.
    pub fn minimum_ticks(&self, tick_s: f64) -> u32 {
        ceil_to_u32(self.minimum_s / tick_s)
    }
}

impl Score {
    /// Scores a run. `limit` must be computed from the same demand.
    pub fn of(run: &Run, setup: &Setup, price_model: &PriceModel, limit: &Limit) -> Self {
        let steps = &run.steps;
        let hours = len_to_f64(steps) * setup.tick_s / 3600.0;
        let requests: f64 = steps.iter().map(|step| step.demand).sum::<f64>() * setup.tick_s;
        let unserved: f64 = steps.iter().map(|step| step.unserved).sum();
        let backlog = steps.last().map_or(0.0, |step| step.backlog);
        let minimum = price_model.minimum_ticks(setup.tick_s);
        let billed = run.cost_meter.billed_ticks(minimum);
        let in_hours = |ticks: u64| to_f64(ticks) * setup.tick_s / 3600.0;
        let deviation = Deviation::of(steps);
        Self {
            theta_u: deviation.theta_u,
            theta_o: deviation.theta_o,
            tau_u: deviation.tau_u,
            tau_o: deviation.tau_o,
            upsilon: deviation.upsilon,
            sigma: deviation.sigma(),
            unserved_pct: percent(unserved, requests),
            backlog_pct: percent(backlog, requests),
            adaptations_per_h: ratio(f64::from(run.cost_meter.adaptations), hours),
            droplet_hours: in_hours(run.cost_meter.ticks),
            cost: in_hours(billed) * price_model.hourly,
            optimum_droplet_hours: in_hours(limit.optimum().ticks),
            cost_over_optimum: ratio(to_f64(billed), to_f64(limit.optimum().ticks)),
            cost_over_limit: ratio(to_f64(billed), limit.min_ticks(unserved + backlog)),
            cost_over_limit_at_slo: (percent(unserved + backlog, requests) <= SLO_PCT)
                .then(|| ratio(to_f64(billed), limit.ticks_at_slo())),
        }
    }
}

/// The deviation of supply from demand; all values in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Deviation {
    theta_u: f64,
    theta_o: f64,
    tau_u: f64,
    tau_o: f64,
    upsilon: f64,
}

impl Deviation {
    fn of(steps: &[Step]) -> Self {
        let mut sum = Self::default();
        for step in steps {
            let (needed, there) = (f64::from(step.required), f64::from(step.ready));
            sum.theta_u += (needed - there).max(0.0) / needed.max(1.0);
            sum.theta_o += (there - needed).max(0.0) / needed.max(1.0);
        }
        let count = |is: fn(&&Step) -> bool| f64::from(to_tick(steps.iter().filter(is).count()));
        let moves = steps
            .windows(2)
            .filter(|pair| pair[1].ready.cmp(&pair[0].ready) != pair[1].required.cmp(&pair[0].required));
        let ticks = len_to_f64(steps);
        Self {
            theta_u: percent(sum.theta_u, ticks),
            theta_o: percent(sum.theta_o, ticks),
            tau_u: percent(count(|step| step.ready < step.required), ticks),
            tau_o: percent(count(|step| step.ready > step.required), ticks),
            upsilon: percent(f64::from(to_tick(moves.count())), ticks - 1.0),
        }
    }

    fn sigma(&self) -> f64 {
        let parts = [self.theta_u, self.theta_o, self.tau_u, self.tau_o, self.upsilon];
        parts.iter().map(|part| part.powi(5)).sum::<f64>().powf(0.2)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn percent(part: f64, whole: f64) -> f64 {
    100.0 * ratio(part, whole)
}
