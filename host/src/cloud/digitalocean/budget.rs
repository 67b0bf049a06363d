//! How many requests may be sent: the API's limits, kept here, so that the client waits before the API says no.
//!
//! Two sliding windows, a minute and an hour, of which a part is kept for deletes: a fleet that cannot shrink costs
//! money. What the API says of its own count makes it less, since other programs may use the same token. A request
//! counts from the moment that it is let through until its window has passed after its *end*: when in between the
//! API counted it is not known. By hand, and not by the crate `governor`: its algorithm spreads a rate and lets
//! more than the limit into a window after a pause, and it has neither the reserve nor the API's word.
//!
//! [`Ledger`] is told the time; [`Budget`] waits.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// In any minute, as published.
const PER_MINUTE: usize = 250;
/// In any hour, as published, until the API says another limit.
const PER_HOUR: usize = 5000;
/// Of the requests of a minute, one in so many is for deletes alone.
const RESERVE_OF_MINUTE: usize = 10;
/// Of the requests of an hour.
const RESERVE_OF_HOUR: usize = 20;
/// A wait that a person would wonder about.
const LONG: Duration = Duration::from_secs(10);
/// How often such waits are worth a line.
const SAY_AGAIN_AFTER: Duration = Duration::from_mins(10);

/// Who wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A delete, which may use all that there is.
    Delete,
    /// Anything else, which leaves the reserve.
    Other,
    /// What can be done without: it leaves half for what changes the fleet, and does not wait.
    Spare,
}

/// What the headers of an answer say about the limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// Requests in an hour.
    pub(super) limit: Option<u32>,
    /// How many of them are left.
    pub(super) remaining: Option<u32>,
    /// How long until the oldest of them stops to count.
    pub(super) reset_after: Option<Duration>,
    /// How long nothing is let in, after a burst.
    pub(super) closed_for: Option<Duration>,
}

/// What is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scarce {
    Minute,
    Hour { limit: usize },
    Left { remaining: usize, limit: usize },
    Burst,
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minute => write!(f, "doproxy's own budget of {PER_MINUTE} requests a minute is used up"),
            Self::Hour { limit } => write!(f, "doproxy's own budget of {limit} requests an hour is used up"),
            Self::Left { remaining, limit } => write!(
                f,
                "doproxy's own budget is used up: of the token's {limit} requests an hour the API has {remaining} left{}",
                if *remaining > 0 { ", which are kept for deletes" } else { "" }
            ),
            Self::Burst => f.write_str("doproxy's own budget is closed, since the API asked to wait after a burst"),
        }?;
        f.write_str(match self {
            Self::Minute | Self::Hour { .. } => ", but for what is kept for deletes",
            Self::Burst | Self::Left { .. } => "",
        })
    }
}

/// Why a request may not be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    why: Scarce,
    /// When it may, as far as is known; without it, when a request that is under way has ended.
    until: Option<Instant>,
}

/// What the API said last.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// The request that it answered.
    number: u64,
    remaining: usize,
    /// From then on it is not so any more.
    until: Instant,
}

/// The count.
#[derive(Debug)]
struct Ledger {
    under_way: usize,
    /// When the requests of the last hour ended, the oldest first.
    ended: VecDeque<Instant>,
    /// How many there have been.
    sent: u64,
    per_hour: usize,
    told: Option<Told>,
    closed_until: Option<Instant>,
}

impl Ledger {
    fn new() -> Self {
        Self { under_way: 0, ended: VecDeque::new(), sent: 0, per_hour: PER_HOUR, told: None, closed_until: None }
    }

    /// Counts a request and answers its number, or says why not.
    fn take(&mut self, now: Instant, purpose: Purpose) -> Result<u64, Held> {
        while self.ended.front().is_some_and(|end| *end + HOUR <= now) {
            self.ended.pop_front();
        }
        if let Some(held) = self.held(now, purpose) {
            return Err(held);
        }
        self.under_way += 1;
        self.sent += 1;
        Ok(self.sent)
    }

    /// What holds a request back the longest.
    fn held(&self, now: Instant, purpose: Purpose) -> Option<Held> {
        let usable = |limit: usize, part: usize| match purpose {
            Purpose::Delete => limit,
            Purpose::Other => limit - limit / part,
            Purpose::Spare => limit / 2,
        };
        let minute = self.window(now, MINUTE, usable(PER_MINUTE, RESERVE_OF_MINUTE), Scarce::Minute);
        let hour =
            self.window(now, HOUR, usable(self.per_hour, RESERVE_OF_HOUR), Scarce::Hour { limit: self.per_hour });
        let burst = self.closed_until.filter(|until| *until > now);
        let burst = burst.map(|until| Held { why: Scarce::Burst, until: Some(until) });
        let told = self.told.filter(|told| told.until > now).and_then(|told| {
            // Those that were let through after the one that was answered may not be in its count.
            let since = usize::try_from(self.sent - told.number).unwrap_or(usize::MAX);
            let remaining = told.remaining.saturating_sub(since);
            let reserve = self.per_hour - usable(self.per_hour, RESERVE_OF_HOUR);
            let why = Scarce::Left { remaining, limit: self.per_hour };
            (remaining <= reserve).then_some(Held { why, until: Some(told.until) })
        });
        let all = [minute, hour, burst, told].into_iter().flatten();
        all.max_by_key(|held| (held.until.is_none(), held.until))
    }

    fn window(&self, now: Instant, span: Duration, limit: usize, why: Scarce) -> Option<Held> {
        let first = self.ended.partition_point(|end| *end + span <= now);
        let too_many = (self.ended.len() - first + self.under_way + 1).checked_sub(limit)?;
        // So many of the oldest have to leave the window before there is room for one.
        let last_to_leave = too_many.checked_sub(1)?;
        let until = self.ended.get(first + last_to_leave).map(|end| *end + span);
        Some(Held { why, until })
    }

    /// How many requests that are no deletes would be let through now.
    fn left(&self, now: Instant) -> usize {
        if self.closed_until.is_some_and(|until| until > now) {
            return 0;
        }
        let of_window = |span: Duration, limit: usize, part: usize| {
            let used = self.ended.len() - self.ended.partition_point(|end| *end + span <= now) + self.under_way;
            (limit - limit / part).saturating_sub(used)
        };
        let minute = of_window(MINUTE, PER_MINUTE, RESERVE_OF_MINUTE);
        let hour = of_window(HOUR, self.per_hour, RESERVE_OF_HOUR);
        let told = self.told.filter(|told| told.until > now).map_or(usize::MAX, |told| {
            let since = usize::try_from(self.sent - told.number).unwrap_or(usize::MAX);
            told.remaining.saturating_sub(since).saturating_sub(self.per_hour / RESERVE_OF_HOUR)
        });
        minute.min(hour).min(told)
    }

    /// Notes that a request has ended, and what was heard.
    fn end(&mut self, now: Instant, number: u64, was_sent: bool, heard: Heard) {
        self.under_way = self.under_way.saturating_sub(1);
        if was_sent {
            self.ended.push_back(self.ended.back().map_or(now, |last| now.max(*last)));
        }
        if let Some(limit) = heard.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0) {
            self.per_hour = limit;
        }
        if let Some(closed_for) = heard.closed_for {
            // The limit that it is about is that of a minute; whatever else was meant is asked for anew.
            let until = now + closed_for.min(MINUTE);
            self.closed_until = Some(self.closed_until.map_or(until, |before| before.max(until)));
        }
        let is_newer = self.told.is_none_or(|told| told.number < number);
        // Nothing counts for longer than an hour: where it seems to, one of the two clocks is wrong.
        if let (Some(remaining), Some(reset_after), true) = (heard.remaining, heard.reset_after, is_newer)
            && reset_after <= HOUR
        {
            let remaining = usize::try_from(remaining).unwrap_or(usize::MAX);
            self.told = Some(Told { number, remaining, until: now + reset_after });
        }
    }
}

/// A request that would have to wait too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted {
    why: Scarce,
    /// How long it would have to wait, as far as is known.
    pub(super) after: Option<Duration>,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent: {}", self.why)?;
        match self.after {
            Some(after) => write!(f, "; the next can go in {} s", after.as_millis().div_ceil(1000)),
            None => Ok(()),
        }
    }
}

/// The right to send one request. It counts as under way until this is dropped.
pub(super) struct Permit<'a> {
    budget: &'a Budget,
    number: u64,
    heard: Heard,
    was_sent: bool,
}

impl Permit<'_> {
    /// Keeps what an answer said about the limits.
    pub(super) fn hear(&mut self, heard: Heard) {
        self.heard = heard;
    }

    /// The request certainly never reached the API, so that it does not count.
    pub(super) fn never_arrived(&mut self) {
        self.was_sent = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.budget.ledger().end(Instant::now(), self.number, self.was_sent, self.heard);
        self.budget.ended.notify_waiters();
    }
}

/// The budget of one client and its clones.
#[derive(Debug)]
pub(super) struct Budget {
    ledger: Mutex<Ledger>,
    /// When a long wait was last spoken of.
    said: Mutex<Option<Instant>>,
    ended: Notify,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { ledger: Mutex::new(Ledger::new()), said: Mutex::default(), ended: Notify::new() }
    }

    /// How many requests that are no deletes would be let through now.
    pub(super) fn left(&self) -> usize {
        self.ledger().left(Instant::now())
    }

    /// Waits until a request may be sent, `patience` at most; an error as soon as that will not do.
    pub(super) async fn permit(&self, purpose: Purpose, patience: Duration) -> Result<Permit<'_>, Exhausted> {
        let give_up = Instant::now() + patience;
        loop {
            let mut ended = pin!(self.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            let now = Instant::now();
            let held = match self.ledger().take(now, purpose) {
                Ok(number) => return Ok(Permit { budget: self, number, heard: Heard::default(), was_sent: true }),
                Err(held) => held,
            };
            if now >= give_up || held.until.is_some_and(|until| until > give_up) {
                return Err(Exhausted { why: held.why, after: held.until.map(|until| until - now) });
            }
            match held.until {
                Some(until) => {
                    self.say(held.why, now, until - now);
                    sleep_until(until).await;
                }
                None => drop(timeout(give_up - now, ended).await),
            }
        }
    }

    /// A person who watches should know what is waited for; once is enough.
    fn say(&self, why: Scarce, now: Instant, wait: Duration) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if wait >= LONG && said.is_none_or(|before| before + SAY_AGAIN_AFTER <= now) {
            *said = Some(now);
            tracing::warn!("{why}; waiting {} s before the next", wait.as_millis().div_ceil(1000));
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn remaining(remaining: u32, reset_after: Duration) -> Heard {
        Heard { limit: Some(5000), remaining: Some(remaining), reset_after: Some(reset_after), closed_for: None }
    }

    /// Sends and ends requests at `now` until one is held back; answers how many there were.
    fn drain(ledger: &mut Ledger, now: Instant, purpose: Purpose) -> (usize, Held) {
        for count in 0.. {
            match ledger.take(now, purpose) {
                Ok(number) => ledger.end(now, number, true, Heard::default()),
                Err(held) => return (count, held),
            }
        }
        unreachable!("the budget has no end")
    }

    #[test]
    fn a_burst_ends_before_the_limit_and_deletes_may_have_the_rest() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());

        let others = drain(&mut ledger, now, Purpose::Other);
        let deletes = drain(&mut ledger, now, Purpose::Delete);

        let held = Held { why: Scarce::Minute, until: Some(now + MINUTE) };
        assert_eq!((others, deletes), ((225, held), (25, held)));
        assert!(ledger.take(now + MINUTE, Purpose::Other).is_ok());
    }

    #[test]
    fn what_is_left_is_what_would_be_let_through() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let number = ledger.take(now, Purpose::Other).unwrap();
        assert_eq!(ledger.left(now), 224);

        ledger.end(now, number, true, remaining(255, ms(60_000)));
        assert_eq!(ledger.left(now), 5);
        assert_eq!(drain(&mut ledger, now, Purpose::Other).0, 5);
        assert_eq!(ledger.left(now), 0);
    }

    #[test]
    fn an_hour_has_its_own_limit_and_reserve() {
        let (mut ledger, start) = (Ledger::new(), Instant::now());
        let others: usize = (0..30).map(|minute| drain(&mut ledger, start + MINUTE * minute, Purpose::Other).0).sum();
        let now = start + MINUTE * 30;

        let held = ledger.take(now, Purpose::Other).unwrap_err();

        assert_eq!((others, held.why, held.until), (4750, Scarce::Hour { limit: 5000 }, Some(start + HOUR)));
        assert_eq!(drain(&mut ledger, now, Purpose::Delete).0, 250);
    }

    #[test]
    fn a_request_counts_from_when_it_is_let_through_and_leaves_a_minute_after_its_end() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let numbers: Vec<u64> = (0..225).map(|_| ledger.take(now, Purpose::Other).unwrap()).collect();

        let unknown = ledger.take(now + MINUTE, Purpose::Other).unwrap_err();
        ledger.end(now + MINUTE, numbers[0], true, Heard::default());
        let known = ledger.take(now + MINUTE, Purpose::Other).unwrap_err();

        assert_eq!((unknown.until, known.until), (None, Some(now + MINUTE * 2)));
    }

    #[test]
    fn what_never_reached_the_api_does_not_count() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let number = ledger.take(now, Purpose::Other).unwrap();

        ledger.end(now, number, false, Heard::default());

        assert_eq!(drain(&mut ledger, now, Purpose::Other).0, 225);
    }

    #[test]
    fn what_other_programs_use_is_learnt_from_the_answers() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let number = ledger.take(now, Purpose::Other).unwrap();
        ledger.end(now, number, true, remaining(255, ms(90_000)));

        let (others, held) = drain(&mut ledger, now, Purpose::Other);
        let (deletes, _) = drain(&mut ledger, now + MINUTE, Purpose::Delete);

        assert_eq!((others, deletes), (5, 250));
        assert_eq!(held.until, Some(now + ms(90_000)));
        assert!(ledger.take(now + ms(150_000), Purpose::Other).is_ok());
    }

    #[test]
    fn an_answer_that_was_overtaken_is_not_believed() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let first = ledger.take(now, Purpose::Other).unwrap();
        let second = ledger.take(now, Purpose::Other).unwrap();

        ledger.end(now, second, true, remaining(0, MINUTE));
        ledger.end(now, first, true, remaining(4000, MINUTE));

        assert!(ledger.take(now, Purpose::Delete).is_err());
    }

    #[test]
    fn a_reset_that_no_window_can_have_is_a_wrong_clock_and_not_believed() {
        let (mut ledger, now) = (Ledger::new(), Instant::now());
        let number = ledger.take(now, Purpose::Other).unwrap();

        ledger.end(now, number, true, remaining(0, HOUR * 2));

        assert!(ledger.take(now, Purpose::Other).is_ok());
    }

    #[test]
    fn after_a_burst_everybody_waits_as_long_as_the_api_asked_and_never_longer_than_a_minute() {
        for (asked, waited) in [(ms(7_000), ms(7_000)), (HOUR, MINUTE)] {
            let (mut ledger, now) = (Ledger::new(), Instant::now());
            let number = ledger.take(now, Purpose::Other).unwrap();

            ledger.end(now, number, true, Heard { closed_for: Some(asked), ..Heard::default() });

            let held = ledger.take(now, Purpose::Delete).unwrap_err();
            assert_eq!(held, Held { why: Scarce::Burst, until: Some(now + waited) });
        }
    }

    #[test]
    fn the_words_name_the_budget_and_the_wait() {
        let after = Some(ms(41_500));
        let lines: Vec<String> = [
            Exhausted { why: Scarce::Minute, after },
            Exhausted { why: Scarce::Hour { limit: 5000 }, after },
            Exhausted { why: Scarce::Left { remaining: 12, limit: 5000 }, after },
            Exhausted { why: Scarce::Left { remaining: 0, limit: 5000 }, after },
            Exhausted { why: Scarce::Burst, after: None },
        ]
        .iter()
        .map(ToString::to_string)
        .collect();

        insta::assert_snapshot!(lines.join("\n"), @r"
        not sent: doproxy's own budget of 250 requests a minute is used up, but for what is kept for deletes; the next can go in 42 s
        not sent: doproxy's own budget of 5000 requests an hour is used up, but for what is kept for deletes; the next can go in 42 s
        not sent: doproxy's own budget is used up: of the token's 5000 requests an hour the API has 12 left, which are kept for deletes; the next can go in 42 s
        not sent: doproxy's own budget is used up: of the token's 5000 requests an hour the API has 0 left; the next can go in 42 s
        not sent: doproxy's own budget is closed, since the API asked to wait after a burst
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_waits_its_minute_and_a_delete_does_not() {
        let budget = Budget::new();
        let started = Instant::now();
        for _ in 0..225 {
            drop(budget.permit(Purpose::Other, MINUTE).await);
        }

        drop(budget.permit(Purpose::Delete, MINUTE).await.map_err(|held| held.to_string()));
        let delete_waited = started.elapsed();
        drop(budget.permit(Purpose::Other, MINUTE).await.map_err(|held| held.to_string()));

        assert_eq!((delete_waited, started.elapsed()), (Duration::ZERO, MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_too_long_is_refused_at_once() {
        let budget = Budget::new();
        let mut permit = budget.permit(Purpose::Other, MINUTE).await.unwrap_or_else(|held| panic!("{held}"));
        permit.hear(remaining(0, ms(3_000_000)));
        drop(permit);
        let started = Instant::now();

        let refused = budget.permit(Purpose::Delete, MINUTE).await.map(drop).unwrap_err();

        let why = Scarce::Left { remaining: 0, limit: 5000 };
        assert_eq!(refused, Exhausted { why, after: Some(ms(3_000_000)) });
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[test]
    fn what_can_be_done_without_leaves_half_of_the_budget() {
        let now = Instant::now();
        let mut ledger = Ledger::new();

        assert_eq!(drain(&mut ledger, now, Purpose::Spare).0, 125);
        assert_eq!(drain(&mut ledger, now, Purpose::Other).0, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_requests_under_way_goes_on_when_one_never_arrived() {
        let budget = Budget::new();
        let mut permits = Vec::new();
        for _ in 0..225 {
            permits.extend(budget.permit(Purpose::Other, MINUTE).await);
        }
        let waiting = budget.permit(Purpose::Other, MINUTE);
        let ending = async {
            tokio::task::yield_now().await;
            let mut permit = permits.pop();
            permit.iter_mut().for_each(Permit::never_arrived);
        };

        let (permit, ()) = tokio::join!(waiting, ending);

        assert!(permit.is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Requests come in bursts and pauses, take their time, and arrive at the API at any moment in between.
        #[test]
        fn no_minute_of_the_api_ever_sees_more_than_its_limit(
            requests in proptest::collection::vec((0_u64..400, 0_u64..30_000, 0.0..=1.0, any::<bool>()), 300..900),
            bursts in any::<bool>(),
        ) {
            let mut ledger = Ledger::new();
            let start = Instant::now();
            let mut now = start;
            let mut under_way: Vec<(Instant, u64)> = Vec::new();
            let mut arrivals: Vec<Instant> = Vec::new();
            for (gap, takes, arrives, is_delete) in requests {
                now += ms(if bursts { gap / 100 } else { gap });
                let purpose = if is_delete { Purpose::Delete } else { Purpose::Other };
                let number = loop {
                    under_way.sort();
                    let ended = under_way.partition_point(|(end, _)| *end <= now);
                    for (end, number) in under_way.drain(..ended) {
                        ledger.end(end, number, true, Heard::default());
                    }
                    match ledger.take(now, purpose) {
                        Ok(number) => break number,
                        Err(Held { until: Some(until), .. }) => {
                            prop_assert!(until > now);
                            now = until.min(under_way.first().map_or(until, |(end, _)| *end));
                        }
                        Err(Held { until: None, .. }) => now = under_way[0].0,
                    }
                };
                under_way.push((now + ms(takes), number));
                arrivals.push(now + ms(takes).mul_f64(arrives));
            }
            arrivals.sort();

            for pair in arrivals.windows(PER_MINUTE + 1) {
                prop_assert!(pair[PER_MINUTE] - pair[0] >= MINUTE);
            }
        }

        #[test]
        fn a_delete_goes_through_while_all_others_wait(others in 0_usize..2000, pauses in 0_u64..200) {
            let mut ledger = Ledger::new();
            let mut now = Instant::now();
            for _ in 0..others {
                now += ms(pauses);
                if let Ok(number) = ledger.take(now, Purpose::Other) {
                    ledger.end(now, number, true, Heard::default());
                }
            }

            prop_assert_eq!(drain(&mut ledger, now, Purpose::Other).1.why, Scarce::Minute);
            prop_assert_eq!(drain(&mut ledger, now, Purpose::Delete).0, 25);
        }
    }
}
