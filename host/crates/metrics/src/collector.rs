//! Polls due sources and converts their results into series.

use std::sync::Arc;
use std::time::Duration;

use doproxy_core::domain::{DropletId, Sample, Series, SeriesId, SeriesRef, Timestamp};
use doproxy_core::pipeline::{FleetLoad, SERIES};
use doproxy_digitalocean::DigitalOcean;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::error::SourceError;
use crate::options::{Options, SourceOptions};
use crate::requirements::MetricRequirements;
use crate::sources::digitalocean::DERIVED_SERIES;
use crate::sources::poll::{Poll, PollResult, PolledSeries};
use crate::sources::source::Source;
use crate::store::time_series_store::{SeriesKey, TimeSeriesStore};

/// The number of intervals after which a series without a new sample is stale.
const STALE_AFTER_INTERVALS: u32 = 3;

/// Collects the samples of all sources in the time-series store, and provides them to policies.
#[derive(Debug)]
pub struct Collector {
    options: Options,
    store: Arc<TimeSeriesStore>,
    requirements: MetricRequirements,
    builtin: BuiltinSource,
    scheduled: Vec<ScheduledSource>,
    /// Polls in progress, with their results.
    polls: JoinSet<Result<PollResult, SourceError>>,
    droplets: Arc<[DropletId]>,
}

/// HAProxy's own series: always present, and read by the caller.
#[derive(Debug)]
struct BuiltinSource {
    health: SourceHealth,
    /// In the order of `SERIES`; `None` in the unlikely case that there are too many series.
    ids: [Option<SeriesId>; SERIES.len()],
}

/// A configured source.
#[derive(Debug)]
struct ScheduledSource {
    options: SourceOptions,
    source: Arc<Source>,
    health: SourceHealth,
    /// The time of the last poll.
    last_poll: Option<Timestamp>,
    /// The poll in progress, and its start time.
    in_flight: Option<(Id, Timestamp)>,
}

/// The state of a source.
#[derive(Debug, Default)]
struct SourceHealth {
    /// The series of its last successful poll; its other series no longer exist.
    current: Vec<SeriesId>,
    /// The time and error of the last poll; `None` if it succeeded.
    failure: Option<(Timestamp, String)>,
    /// `true` after the first successful poll in this process.
    has_responded: bool,
}

/// The status of a source, for `status` and `check`.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// The name of its series, or their common prefix.
    pub name: String,
    /// Its kind and address.
    pub description: String,
    /// Its series.
    pub series: Vec<SeriesStatus>,
    /// The time and error of the last poll, if it failed.
    pub failure: Option<(Timestamp, String)>,
}

/// The status of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesStatus {
    /// Its name, with its labels as Prometheus writes them.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its newest sample.
    pub newest: Option<Sample>,
    /// `true` if its source failed or its newest sample is too old.
    pub stale: bool,
}

impl Collector {
    /// Creates a collector without polling any source. Sources that need the API fail without `cloud`.
    pub fn new(options: Options, store: Arc<TimeSeriesStore>, cloud: Option<&DigitalOcean>) -> Self {
        let ids = SERIES.map(|(name, unit)| {
            store.get_or_create(&SeriesKey { name: name.to_owned(), labels: Vec::new(), unit: unit.to_owned() })
        });
        let slots = options.sources.iter().map(|options| ScheduledSource {
            source: Arc::new(Source::new(options, cloud)),
            health: SourceHealth {
                current: recent_series(&store, &options.names(), options.interval),
                ..SourceHealth::default()
            },
            options: options.clone(),
            last_poll: None,
            in_flight: None,
        });
        let slots = slots.collect();
        let host_names = SERIES.map(|(name, _)| name.to_owned());
        // All samples of one poll of HAProxy have the same time.
        let current = recent_series(&store, &host_names, Duration::ZERO);
        let host = BuiltinSource { health: SourceHealth { current, ..SourceHealth::default() }, ids };
        let (needs, polls) = (MetricRequirements::default(), JoinSet::new());
        Self { options, store, requirements: needs, builtin: host, scheduled: slots, polls, droplets: Arc::default() }
    }

    /// Sets the requirements of the policies, which determine the lookback to request and to keep in memory. Must be
    /// called before the first [`collect`](Self::collect), and whenever the policies change.
    pub fn set_requirements(&mut self, needs: MetricRequirements, now: Timestamp) {
        let own = self.scheduled.iter().map(|slot| slot.options.lookback).max().unwrap_or_default();
        self.store.extend_horizon(needs.max_window().max(own), now);
        self.requirements = needs;
    }

    /// Sets the droplets for sources that poll each droplet; HAProxy's statistics also set them.
    pub fn set_droplets(&mut self, mut droplets: Vec<DropletId>) {
        droplets.sort_unstable();
        droplets.dedup();
        self.droplets = droplets.into();
    }

    /// Returns the underlying time-series store.
    pub fn store(&self) -> &Arc<TimeSeriesStore> {
        &self.store
    }

    /// Returns the options of the collector.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Records the load that HAProxy reported (`None` if HAProxy is unreachable), polls all due sources, waits a short time for
    /// them, and appends new samples. Never fails: failures are in [`sources`](Self::sources).
    pub async fn collect(&mut self, now: Timestamp, haproxy: Option<&FleetLoad>) {
        // Writes the samples that no decision record has flushed. The store reports write errors itself.
        let _ = self.store.flush();
        let _ = self.store.prune(&self.options.retention, now);
        self.record_haproxy(now, haproxy);
        self.start_polls(now);
        let until = Instant::now() + self.options.poll_wait;
        while let Ok(Some(ended)) = timeout_at(until, self.polls.join_next_with_id()).await {
            match ended {
                Ok((id, result)) => self.complete_poll(id, now, result),
                Err(error) => self.complete_poll(error.id(), now, Err(SourceError::Panicked(error.to_string()))),
            }
        }
    }

    /// Returns references to the series for policies, HAProxy's first, each with the required samples and at least the
    /// newest.
    pub fn refs(&self, now: Timestamp) -> Vec<SeriesRef> {
        let window = |name: &str, own: Duration| self.requirements.window(name).unwrap_or(own);
        let mut refs = Vec::with_capacity(SERIES.len() + self.scheduled.len());
        for id in &self.builtin.health.current {
            let name =
                SERIES.iter().zip(self.builtin.ids).find(|(_, own)| *own == Some(*id)).map_or("", |(one, _)| one.0);
            let stale = self.is_stale(&self.builtin.health, *id, self.options.interval, now);
            refs.extend(self.store.window_ref(*id, window(name, Duration::ZERO), now, self.options.interval, stale));
        }
        for slot in &self.scheduled {
            let interval = slot.options.interval;
            let before = refs.len();
            for id in &slot.health.current {
                let name = self.store.name(*id).unwrap_or_default();
                let stale = self.is_stale(&slot.health, *id, interval, now);
                refs.extend(self.store.window_ref(*id, window(&name, slot.options.lookback), now, interval, stale));
            }
            // A failed source without samples still has a series, so that policies do not treat it as removed.
            if refs.len() == before && (slot.health.failure.is_some() || !slot.health.has_responded) {
                refs.extend(slot.options.names().into_iter().map(|name| empty_series(slot, name, now)));
            }
        }
        refs
    }

    /// Returns the series for policies. If a long window cannot be read, its series is stale and empty.
    pub fn series(&self, now: Timestamp) -> Vec<Series> {
        let read = |reference: &SeriesRef| match self.store.window(reference) {
            Ok(samples) => reference.with_samples(samples),
            Err(error) => {
                tracing::warn!("{error}");
                SeriesRef { stale: true, ..reference.clone() }.with_samples(Vec::new())
            }
        };
        self.refs(now).iter().map(read).collect()
    }

    /// Returns the status of each source, HAProxy first.
    pub fn sources(&self, now: Timestamp) -> Vec<SourceStatus> {
        let series = |feed: &SourceHealth, interval: Duration| -> Vec<SeriesStatus> {
            let known = feed.current.iter().filter_map(|id| Some((*id, self.store.key(*id)?)));
            let status = known.map(|(id, key)| SeriesStatus {
                name: labeled_name(&key),
                unit: key.unit,
                newest: self.store.newest(id),
                stale: self.is_stale(feed, id, interval, now),
            });
            status.collect()
        };
        let host = SourceStatus {
            name: "haproxy".to_owned(),
            description: "HAProxy's runtime API".to_owned(),
            series: series(&self.builtin.health, self.options.interval),
            failure: self.builtin.health.failure.clone(),
        };
        let others = self.scheduled.iter().map(|slot| SourceStatus {
            name: slot.options.name.clone(),
            description: slot.options.description(),
            series: series(&slot.health, slot.options.interval),
            failure: slot.health.failure.clone(),
        });
        std::iter::once(host).chain(others).collect()
    }

    fn is_stale(&self, feed: &SourceHealth, id: SeriesId, interval: Duration, now: Timestamp) -> bool {
        let late = |newest: Sample| now.since(newest.at) > interval.saturating_mul(STALE_AFTER_INTERVALS);
        feed.failure.is_some() || self.store.newest(id).is_none_or(late)
    }

    fn record_haproxy(&mut self, now: Timestamp, load: Option<&FleetLoad>) {
        let Some(load) = load else {
            self.builtin.health.record_failure(now, "HAProxy is unreachable".to_owned());
            return;
        };
        let mut current = Vec::with_capacity(SERIES.len());
        for (id, value) in self.builtin.ids.into_iter().zip(load.values) {
            if let (Some(id), Some(value)) = (id, value) {
                self.store.append(id, &[Sample { at: load.at, value }], now.max(load.at));
                current.push(id);
            }
        }
        self.builtin.health.record_success(current);
        self.set_droplets(load.servers.iter().map(|server| server.id).collect());
    }

    fn start_polls(&mut self, now: Timestamp) {
        for slot in &mut self.scheduled {
            let interval = slot.options.interval;
            // Ticks are not exact; without a tolerance, every second poll would be a tick late.
            let is_due = slot.last_poll.is_none_or(|asked| now.since(asked) + interval / 10 >= interval);
            if slot.in_flight.is_some() || !is_due {
                continue;
            }
            let newest =
                slot.health.current.iter().filter_map(|id| self.store.newest(*id)).map(|sample| sample.at).min();
            let windows = slot.options.names().into_iter().filter_map(|name| self.requirements.window(&name));
            let window = windows.fold(slot.options.lookback, Duration::max);
            let poll = Poll { now, newest, lookback: window, interval, droplets: Arc::clone(&self.droplets) };
            let source = Arc::clone(&slot.source);
            let poll_task = self.polls.spawn(async move { source.poll(&poll).await });
            slot.in_flight = Some((poll_task.id(), now));
            slot.last_poll = Some(now);
        }
    }

    fn complete_poll(&mut self, poll_task: Id, now: Timestamp, result: Result<PollResult, SourceError>) {
        let Some(slot) = self.scheduled.iter_mut().find(|slot| slot.in_flight.is_some_and(|(id, _)| id == poll_task))
        else {
            return;
        };
        slot.in_flight = None;
        match result {
            Ok(PollResult::Unchanged) => {}
            Ok(PollResult::Series(readings)) => {
                let mut current = Vec::with_capacity(readings.len());
                for reading in readings {
                    let Some(id) = self.store.get_or_create(&series_key(&slot.options, &reading)) else {
                        let why = "too many series in the time-series store: a label of this source is different in every poll";
                        return slot.health.record_failure(now, why.to_owned());
                    };
                    self.store.append(id, &reading.samples, now);
                    current.push(id);
                }
                slot.health.record_success(current);
            }
            Err(error) => {
                let message = error.to_string();
                if slot.health.failure.as_ref().is_none_or(|(_, before)| *before != message) {
                    tracing::warn!(source = slot.options.name, "{message}; its series are stale until it recovers");
                }
                slot.health.record_failure(now, message);
            }
        }
    }
}

impl SourceHealth {
    fn record_failure(&mut self, now: Timestamp, why: String) {
        self.failure = Some((now, why));
    }

    fn record_success(&mut self, current: Vec<SeriesId>) {
        self.current = current;
        self.failure = None;
        self.has_responded = true;
    }
}

/// Returns the series that a source had when doproxy stopped: those whose newest samples are about as recent as the
/// newest of all.
fn recent_series(store: &TimeSeriesStore, names: &[String], interval: Duration) -> Vec<SeriesId> {
    let named = names.iter().flat_map(|name| store.series_named(name));
    let known: Vec<(SeriesId, Timestamp)> = named.filter_map(|(id, newest)| Some((id, newest?))).collect();
    let newest = known.iter().map(|(_, at)| *at).max().unwrap_or_default();
    let oldest = newest.minus(interval.saturating_mul(STALE_AFTER_INTERVALS));
    known.into_iter().filter(|(_, at)| *at >= oldest).map(|(id, _)| id).collect()
}

fn series_key(options: &SourceOptions, reading: &PolledSeries) -> SeriesKey {
    let unit = DERIVED_SERIES.iter().find(|suffix| !reading.suffix.is_empty() && suffix.suffix == reading.suffix);
    let mut labels = reading.labels.clone();
    labels.sort_unstable();
    SeriesKey {
        name: format!("{}{}", options.name, reading.suffix),
        labels,
        unit: unit.map_or_else(|| options.unit.clone(), |suffix| suffix.unit.to_owned()),
    }
}

/// Returns a series without samples, which is not in the store.
fn empty_series(slot: &ScheduledSource, name: String, now: Timestamp) -> SeriesRef {
    SeriesRef {
        series: SeriesId::default(),
        name,
        unit: slot.options.unit.clone(),
        labels: Vec::new(),
        interval_ms: u64::try_from(slot.options.interval.as_millis()).unwrap_or(u64::MAX),
        stale: true,
        from: now,
        to: now,
        count: 0,
    }
}

/// Formats the name with its labels, in Prometheus notation.
fn labeled_name(key: &SeriesKey) -> String {
    if key.labels.is_empty() {
        return key.name.clone();
    }
    let labels: Vec<String> = key.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", key.name, labels.join(", "))
}
