use std::sync::Arc;

use super::*;

fn poll(now: u64, newest: Option<u64>) -> Poll {
    Poll {
        now: Timestamp(now),
        newest: newest.map(Timestamp),
        lookback: Duration::from_mins(1),
        interval: Duration::from_secs(15),
        droplets: Arc::default(),
    }
}

#[test]
fn range_continues_after_newest_sample_at_step_multiples() {
    let range = |start, end| Some(Range { start, end, step: 15_000 });
    for (now, newest, expected) in [
        (100_000, None, range(30_000, 90_000)),
        (100_000, Some(75_000), range(90_000, 90_000)),
        (100_000, Some(90_000), None),
        (100_000, Some(91_000), None),
        (106_000, Some(91_000), range(105_000, 105_000)),
        (1_000_000, Some(45_000), range(60_000, 990_000)),
        (5_000, None, range(0, 0)),
    ] {
        assert_eq!(Range::for_poll(&poll(now, newest)), expected, "{now} {newest:?}");
    }
}
