//! Shrinks an observation while it still violates a property, so that the cause is easy to see.

use crate::test::observation_builder::{
    DropletFixture, FleetFixture, LimitsFixture, MetricFixture, ObservationFixture, SeriesFixture,
};

/// Returns observations that are simpler than `from` in one aspect each; the greatest simplification first.
pub(super) fn simplifications(from: &ObservationFixture) -> Vec<ObservationFixture> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut ObservationFixture)| {
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
        for metric in metric_simplifications(metric) {
            with(&|to| {
                to.metrics.as_mut().map(|metrics| metrics.insert(name.clone(), metric.clone()));
            });
        }
    }
    for fleet in from.fleet.iter().flat_map(fleet_simplifications) {
        with(&|to| to.fleet = Some(fleet.clone()));
    }
    if let Some(limits) = from.limits {
        for simple in
            [LimitsFixture::default(), LimitsFixture { min: 1, ..limits }, LimitsFixture { max: 10, ..limits }]
        {
            with(&|to| to.limits = Some(simple));
        }
        with(&|to| to.limits = to.limits.filter(|limits| *limits != LimitsFixture::default()));
    }
    found
}

fn fleet_simplifications(fleet: &FleetFixture) -> Vec<FleetFixture> {
    match fleet {
        FleetFixture::Serving(count) => [1, count / 2, count.saturating_sub(1)]
            .into_iter()
            .filter(|less| less < count)
            .map(FleetFixture::Serving)
            .collect(),
        FleetFixture::Droplets(droplets) => {
            let mut found = vec![FleetFixture::Serving(u32::try_from(droplets.len()).unwrap_or(1))];
            let (first, second) = droplets.split_at(droplets.len() / 2);
            found.extend([first, second].map(|half| FleetFixture::Droplets(half.to_vec())));
            for place in 0..droplets.len() {
                let mut without = droplets.clone();
                without.remove(place);
                found.push(FleetFixture::Droplets(without));
                let mut plainer = droplets.clone();
                plainer[place] = DropletFixture { phase: plainer[place].phase, ..DropletFixture::default() };
                found.push(FleetFixture::Droplets(plainer));
            }
            found
        }
    }
}

fn metric_simplifications(metric: &MetricFixture) -> Vec<MetricFixture> {
    match metric {
        MetricFixture::Latest(value) => rounder(*value).into_iter().map(MetricFixture::Latest).collect(),
        MetricFixture::Samples(values) => {
            let mut found: Vec<MetricFixture> =
                values.last().map(|last| MetricFixture::Latest(*last)).into_iter().collect();
            found.extend(shorter(values).into_iter().map(MetricFixture::Samples));
            found
        }
        MetricFixture::Series(series) => {
            let mut found = vec![MetricFixture::Samples(series.samples.clone())];
            let plain = SeriesFixture { interval: None, ended: None, ..series.clone() };
            found.push(MetricFixture::Series(plain));
            found.extend(
                shorter(&series.samples)
                    .into_iter()
                    .map(|samples| MetricFixture::Series(SeriesFixture { samples, ..series.clone() })),
            );
            found
        }
        MetricFixture::MultiSeries(several) => several.iter().cloned().map(MetricFixture::Series).collect(),
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

/// Returns rounder numbers of similar magnitude.
fn rounder(value: f64) -> Vec<f64> {
    let mut found = vec![0.0, 1.0, value.round()];
    if value.is_finite() && value.abs() >= 1.0 {
        let step = 10_f64.powf(value.abs().log10().floor());
        found.push((value / step).round() * step);
    }
    #[expect(clippy::float_cmp, reason = "tests for an exact value, not for approximate equality")]
    found
        .retain(|round| round.abs() < value.abs() || (*round != value && round.fract() == 0.0 && value.fract() != 0.0));
    found
}

#[cfg(test)]
mod tests;
