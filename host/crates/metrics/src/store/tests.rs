//! Tests of the time-series store on real files.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::domain::{Sample, SeriesId, SeriesRef, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::store::downsampling::{AggregatedPoint, Retention};
use crate::store::error::TimeSeriesError;
use crate::store::time_series_store::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const INTERVAL: Duration = Duration::from_secs(15);

fn key(name: &str) -> SeriesKey {
    SeriesKey { name: name.to_owned(), labels: Vec::new(), unit: "things".to_owned() }
}

fn sample(at: Timestamp, value: f64) -> Sample {
    Sample { at, value }
}

/// Returns `count` samples, one interval apart, ending at `end`; values count up from 0.
fn samples(end: Timestamp, count: u32) -> Vec<Sample> {
    (0..count).map(|n| sample(end.minus(INTERVAL * (count - 1 - n)), f64::from(n))).collect()
}

fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("doproxy.history.db");
    (dir, path)
}

fn window_ref(history: &TimeSeriesStore, series: SeriesId, window: Duration, now: Timestamp) -> SeriesRef {
    history.window_ref(series, window, now, INTERVAL, false).expect("series has samples")
}

#[test]
fn samples_survive_restart() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 100), NOW);
    let reference = window_ref(&history, id, Duration::from_hours(1), NOW);
    drop(history);

    let again = TimeSeriesStore::open(&path, NOW);

    assert_eq!(again.get_or_create(&key("a")), Some(id));
    assert_eq!(again.window(&reference).unwrap(), samples(NOW, 100));
    assert_eq!(again.newest(id), Some(sample(NOW, 99.0)));
    assert!(again.status().durable);
}

#[test]
fn negative_zero_reads_back_identically_after_restart() {
    let (_dir, file) = folder();
    let bits = |history: &TimeSeriesStore, id| {
        let window = history.window(&window_ref(history, id, Duration::from_hours(1), NOW)).unwrap();
        window.iter().map(|sample| sample.value.to_bits()).collect::<Vec<u64>>()
    };
    let before = {
        let history = TimeSeriesStore::open(&file, NOW);
        let id = history.get_or_create(&key("a")).unwrap();
        // The sum of an empty iterator is negative zero.
        history.append(id, &[sample(NOW, -0.0)], NOW);
        history.flush().unwrap();
        bits(&history, id)
    };

    let history = TimeSeriesStore::open(&file, NOW);

    assert_eq!(bits(&history, history.get_or_create(&key("a")).unwrap()), before);
}

#[test]
fn series_is_identified_by_name_labels_and_unit() {
    let history = TimeSeriesStore::in_memory();
    let labeled = SeriesKey { labels: vec![("zone".into(), "a".into())], ..key("a") };
    let other_unit = SeriesKey { unit: "ms".into(), ..key("a") };

    let ids = [key("a"), labeled.clone(), other_unit, key("b")].map(|key| history.get_or_create(&key).unwrap().0);

    assert_eq!(ids, [1, 2, 3, 4]);
    assert_eq!(history.get_or_create(&labeled), Some(SeriesId(2)));
}

#[test]
fn outdated_non_finite_and_future_samples_are_ignored() {
    let history = TimeSeriesStore::in_memory();
    let id = history.get_or_create(&key("a")).unwrap();
    let at = |ms: u64| Timestamp(NOW.0 - 1000 + ms);

    let taken = history.append(
        id,
        &[
            sample(at(10), 1.0),
            sample(at(10), 2.0),
            sample(at(5), 3.0),
            sample(at(20), f64::NAN),
            sample(at(20), f64::INFINITY),
            sample(at(30), 4.0),
            sample(at(2000), 5.0),
        ],
        NOW,
    );

    assert_eq!(taken, 2);
    let kept = history.window(&window_ref(&history, id, Duration::from_hours(1), NOW)).unwrap();
    assert_eq!(kept, [sample(at(10), 1.0), sample(at(30), 4.0)]);
}

#[test]
fn reference_without_window_contains_newest_sample() {
    let history = TimeSeriesStore::in_memory();
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW.minus(Duration::from_hours(1)), 9), NOW);

    let reference = window_ref(&history, id, Duration::ZERO, NOW);

    assert_eq!(history.window(&reference).unwrap(), [sample(NOW.minus(Duration::from_hours(1)), 8.0)]);
    assert_eq!(
        history.window_ref(history.get_or_create(&key("b")).unwrap(), Duration::ZERO, NOW, INTERVAL, false),
        None
    );
}

#[test]
fn windows_beyond_rings_are_read_from_disk() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let (a, b) = (history.get_or_create(&key("a")).unwrap(), history.get_or_create(&key("b")).unwrap());
    let begin = samples(NOW, 500);
    history.append(a, &begin, NOW);
    history.append(b, &begin[..7], NOW);
    let old =
        [window_ref(&history, a, Duration::from_mins(10), NOW), window_ref(&history, b, Duration::from_hours(3), NOW)];
    let before = history.windows(&old).unwrap();
    let later = NOW.plus(Duration::from_hours(8));
    history.append(a, &samples(later, 1000), later);
    history.append(b, &[sample(later, 1.0)], later);

    let after = history.windows(&old).unwrap();

    assert_eq!(before, after);
    assert_eq!((after[0].len(), after[1].len()), (40, 7));
    // The newest of them are not on disk yet.
    let all = SeriesRef { to: later, count: 1500, from: Timestamp(0), ..old[0].clone() };
    assert_eq!(history.windows(std::slice::from_ref(&all)).unwrap()[0].len(), 1500);
}

#[test]
fn extended_horizon_is_loaded_from_disk() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 5760), NOW);
    drop(history);
    let history = TimeSeriesStore::open(&path, NOW);
    let day = Duration::from_hours(24);
    assert!(window_ref(&history, id, day, NOW).count < 1500);

    history.extend_horizon(day, NOW);

    assert_eq!(window_ref(&history, id, day, NOW).count, 5760);
}

#[test]
fn missing_samples_are_reported() {
    let history = TimeSeriesStore::in_memory();
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 5), NOW);
    let reference = SeriesRef { count: 7, ..window_ref(&history, id, Duration::from_hours(1), NOW) };

    let error = history.window(&reference).unwrap_err();

    insta::assert_snapshot!(error, @"metrics database has 5 of 7 samples of a from 2027-01-15T07:00:00Z to 2027-01-15T08:00:00Z; the others are older than `metrics.retention`, or the database has been replaced since");
}

#[test]
fn old_samples_are_downsampled_then_deleted() {
    let (_dir, path) = folder();
    let begin = Timestamp(NOW.0 - NOW.0 % 300_000);
    let history = TimeSeriesStore::open(&path, begin);
    let id = history.get_or_create(&key("a")).unwrap();
    let first: Vec<Sample> = (0..40_u32).map(|n| sample(begin.plus(INTERVAL * n), f64::from(n))).collect();
    history.append(id, &first, begin.plus(Duration::from_hours(1)));
    let retention = Retention { raw: Duration::from_hours(2), downsampled: Duration::from_hours(24) };
    let recorded = |now: Timestamp| {
        history.prune(&retention, now).unwrap();
        let recorded = history.series_history("a", begin, now).unwrap();
        recorded.into_iter().flat_map(|series| series.points).collect::<Vec<AggregatedPoint>>()
    };

    let raw = recorded(begin.plus(Duration::from_hours(1)));
    let old = recorded(begin.plus(Duration::from_hours(3)));
    let older = recorded(begin.plus(Duration::from_hours(25)));

    assert_eq!(raw.len(), 40);
    let five = Duration::from_mins(5);
    assert_eq!(
        old,
        [
            AggregatedPoint { at: begin, mean: 9.5, max: 19.0 },
            AggregatedPoint { at: begin.plus(five), mean: 29.5, max: 39.0 }
        ]
    );
    assert_eq!(older, []);
}

#[test]
fn pruning_catches_up_in_steps_after_pause() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 5760), NOW);
    let retention = Retention { raw: Duration::from_hours(1), downsampled: Duration::from_hours(400) };
    let left = |history: &TimeSeriesStore| -> i64 {
        history.read(|connection| connection.query_row("SELECT count(*) FROM samples", [], |row| row.get(0))).unwrap()
    };

    let later = NOW.plus(Duration::from_hours(100));
    let mut steps = vec![];
    for minute in 0..5 {
        history.prune(&retention, later.plus(Duration::from_mins(minute))).unwrap();
        steps.push(left(&history));
    }

    assert!(steps.windows(2).all(|pair| pair[0] - pair[1] <= 1440 + 20), "{steps:?}");
    assert_eq!(steps.last(), Some(&0));
}

#[test]
fn corrupt_file_is_moved_aside_and_replaced() {
    let (dir, path) = folder();
    std::fs::write(&path, "not a database any more".repeat(200)).unwrap();

    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 3), NOW);
    history.flush().unwrap();

    assert!(history.status().durable);
    assert!(dir.path().join(format!("doproxy.history.db.damaged-{}", NOW.0)).is_file());
    drop(history);
    assert_eq!(TimeSeriesStore::open(&path, NOW).newest(id), Some(sample(NOW, 2.0)));
}

#[test]
fn file_corrupted_at_runtime_is_refilled_from_memory() {
    let (dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 1000), NOW);
    history.flush().unwrap();
    let reference = window_ref(&history, id, Duration::from_hours(1), NOW);
    history.read(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))).unwrap();
    history.read(|connection| connection.pragma_update(None, "cache_size", 0)).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).read(true).open(&path).unwrap();
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0x5a; rest.len() - 4096]).unwrap();
    let later = NOW.plus(INTERVAL);
    history.append(id, &[sample(later, 7.0)], later);

    // The write detects the corruption; the next one has a new file.
    let mut found = history.flush();
    for _ in 0..3 {
        if found.is_err() {
            break;
        }
        let _ = history.read(|connection| connection.execute_batch("PRAGMA shrink_memory"));
        found = history.write(|transaction| transaction.execute("DELETE FROM samples WHERE value < 0", []).map(drop));
    }
    assert!(found.is_err());
    history.flush().unwrap();

    let aside = std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok);
    assert_eq!(aside.filter(|one| one.file_name().to_string_lossy().contains(".db.damaged-")).count(), 1);
    assert_eq!(history.window(&reference).unwrap().len(), 240);
    drop(history);
    let again = TimeSeriesStore::open(&path, later);
    assert_eq!(again.newest(id), Some(sample(later, 7.0)));
    assert_eq!(again.window(&reference).unwrap().len(), 240);
}

#[test]
fn uncreatable_file_falls_back_to_memory() {
    let dir = tempfile::tempdir().unwrap();

    let history = TimeSeriesStore::open(&dir.path().join("nowhere/doproxy.history.db"), NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 3), NOW);

    assert_eq!(history.flush().map_err(|error| error.to_string()), Ok(()));
    assert_eq!(history.newest(id), Some(sample(NOW, 2.0)));
    let StoreStatus { durable, last_error, location: place, .. } = history.status();
    assert_eq!((durable, place.as_str()), (false, "in memory"));
    assert!(last_error.unwrap().contains("failed to open metrics database"));
}

#[test]
fn foreign_database_is_not_modified() {
    let (dir, path) = folder();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE mine (id INTEGER); PRAGMA user_version = 2").unwrap();
    let before = std::fs::read(&path).unwrap();

    let history = TimeSeriesStore::open(&path, NOW);

    let last_error = history.status().last_error.unwrap().replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(last_error, @"DIR/doproxy.history.db is a database, but not a metrics database; set another `metrics.database`");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn database_of_newer_version_is_not_modified() {
    let (dir, path) = folder();
    drop(TimeSeriesStore::open(&path, NOW));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 900).unwrap();

    let history = TimeSeriesStore::open(&path, NOW);

    let last_error = history.status().last_error.unwrap().replace(dir.path().to_str().unwrap(), "DIR");
    assert!(last_error.starts_with("metrics database DIR/doproxy.history.db has schema version 900"), "{last_error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok).count(), 1);
}

#[test]
fn read_only_store_does_not_write() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 10), NOW);
    history.flush().unwrap();

    let reader = TimeSeriesStore::open_read_only(&path, NOW).unwrap();
    let later = NOW.plus(INTERVAL);
    reader.append(id, &[sample(later, 99.0)], later);
    let mine = reader.get_or_create(&key("b")).unwrap();
    reader.append(mine, &[sample(later, 1.0)], later);
    reader.flush().unwrap();

    assert_eq!(reader.newest(id), Some(sample(later, 99.0)));
    assert_eq!(reader.window(&window_ref(&reader, id, Duration::from_hours(1), later)).unwrap().len(), 11);
    assert!(matches!(reader.write(|_| Ok(())), Err(TimeSeriesError::ReadOnly)));
    drop(reader);
    assert_eq!(TimeSeriesStore::open_read_only(&path, NOW).unwrap().newest(id), Some(sample(NOW, 9.0)));
}

#[test]
fn series_restarts_after_wrong_clock() {
    let (_dir, path) = folder();
    let wrong = NOW.plus(Duration::from_hours(1000));
    let history = TimeSeriesStore::open(&path, wrong);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(wrong, 3), wrong);
    let reference = window_ref(&history, id, Duration::from_hours(1), wrong);
    drop(history);

    let history = TimeSeriesStore::open(&path, NOW);
    let new = history.get_or_create(&key("a")).unwrap();
    history.append(new, &samples(NOW, 3), NOW);

    assert_ne!(new, id);
    assert_eq!(history.newest(new), Some(sample(NOW, 2.0)));
    assert_eq!(history.window(&reference).unwrap(), samples(wrong, 3));
    drop(history);
    assert_eq!(TimeSeriesStore::open(&path, NOW).get_or_create(&key("a")), Some(new));
}

#[test]
fn failed_write_is_retried_with_next_flush() {
    let (_dir, path) = folder();
    let history = TimeSeriesStore::open(&path, NOW);
    let id = history.get_or_create(&key("a")).unwrap();
    history.append(id, &samples(NOW, 3), NOW);

    let full = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
    assert!(history.write(|_| Err::<(), _>(full)).is_err());
    assert!(history.status().last_error.is_some());
    history.flush().unwrap();

    assert_eq!(history.status().last_error, None);
    assert_eq!(history.series_history("a", Timestamp(0), NOW.plus(INTERVAL)).unwrap()[0].points.len(), 3);
}

#[test]
fn in_memory_store_stops_growing() {
    let history = TimeSeriesStore::in_memory();
    let ids: Vec<SeriesId> = (0..10).map(|n| history.get_or_create(&key(&n.to_string())).unwrap()).collect();
    let mut sizes = Vec::new();
    for tick in 0..10_000_u32 {
        let now = NOW.plus(INTERVAL * tick);
        for id in &ids {
            history.append(*id, &[sample(now, f64::from(tick % 97) + 0.5)], now);
        }
        history.flush().unwrap();
        history.prune(&Retention::default(), now).unwrap();
        if tick % 1000 == 999 {
            sizes.push(history.status().bytes);
        }
    }

    // It is full after one day (5,760 ticks) plus up to an hour until the next pruning run.
    assert!(sizes[9] <= sizes[6], "{sizes:?}");
    assert!(sizes[9] < 3_000_000, "{sizes:?}");
}

/// An operation on a series.
#[derive(Debug, Clone)]
enum Event {
    Append(Vec<(u64, f64)>),
    Flush,
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    let value = prop_oneof![6 => -1e6..1e6, 1 => Just(f64::NAN), 1 => Just(f64::NEG_INFINITY)];
    prop_oneof![
        6 => proptest::collection::vec((0_u64..40_000_000, value), 0..6).prop_map(Event::Append),
        2 => Just(Event::Flush),
        1 => Just(Event::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// For any sequence of source data, samples are ordered and a window never changes once it was read.
    #[test]
    fn window_is_immutable_once_read(events in proptest::collection::vec(event(), 1..24), window in 1_u64..50_000) {
        let (_dir, path) = folder();
        let mut history = TimeSeriesStore::open(&path, NOW);
        let id = history.get_or_create(&key("a")).unwrap();
        let mut now = NOW;
        let mut seen: Vec<(SeriesRef, Vec<Sample>)> = Vec::new();
        for event in events {
            now = now.plus(INTERVAL);
            match event {
                Event::Append(samples) => {
                    let at = |offset: u64| Timestamp((NOW.0 + offset).saturating_sub(20_000_000));
                    let samples: Vec<Sample> = samples.iter().map(|(offset, value)| sample(at(*offset), *value)).collect();
                    history.append(id, &samples, now.plus(Duration::from_hours(5)));
                }
                Event::Flush => history.flush().unwrap(),
                Event::Reopen => {
                    drop(history);
                    history = TimeSeriesStore::open(&path, now.plus(Duration::from_hours(6)));
                }
            }
            if let Some(reference) = history.window_ref(id, Duration::from_secs(window), now.plus(Duration::from_hours(6)), INTERVAL, false) {
                let samples = history.window(&reference).unwrap();
                prop_assert!(samples.windows(2).all(|pair| pair[0].at < pair[1].at));
                prop_assert!(samples.iter().all(|sample| sample.value.is_finite()));
                seen.push((reference, samples));
            }
            for (reference, before) in &seen {
                prop_assert_eq!(&history.window(reference).unwrap(), before);
            }
        }
    }
}
