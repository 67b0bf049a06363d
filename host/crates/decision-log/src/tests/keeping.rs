//! Records read back bit-identically, take few bytes, and stay for their retention; corruption is reported.

use doproxy_core::domain::{Change, DropletId, DropletName, Outcome, Pause, Restriction, ScaleTo, Signal};
use proptest::prelude::*;
use rusqlite::params;

use crate::codec;
use crate::codec::{PackedRecord, PackedSeries, bit_identical};
use crate::error::{Corruption, RecordError};
use crate::tests::*;

#[tokio::test]
async fn records_read_back_as_written() {
    let scene = LogHarness::new();
    let written = scene.ticks(130).await;

    let archive = scene.reader();
    let ids = archive.select("all".parse().unwrap()).unwrap();
    let together: Vec<TickRecord> =
        archive.get_many(&ids).unwrap().into_iter().map(|read| read.unwrap().record).collect();
    let last = archive.get(RecordId(130)).unwrap();

    assert_eq!(together.len(), 130);
    assert!(bit_identical(&together, &written));
    assert!(bit_identical(&last.record, &written[129]));
    assert_eq!(last.doproxy_version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn tick_takes_few_bytes() {
    let scene = LogHarness::new();
    let mut slots = [scene.slot(Mode::Active, 10).await];
    let day = 480;
    for tick in 0..day {
        // A busy fleet of ten: the load of each droplet changes at each tick.
        scene.tick(&mut slots, NOW.plus(INTERVAL * tick), 10, 60.0 + f64::from(tick % 7)).await;
    }
    let bytes =
        |sql: &str| -> u32 { scene.store.read(|connection| connection.query_row(sql, [], |row| row.get(0))).unwrap() };

    let records = bytes("SELECT sum(length(body)) FROM records");
    let keyframes = bytes("SELECT sum(length(body)) FROM records WHERE base IS NULL");
    let a_tick = f64::from(records) / f64::from(day);
    eprintln!(
        "a busy fleet of 10 with 10 series: {a_tick:.0} bytes a tick, {:.2} MB a day at 15 s; a keyframe {} bytes",
        a_tick * 5760.0 / 1e6,
        keyframes / 8
    );

    assert!(a_tick < 500.0, "{a_tick}");
}

#[tokio::test]
async fn known_samples_are_referenced_and_others_inlined() {
    let scene = LogHarness::new();
    let metrics = scene.measure(NOW, 20.0);
    let known = decision_record::record(
        decision_record::observation(NOW, 2, metrics.clone()),
        vec![],
        GuardRules::default(),
        GuardFacts::default(),
    );
    let mut strange = known.clone();
    // One value that was never measured, one NaN, and one unknown series.
    strange.observation.metrics[1].samples[0].value = 1.0;
    strange.observation.metrics[2].samples[0].value = f64::NAN;
    strange.observation.metrics.push(decision_record::series("elsewhere", "", NOW, &[1.0, -0.0]));
    scene.writer.append(&known).unwrap();
    scene.writer.append(&strange).unwrap();

    let read = |id| scene.reader().get(RecordId(id)).unwrap().record;
    assert!(bit_identical(&read(1), &known));
    assert!(bit_identical(&read(2), &strange));

    scene.execute_sql("DELETE FROM samples");
    assert!(matches!(scene.reader().get(RecordId(1)), Err(RecordError::Store(_))));
    assert_eq!(scene.reader().get_without_series(RecordId(1)).unwrap().record.at, NOW);
}

#[tokio::test]
async fn corruption_is_reported_and_limited_to_its_group() {
    let scene = LogHarness::new();
    scene.ticks(130).await;
    scene.execute_sql("UPDATE records SET body = substr(body, 1, 30) WHERE id = 70");
    scene.execute_sql("UPDATE records SET body = x'07' WHERE id = 125; UPDATE records SET base = 130 WHERE id = 128");

    let archive = scene.reader();
    let ids = archive.select("all".parse().unwrap()).unwrap();
    let broken: Vec<u64> = archive
        .get_many(&ids)
        .unwrap()
        .into_iter()
        .filter_map(|read| match read {
            Err(RecordError::Corrupt { id, .. }) => Some(id.0),
            other => other.map(|_| None).unwrap(),
        })
        .collect();

    assert_eq!(broken, (70..=120).chain(125..=130).collect::<Vec<u64>>());
    assert!(matches!(
        archive.get(RecordId(125)),
        Err(RecordError::Corrupt { corruption: Corruption::UnknownFormat(7), .. })
    ));
    assert!(matches!(archive.get(RecordId(999)), Err(RecordError::NotFound(RecordId(999)))));
}

#[tokio::test]
async fn second_writer_starts_its_own_groups() {
    let scene = LogHarness::new();
    let other = LogWriter::new(Arc::new(TimeSeriesStore::open(&scene.path(), NOW)), DEFAULT_RETENTION);
    let record = |n: u64| decision_record::tick(Timestamp(NOW.0 + n), 20.0);
    for n in 0..9 {
        let recorder = if n % 3 == 0 { &other } else { &scene.writer };
        recorder.append(&record(n)).unwrap();
    }

    for n in 0..9 {
        assert!(bit_identical(&scene.reader().get(RecordId(n + 1)).unwrap().record, &record(n)));
    }
}

#[tokio::test]
async fn pruning_removes_old_groups_and_their_components() {
    let scene = LogHarness::new();
    scene.ticks(200).await;
    let recorder = LogWriter::new(scene.store.clone(), Duration::from_hours(1));
    let left = || -> (u64, u64) {
        let components = "SELECT count(*) FROM components";
        let components = |connection: &rusqlite::Connection| connection.query_row(components, [], |row| row.get(0));
        (scene.reader().count().unwrap(), scene.store.read(components).unwrap())
    };
    let at = |minutes: u64| NOW.plus(Duration::from_mins(minutes));

    let mut steps = vec![left()];
    // The first group ends after 15 minutes.
    for minutes in [60, 76, 77, 200, 201, 202, 203, 204] {
        recorder.prune(at(minutes)).unwrap();
        steps.push(left());
    }

    assert_eq!(steps, [(200, 1), (200, 1), (140, 1), (140, 1), (80, 1), (20, 1), (0, 1), (0, 0), (0, 0)]);
    // Numbers are never reused.
    assert_eq!(recorder.append(&decision_record::tick(at(300), 1.0)).unwrap(), RecordId(201));
}

#[tokio::test]
async fn list_contains_only_significant_ticks() {
    let scene = LogHarness::new();
    let mut slots = [scene.slot(Mode::Active, 10).await];
    for (tick, (size, sessions)) in
        [(2, 20.0), (2, 20.0), (2, 45.0), (5, 45.0), (5, 20.0), (5, 20.0)].into_iter().enumerate()
    {
        scene.tick(&mut slots, NOW.plus(INTERVAL * u32::try_from(tick).unwrap()), size, sessions).await;
    }
    let listed =
        |all| -> Vec<u64> { scene.reader().list(Timestamp(0), all, 10).unwrap().into_iter().map(|id| id.0).collect() };

    assert_eq!(listed(true), [6, 5, 4, 3, 2, 1]);
    assert_eq!(listed(false), [3]);
}

/// Records of released versions must be readable by all later ones. `DOPROXY_FIXTURES=1` writes the file for a new
/// format version.
#[test]
fn first_format_version_is_readable() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/form-1.record");
    let tick = decision_record::tick(NOW, 25.0);
    if std::env::var_os("DOPROXY_FIXTURES").is_some() {
        let series = tick.observation.metrics.iter().cloned().map(PackedSeries::Inline).collect();
        let content = PackedRecord::new(&tick, series).encode().unwrap();
        std::fs::write(&file, codec::compress(&content, None).unwrap()).unwrap();
    }

    let content = codec::decompress(&std::fs::read(&file).unwrap(), None).unwrap();
    let read = PackedRecord::decode(&content).unwrap();

    assert!(bit_identical(&read.record.evaluations, &tick.evaluations));
    assert!(bit_identical(&read.record.plan, &tick.plan));
    assert_eq!(read.series, [PackedSeries::Inline(tick.observation.metrics[0].clone())]);
}

#[tokio::test]
async fn store_without_records_table_is_empty() {
    let scene = LogHarness::new();
    scene.execute_sql("DROP TABLE records");

    assert_eq!(scene.reader().count().unwrap(), 0);
    assert!(matches!(scene.reader().select("last".parse().unwrap()), Err(RecordError::Empty)));
}

/// Any `f64`, including NaN.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e3..1e3]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let ids = || proptest::collection::vec(any::<u64>().prop_map(DropletId), 0..4);
    prop_oneof![
        Just(Outcome::Hold),
        (any::<u32>(), ids())
            .prop_map(|(count, delete_first)| { Outcome::ScaleTo(ScaleTo { count, template: None, delete_first }) }),
        ids().prop_map(|delete| Outcome::Change(Change { create: vec![], delete })),
    ]
}

/// An arbitrary tick.
fn any_record() -> impl Strategy<Value = TickRecord> {
    let numbers = proptest::collection::vec(number(), 0..6);
    let states = proptest::collection::vec(any::<u8>(), 0..80);
    (any::<u64>(), 0_u32..5, numbers, states, outcome(), ".{0,12}", any::<Option<u32>>()).prop_map(
        |(at, size, numbers, state, outcome, text, some)| {
            let mut record = decision_record::tick(NOW, 20.0);
            record.observation = decision_record::observation(NOW, size, record.observation.metrics.clone());
            for value in &numbers {
                let series = decision_record::series(&text, "x", Timestamp(at.max(1 << 20)), &[*value, 1.0]);
                record.observation.metrics.push(series);
                record.evaluations[0].decision.signals.push(Signal {
                    name: text.clone(),
                    value: *value,
                    target: some.map(f64::from),
                    wants: some,
                });
            }
            record.at = Timestamp(at);
            record.observation.now = Timestamp(at);
            record.evaluations[0].state = state;
            record.evaluations[0].decision.outcome = outcome;
            record.evaluations[0].failure = some.map(|_| text.clone());
            record.facts.unhealthy_since = vec![(DropletName::parse("web-0").unwrap(), Timestamp(at))];
            record.facts.pauses.out = Some(Pause { since: Timestamp(at), until: None, reason: text.clone() });
            record.plan.restrictions.push(Restriction { rule: text.clone(), detail: text });
            record.selected = some;
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_record_reads_back_bit_identically(records in proptest::collection::vec(any_record(), 1..6)) {
        let store = Arc::new(TimeSeriesStore::in_memory());
        let recorder = LogWriter::new(store.clone(), DEFAULT_RETENTION);
        let archive = LogReader::new(store);
        for record in &records {
            let id = recorder.append(record).unwrap();
            prop_assert!(bit_identical(&archive.get(id).unwrap().record, record));
        }
    }

    #[test]
    fn malformed_rows_are_reported_without_panic(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5),
        flips in proptest::collection::vec((0_usize..4, any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        head in any::<bool>(),
    ) {
        let store = Arc::new(TimeSeriesStore::in_memory());
        let recorder = LogWriter::new(store.clone(), DEFAULT_RETENTION);
        for n in 0..4 {
            recorder.append(&decision_record::tick(Timestamp(NOW.0 + n), 20.0)).unwrap();
        }
        let mut rows: Vec<Vec<u8>> = store
            .read(|connection| {
                let mut statement = connection.prepare("SELECT body FROM records ORDER BY id")?;
                statement.query_map([], |row| row.get(0))?.collect()
            })
            .unwrap();
        for (row, at, flip) in flips {
            let at = at.index(rows[row].len());
            rows[row][at] ^= flip;
        }
        for mut body in bodies {
            if head {
                body.splice(0..0, [1, 100, 0, 0, 0]);
            }
            rows.push(body);
        }
        store
            .write(|transaction| {
                transaction.execute("DELETE FROM records", [])?;
                for (id, body) in rows.iter().enumerate() {
                    let base = (id > 0).then_some(id);
                    transaction.execute(
                        "INSERT INTO records (id, at, keyframe, base, notable, body) VALUES (?1, 0, 1, ?2, 1, ?3)",
                        params![id + 1, base, body],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        let archive = LogReader::new(store);
        let ids = archive.select("all".parse().unwrap()).unwrap();

        for read in archive.get_many(&ids).unwrap() {
            if let Err(error) = read {
                prop_assert!(matches!(error, RecordError::Corrupt { .. }), "{error}");
            }
        }
    }
}
