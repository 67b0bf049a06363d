//! Scale-in: the droplets to delete first. A droplet that is paid for is not deleted: that saves nothing, and it
//! provides headroom for unexpected load.

use doproxy_policy_sdk::numbers::{saturating_u32, to_f64};
use doproxy_policy_sdk::{Droplet, Observation, Phase};

/// The droplets to delete.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ScaleIn {
    /// IDs in deletion order: starting droplets, newest first, then those whose paid period expired the longest ago.
    pub delete_first: Vec<u64>,
    /// Number of surplus droplets retained because they are paid for.
    pub retained: u32,
}

impl ScaleIn {
    /// Selects the droplets to delete so that `wanted` remain.
    pub fn plan(observation: &Observation, wanted: u32) -> Self {
        let all = active(observation).count();
        let too_many = all.saturating_sub(wanted as usize);
        if too_many == 0 || active(observation).all(|droplet| droplet.paid_until.is_none()) {
            return Self::default();
        }
        let mut going = unpaid(observation, false);
        going.reverse();
        going.truncate(too_many);
        // Starting droplets that are paid for stay but serve later, so as many serving droplets must remain as if the
        // starting ones were deleted.
        let serving = active(observation).filter(|droplet| droplet.phase == Phase::Serving).count();
        let spare = serving.saturating_sub(wanted as usize).min(too_many - going.len());
        going.extend(unpaid(observation, true).into_iter().take(spare));
        let kept = saturating_u32(too_many - going.len());
        Self { delete_first: going.into_iter().filter_map(|(_, id)| id).collect(), retained: kept }
    }
}

/// Returns the longest remaining paid period of any droplet, in seconds.
pub fn max_prepaid_s(observation: &Observation) -> f64 {
    let ahead = |droplet: &Droplet| droplet.paid_until.map_or(0, |until| until.saturating_sub(observation.now));
    to_f64(active(observation).map(ahead).max().unwrap_or(0)) / 1000.0
}

fn active(observation: &Observation) -> impl Iterator<Item = &Droplet> {
    observation.fleet.iter().filter(|droplet| droplet.phase.is_active())
}

/// Returns the serving (or starting) droplets whose paid period expired: its end and their IDs, earliest first.
fn unpaid(observation: &Observation, serve: bool) -> Vec<(u64, Option<u64>)> {
    let mut free: Vec<(u64, Option<u64>)> = active(observation)
        .filter(|droplet| (droplet.phase == Phase::Serving) == serve)
        .map(|droplet| (droplet.paid_until.unwrap_or(0), droplet.id))
        .filter(|(until, _)| *until <= observation.now)
        .collect();
    free.sort_unstable();
    free
}

#[cfg(test)]
mod tests {
    use doproxy_policy_sdk::testing::{ObservationBuilder, droplet};

    use super::*;

    const NOW: u64 = 86_400_000;
    const EXPIRED: u64 = NOW - 1000;
    const PREPAID: u64 = NOW + 60_000;

    /// Creates droplets numbered from 1, each in a phase and paid for until a time.
    fn fleet(droplets: &[(Phase, u64)]) -> Observation {
        let mut observation = ObservationBuilder::at(NOW).build();
        let numbered = droplets.iter().zip(1..);
        observation.fleet = numbered
            .map(|((phase, until), id)| Droplet { id: Some(id), paid_until: Some(*until), ..droplet(*phase, 0) })
            .collect();
        observation
    }

    #[test]
    fn longest_expired_go_first_and_prepaid_stay() {
        use Phase::Serving;
        let fleet = fleet(&[(Serving, PREPAID), (Serving, EXPIRED), (Serving, EXPIRED - 1), (Serving, PREPAID)]);

        assert_eq!(ScaleIn::plan(&fleet, 3), ScaleIn { delete_first: vec![3], retained: 0 });
        assert_eq!(ScaleIn::plan(&fleet, 1), ScaleIn { delete_first: vec![3, 2], retained: 1 });
        assert_eq!(ScaleIn::plan(&fleet, 4), ScaleIn::default());
    }

    #[test]
    fn starting_droplets_go_first_newest_before_oldest() {
        let fleet =
            fleet(&[(Phase::Serving, EXPIRED - 9), (Phase::Booting, EXPIRED - 1), (Phase::Warming, EXPIRED - 2)]);

        assert_eq!(ScaleIn::plan(&fleet, 1), ScaleIn { delete_first: vec![2, 3], retained: 0 });
    }

    #[test]
    fn serving_droplet_stays_until_prepaid_one_serves() {
        let fleet = fleet(&[(Phase::Serving, EXPIRED), (Phase::Serving, EXPIRED), (Phase::Booting, PREPAID)]);

        assert_eq!(ScaleIn::plan(&fleet, 2), ScaleIn { delete_first: vec![], retained: 1 });
        assert_eq!(ScaleIn::plan(&fleet, 1), ScaleIn { delete_first: vec![1], retained: 1 });
    }

    #[test]
    fn host_chooses_when_prices_are_unknown() {
        assert_eq!(ScaleIn::plan(&ObservationBuilder::at(NOW).serving(5).build(), 2), ScaleIn::default());
    }

    #[test]
    fn prepaid_time_is_read_from_the_newest_droplet() {
        let observed =
            [fleet(&[(Phase::Serving, EXPIRED), (Phase::Booting, PREPAID)]), fleet(&[(Phase::Serving, EXPIRED)])];

        assert_eq!(observed.map(|fleet| format!("{:.3}", max_prepaid_s(&fleet))), ["60.000", "0.000"]);
    }
}
