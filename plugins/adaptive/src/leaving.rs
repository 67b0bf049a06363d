//! Who goes where there are too many. A droplet that is paid for is not removed: that saves nothing, and it is room for what
//! nobody expects.

use policy_kit::numbers::{count, real};
use policy_kit::{Droplet, Observation, Phase};

/// Who goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// By id: those on their way, the newest first, then those that have been paid for the longest.
    pub first: Vec<u64>,
    /// Droplets that would go if nothing were paid for.
    pub kept: u32,
}

impl Leaving {
    /// For a fleet of which `wanted` are to stay.
    pub fn of(observation: &Observation, wanted: u32) -> Self {
        let all = counted(observation).count();
        let too_many = all.saturating_sub(wanted as usize);
        if too_many == 0 || counted(observation).all(|droplet| droplet.paid_until.is_none()) {
            return Self::default();
        }
        let mut going = free(observation, false);
        going.reverse();
        going.truncate(too_many);
        // Those that are paid for and on their way stay, and serve later only: as many must serve as if they went.
        let serving = counted(observation).filter(|droplet| droplet.phase == Phase::Serving).count();
        let spare = serving.saturating_sub(wanted as usize).min(too_many - going.len());
        going.extend(free(observation, true).into_iter().take(spare));
        let kept = count(too_many - going.len());
        Self { first: going.into_iter().filter_map(|(_, id)| id).collect(), kept }
    }
}

/// The longest that a droplet is paid for beforehand, in seconds.
pub fn paid_for_s(observation: &Observation) -> f64 {
    let ahead = |droplet: &Droplet| droplet.paid_until.map_or(0, |until| until.saturating_sub(observation.now));
    real(counted(observation).map(ahead).max().unwrap_or(0)) / 1000.0
}

fn counted(observation: &Observation) -> impl Iterator<Item = &Droplet> {
    observation.fleet.iter().filter(|droplet| droplet.phase.counts())
}

/// Those that serve, or those on their way, of which nothing is paid for any more: until when they were, and their ids,
/// the oldest first.
fn free(observation: &Observation, serve: bool) -> Vec<(u64, Option<u64>)> {
    let mut free: Vec<(u64, Option<u64>)> = counted(observation)
        .filter(|droplet| (droplet.phase == Phase::Serving) == serve)
        .map(|droplet| (droplet.paid_until.unwrap_or(0), droplet.id))
        .filter(|(until, _)| *until <= observation.now)
        .collect();
    free.sort_unstable();
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy_kit::testing::{Scene, droplet};

    const NOW: u64 = 86_400_000;
    const OVER: u64 = NOW - 1000;
    const AHEAD: u64 = NOW + 60_000;

    /// Droplets numbered from 1, each in a phase and paid for until a time.
    fn fleet(droplets: &[(Phase, u64)]) -> Observation {
        let mut observation = Scene::at(NOW).observation();
        let numbered = droplets.iter().zip(1..);
        observation.fleet = numbered
            .map(|((phase, until), id)| Droplet { id: Some(id), paid_until: Some(*until), ..droplet(*phase, 0) })
            .collect();
        observation
    }

    #[test]
    fn those_that_were_paid_for_the_longest_go_and_those_that_are_paid_for_stay() {
        use Phase::Serving;
        let fleet = fleet(&[(Serving, AHEAD), (Serving, OVER), (Serving, OVER - 1), (Serving, AHEAD)]);

        assert_eq!(Leaving::of(&fleet, 3), Leaving { first: vec![3], kept: 0 });
        assert_eq!(Leaving::of(&fleet, 1), Leaving { first: vec![3, 2], kept: 1 });
        assert_eq!(Leaving::of(&fleet, 4), Leaving::default());
    }

    #[test]
    fn those_on_their_way_go_first_and_the_newest_of_them_before_the_others() {
        let fleet = fleet(&[(Phase::Serving, OVER - 9), (Phase::Booting, OVER - 1), (Phase::Warming, OVER - 2)]);

        assert_eq!(Leaving::of(&fleet, 1), Leaving { first: vec![2, 3], kept: 0 });
    }

    #[test]
    fn none_that_serves_goes_for_one_that_is_paid_for_and_does_not_serve_yet() {
        let fleet = fleet(&[(Phase::Serving, OVER), (Phase::Serving, OVER), (Phase::Booting, AHEAD)]);

        assert_eq!(Leaving::of(&fleet, 2), Leaving { first: vec![], kept: 1 });
        assert_eq!(Leaving::of(&fleet, 1), Leaving { first: vec![1], kept: 1 });
    }

    #[test]
    fn where_nobody_knows_what_is_paid_for_the_host_chooses() {
        assert_eq!(Leaving::of(&Scene::at(NOW).serving(5).observation(), 2), Leaving::default());
    }

    #[test]
    fn what_is_paid_for_beforehand_is_seen_on_the_newest() {
        let seen = [fleet(&[(Phase::Serving, OVER), (Phase::Booting, AHEAD)]), fleet(&[(Phase::Serving, OVER)])];

        assert_eq!(seen.map(|fleet| format!("{:.3}", paid_for_s(&fleet))), ["60.000", "0.000"]);
    }
}
