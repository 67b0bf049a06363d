//! Asks sources when they are due, and makes series of what they said.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::digitalocean::SUFFIXES;
use super::haproxy::{self, SERIES, StatsAt};
use super::source::{Poll, Polled, Reading, Source};
use super::{Needs, Options, SourceError, SourceOptions};
use crate::cloud::digitalocean::DigitalOcean;
use crate::history::{History, HistoryError, SeriesKey};
use crate::model::{DropletId, Sample, Series, SeriesId, SeriesRef, Timestamp};

/// A series is late when its newest sample is older than so many intervals.
const LATE: u32 = 3;

/// Collects what sources say into the history, and says what policies see of it.
#[derive(Debug)]
pub struct Collector {
    options: Options,
    history: Arc<History>,
    needs: Needs,
    host: Host,
    slots: Vec<Slot>,
    /// Looks under way; they end with this value.
    looks: JoinSet<Result<Polled, SourceError>>,
    droplets: Arc<[DropletId]>,
}

/// HAProxy: always there, and read by whoever calls.
#[derive(Debug)]
struct Host {
    feed: Feed,
    /// In the order of `SERIES`; `None` in the unlikely case that there are too many series.
    ids: [Option<SeriesId>; SERIES.len()],
    before: Option<StatsAt>,
}

/// A source of the configuration.
#[derive(Debug)]
struct Slot {
    options: SourceOptions,
    source: Arc<Source>,
    feed: Feed,
    /// When it was asked last.
    asked: Option<Timestamp>,
    /// The look that is under way, and when it began.
    look: Option<(Id, Timestamp)>,
}

/// What is known of a source.
#[derive(Debug, Default)]
struct Feed {
    /// The series of its last answer; others of its names are not there any more.
    current: Vec<SeriesId>,
    /// Why it failed last, and when; `None` after an answer.
    failure: Option<(Timestamp, String)>,
    /// Whether it has ever answered this process.
    answered: bool,
}

/// How a source is doing, for `status` and `check`.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// The name of its series, or what their names begin with.
    pub name: String,
    /// What kind it is, and where it asks.
    pub description: String,
    /// Its series.
    pub series: Vec<SeriesStatus>,
    /// When it failed, and why, where it failed last.
    pub failure: Option<(Timestamp, String)>,
}

/// How a series is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesStatus {
    /// Its name, with its labels as Prometheus writes them.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its newest sample.
    pub newest: Option<Sample>,
    /// Whether its source failed or is late.
    pub stale: bool,
}

impl Collector {
    /// A collector that has asked nobody yet. Sources that need the API fail without `cloud`.
    pub fn new(options: Options, history: Arc<History>, cloud: Option<&DigitalOcean>) -> Self {
        let ids = SERIES.map(|(name, unit)| {
            history.series(&SeriesKey { name: name.to_owned(), labels: Vec::new(), unit: unit.to_owned() })
        });
        let slots = options.sources.iter().map(|options| Slot {
            source: Arc::new(Source::new(options, cloud)),
            feed: Feed { current: remembered(&history, &options.names(), options.interval), ..Feed::default() },
            options: options.clone(),
            asked: None,
            look: None,
        });
        let slots = slots.collect();
        let host_names = SERIES.map(|(name, _)| name.to_owned());
        // All of one look have the same time.
        let current = remembered(&history, &host_names, Duration::ZERO);
        let host = Host { feed: Feed { current, ..Feed::default() }, ids, before: None };
        let (needs, looks) = (Needs::default(), JoinSet::new());
        Self { options, history, needs, host, slots, looks, droplets: Arc::default() }
    }

    /// Says what policies need, for how much of the past is kept at hand and asked for. To be called before the first
    /// [`collect`](Self::collect), and when the policies change.
    pub fn set_needs(&mut self, needs: Needs, now: Timestamp) {
        let own = self.slots.iter().map(|slot| slot.options.window).max().unwrap_or_default();
        self.history.keep(needs.longest().max(own), now);
        self.needs = needs;
    }

    /// Says which droplets there are, for sources that ask for each; HAProxy's numbers say it too.
    pub fn set_droplets(&mut self, mut droplets: Vec<DropletId>) {
        droplets.sort_unstable();
        droplets.dedup();
        self.droplets = droplets.into();
    }

    /// The history behind it.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// What it was told.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes HAProxy's numbers (`None` where it could not be read), asks all sources that are due, waits for them for a
    /// moment, and appends what is new. Never fails: what failed is in [`sources`](Self::sources).
    pub async fn collect(&mut self, now: Timestamp, haproxy: Option<&StatsAt>) {
        // What no decision record took along is written now. The history says itself when it cannot be written.
        let _ = self.history.flush();
        let _ = self.history.prune(&self.options.retention, now);
        self.take_haproxy(now, haproxy);
        self.begin_looks(now);
        let until = Instant::now() + self.options.patience;
        while let Ok(Some(ended)) = timeout_at(until, self.looks.join_next_with_id()).await {
            match ended {
                Ok((id, answer)) => self.take(id, now, answer),
                Err(error) => self.take(error.id(), now, Err(SourceError::Panicked(error.to_string()))),
            }
        }
    }

    /// What policies see: each series by reference, the host's first, with the samples that somebody wants of it and at
    /// least its newest.
    pub fn refs(&self, now: Timestamp) -> Vec<SeriesRef> {
        let window = |name: &str, own: Duration| self.needs.window(name).unwrap_or(own);
        let mut refs = Vec::with_capacity(SERIES.len() + self.slots.len());
        for id in &self.host.feed.current {
            let name = SERIES.iter().zip(self.host.ids).find(|(_, own)| *own == Some(*id)).map_or("", |(one, _)| one.0);
            let stale = self.is_stale(&self.host.feed, *id, self.options.interval, now);
            refs.extend(self.history.refer(*id, window(name, Duration::ZERO), now, self.options.interval, stale));
        }
        for slot in &self.slots {
            let interval = slot.options.interval;
            let before = refs.len();
            for id in &slot.feed.current {
                let name = self.history.name(*id).unwrap_or_default();
                let stale = self.is_stale(&slot.feed, *id, interval, now);
                refs.extend(self.history.refer(*id, window(&name, slot.options.window), now, interval, stale));
            }
            // One that failed and has nothing is there all the same, so that nobody takes it for gone.
            if refs.len() == before && (slot.feed.failure.is_some() || !slot.feed.answered) {
                refs.extend(slot.options.names().into_iter().map(|name| nothing_of(slot, name, now)));
            }
        }
        refs
    }

    /// The series that [`refs`](Self::refs) stand for. An error means that a window longer than what is in memory cannot
    /// be read from disk.
    pub fn read(&self, refs: &[SeriesRef]) -> Result<Vec<Series>, HistoryError> {
        let samples = self.history.windows(refs)?;
        Ok(refs.iter().zip(samples).map(|(reference, samples)| reference.with(samples)).collect())
    }

    /// What policies see. Where a long window cannot be read, its series is there, stale and empty.
    pub fn series(&self, now: Timestamp) -> Vec<Series> {
        let read = |reference: &SeriesRef| match self.history.window(reference) {
            Ok(samples) => reference.with(samples),
            Err(error) => {
                tracing::warn!("{error}");
                SeriesRef { stale: true, ..reference.clone() }.with(Vec::new())
            }
        };
        self.refs(now).iter().map(read).collect()
    }

    /// How each source is doing, HAProxy first.
    pub fn sources(&self, now: Timestamp) -> Vec<SourceStatus> {
        let series = |feed: &Feed, interval: Duration| -> Vec<SeriesStatus> {
            let known = feed.current.iter().filter_map(|id| Some((*id, self.history.key(*id)?)));
            let status = known.map(|(id, key)| SeriesStatus {
                name: labelled(&key),
                unit: key.unit,
                newest: self.history.newest(id),
                stale: self.is_stale(feed, id, interval, now),
            });
            status.collect()
        };
        let host = SourceStatus {
            name: "haproxy".to_owned(),
            description: "HAProxy's runtime API".to_owned(),
            series: series(&self.host.feed, self.options.interval),
            failure: self.host.feed.failure.clone(),
        };
        let others = self.slots.iter().map(|slot| SourceStatus {
            name: slot.options.name.clone(),
            description: slot.options.description(),
            series: series(&slot.feed, slot.options.interval),
            failure: slot.feed.failure.clone(),
        });
        std::iter::once(host).chain(others).collect()
    }

    fn is_stale(&self, feed: &Feed, id: SeriesId, interval: Duration, now: Timestamp) -> bool {
        let late = |newest: Sample| now.since(newest.at) > interval.saturating_mul(LATE);
        feed.failure.is_some() || self.history.newest(id).is_none_or(late)
    }

    fn take_haproxy(&mut self, now: Timestamp, stats: Option<&StatsAt>) {
        let Some(stats) = stats else {
            self.host.feed.fail(now, "HAProxy could not be read".to_owned());
            return;
        };
        let values = haproxy::values(self.host.before.as_ref(), stats);
        let mut current = Vec::with_capacity(SERIES.len());
        for (id, value) in self.host.ids.into_iter().zip(values) {
            if let (Some(id), Some(value)) = (id, value) {
                self.history.append(id, &[Sample { at: stats.at, value }], now.max(stats.at));
                current.push(id);
            }
        }
        self.host.feed.answer(current);
        self.set_droplets(stats.stats.servers.iter().map(|server| server.id).collect());
        self.host.before = Some(stats.clone());
    }

    fn begin_looks(&mut self, now: Timestamp) {
        for slot in &mut self.slots {
            let interval = slot.options.interval;
            // Ticks are not on the dot; without some room every second look would be a tick late.
            let due = slot.asked.is_none_or(|asked| now.since(asked) + interval / 10 >= interval);
            if slot.look.is_some() || !due {
                continue;
            }
            let newest =
                slot.feed.current.iter().filter_map(|id| self.history.newest(*id)).map(|sample| sample.at).min();
            let windows = slot.options.names().into_iter().filter_map(|name| self.needs.window(&name));
            let window = windows.fold(slot.options.window, Duration::max);
            let poll = Poll { now, newest, window, interval, droplets: Arc::clone(&self.droplets) };
            let source = Arc::clone(&slot.source);
            let look = self.looks.spawn(async move { source.poll(&poll).await });
            slot.look = Some((look.id(), now));
            slot.asked = Some(now);
        }
    }

    fn take(&mut self, look: Id, now: Timestamp, answer: Result<Polled, SourceError>) {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.look.is_some_and(|(id, _)| id == look)) else { return };
        slot.look = None;
        match answer {
            Ok(Polled::Same) => {}
            Ok(Polled::Readings(readings)) => {
                let mut current = Vec::with_capacity(readings.len());
                for reading in readings {
                    let Some(id) = self.history.series(&key_of(&slot.options, &reading)) else {
                        let why = "the history has too many series: a label of this source is never the same twice";
                        return slot.feed.fail(now, why.to_owned());
                    };
                    self.history.append(id, &reading.samples, now);
                    current.push(id);
                }
                slot.feed.answer(current);
            }
            Err(error) => {
                let said = error.to_string();
                if slot.feed.failure.as_ref().is_none_or(|(_, before)| *before != said) {
                    tracing::warn!(source = slot.options.name, "{said}; its series are stale until it answers");
                }
                slot.feed.fail(now, said);
            }
        }
    }
}

impl Feed {
    fn fail(&mut self, now: Timestamp, why: String) {
        self.failure = Some((now, why));
    }

    fn answer(&mut self, current: Vec<SeriesId>) {
        self.current = current;
        self.failure = None;
        self.answered = true;
    }
}

/// The series that a source had when doproxy ended: those whose newest samples are about as new as the newest of all.
fn remembered(history: &History, names: &[String], interval: Duration) -> Vec<SeriesId> {
    let named = names.iter().flat_map(|name| history.named(name));
    let known: Vec<(SeriesId, Timestamp)> = named.filter_map(|(id, newest)| Some((id, newest?))).collect();
    let newest = known.iter().map(|(_, at)| *at).max().unwrap_or_default();
    let oldest = newest.minus(interval.saturating_mul(LATE));
    known.into_iter().filter(|(_, at)| *at >= oldest).map(|(id, _)| id).collect()
}

fn key_of(options: &SourceOptions, reading: &Reading) -> SeriesKey {
    let unit = SUFFIXES.iter().find(|suffix| !reading.suffix.is_empty() && suffix.suffix == reading.suffix);
    let mut labels = reading.labels.clone();
    labels.sort_unstable();
    SeriesKey {
        name: format!("{}{}", options.name, reading.suffix),
        labels,
        unit: unit.map_or_else(|| options.unit.clone(), |suffix| suffix.unit.to_owned()),
    }
}

/// A series without samples, which is in no history.
fn nothing_of(slot: &Slot, name: String, now: Timestamp) -> SeriesRef {
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

/// The name with its labels, as Prometheus writes them.
fn labelled(key: &SeriesKey) -> String {
    if key.labels.is_empty() {
        return key.name.clone();
    }
    let labels: Vec<String> = key.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{}{{{}}}", key.name, labels.join(", "))
}
