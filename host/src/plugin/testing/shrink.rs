//! Making a situation smaller while a rule stays broken in it, so that a person sees what it hangs on.

use super::situation::{DropletText, Fleet, LimitsText, Metric, SeriesText, Situation};

/// Situations that are simpler than `from` in one thing each; the greatest simplification first.
pub(super) fn simpler(from: &Situation) -> Vec<Situation> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut Situation)| {
        let mut changed = from.clone();
        change(&mut changed);
        if changed != *from {
            found.push(changed);
        }
    };
    with(&|to| to.facts = None);
    with(&|to| to.last_scale_in = None);
    with(&|to| to.last_scale_out = None);
    with(&|to| to.boot_time = None);
    with(&|to| to.tick = None);
    with(&|to| to.now = None);
    with(&|to| to.metrics = None);
    for name in from.metrics.iter().flatten().map(|(name, _)| name) {
        with(&|to| {
            to.metrics.as_mut().map(|metrics| metrics.remove(name));
        });
    }
    for (name, metric) in from.metrics.iter().flatten() {
        for metric in simpler_metrics(metric) {
            with(&|to| {
                to.metrics.as_mut().map(|metrics| metrics.insert(name.clone(), metric.clone()));
            });
        }
    }
    for fleet in from.fleet.iter().flat_map(simpler_fleets) {
        with(&|to| to.fleet = Some(fleet.clone()));
    }
    if let Some(limits) = from.limits {
        for simple in [LimitsText::default(), LimitsText { min: 1, ..limits }, LimitsText { max: 10, ..limits }] {
            with(&|to| to.limits = Some(simple));
        }
        with(&|to| to.limits = to.limits.filter(|limits| *limits != LimitsText::default()));
    }
    found
}

fn simpler_fleets(fleet: &Fleet) -> Vec<Fleet> {
    match fleet {
        Fleet::Serving(count) => [1, count / 2, count.saturating_sub(1)]
            .into_iter()
            .filter(|less| less < count)
            .map(Fleet::Serving)
            .collect(),
        Fleet::Droplets(droplets) => {
            let mut found = vec![Fleet::Serving(u32::try_from(droplets.len()).unwrap_or(1))];
            let (first, second) = droplets.split_at(droplets.len() / 2);
            found.extend([first, second].map(|half| Fleet::Droplets(half.to_vec())));
            for place in 0..droplets.len() {
                let mut without = droplets.clone();
                without.remove(place);
                found.push(Fleet::Droplets(without));
                let mut plainer = droplets.clone();
                plainer[place] = DropletText { phase: plainer[place].phase, ..DropletText::default() };
                found.push(Fleet::Droplets(plainer));
            }
            found
        }
    }
}

fn simpler_metrics(metric: &Metric) -> Vec<Metric> {
    match metric {
        Metric::Now(value) => rounder(*value).into_iter().map(Metric::Now).collect(),
        Metric::Past(values) => {
            let mut found: Vec<Metric> = values.last().map(|last| Metric::Now(*last)).into_iter().collect();
            found.extend(shorter(values).into_iter().map(Metric::Past));
            found
        }
        Metric::Whole(series) => {
            let mut found = vec![Metric::Past(series.samples.clone())];
            let plain = SeriesText { interval: None, ended: None, ..series.clone() };
            found.push(Metric::Whole(plain));
            found.extend(
                shorter(&series.samples)
                    .into_iter()
                    .map(|samples| Metric::Whole(SeriesText { samples, ..series.clone() })),
            );
            found
        }
        Metric::Several(several) => several.iter().cloned().map(Metric::Whole).collect(),
    }
}

fn shorter(values: &[f64]) -> Vec<Vec<f64>> {
    let half = values.len() / 2;
    let mut found = vec![values[..half].to_vec(), values[half..].to_vec()];
    found.extend(values.last().map(|last| vec![*last; values.len()]));
    found.extend((values.len() > 1).then(|| values[1..].to_vec()));
    found.retain(|shorter| shorter != values);
    found
}

/// Rounder numbers of the same size.
fn rounder(value: f64) -> Vec<f64> {
    let mut found = vec![0.0, 1.0, value.round()];
    if value.is_finite() && value.abs() >= 1.0 {
        let step = 10_f64.powf(value.abs().log10().floor());
        found.push((value / step).round() * step);
    }
    #[expect(clippy::float_cmp, reason = "whether it is rounder, not whether it is near")]
    found
        .retain(|round| round.abs() < value.abs() || (*round != value && round.fract() == 0.0 && value.fract() != 0.0));
    found
}

#[cfg(test)]
mod tests {
    use super::super::{chance::Chance, generate};
    use super::*;

    #[test]
    fn every_way_of_making_it_simpler_comes_to_an_end() {
        let names = ["haproxy.sessions".to_owned(), "custom.queue".to_owned()];
        for case in 0..50 {
            let mut situation = generate::situation(&mut Chance::of_case(1, case), &names);
            let mut steps = 0;
            while let Some(next) = simpler(&situation).into_iter().next() {
                situation = next;
                steps += 1;
                assert!(steps < 500, "{situation:?}");
            }
        }
    }
}
