//! The client-side rate limiter: it applies the API's limits before the API rejects a request.
//!
//! Two sliding windows, a minute and an hour, with a share of each reserved for deletes: a fleet that cannot scale in
//! costs money. The quota reported by the API can lower the remaining count, because other programs may use the same
//! token. A request counts from the moment it is admitted until its window has passed after its *end*, because the time
//! at which the API counted it is unknown. This is not the crate `governor`: its algorithm spreads a rate and admits
//! more than the limit into a window after a pause, and it supports neither a reserve nor the quota reported by the
//! API.
//!
//! [`RequestWindow`] receives the time as an argument; [`RateLimiter`] waits.

use std::collections::VecDeque;
use std::fmt;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use doproxy_support::sync::lock;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// Requests per minute, as published.
const LIMIT_PER_MINUTE: usize = 250;
/// Requests per hour, as published, until the API reports a different limit.
const DEFAULT_LIMIT_PER_HOUR: usize = 5000;
/// One in this many requests per minute is reserved for deletes.
const MINUTE_RESERVE_DIVISOR: usize = 10;
/// One in this many requests per hour is reserved for deletes.
const HOUR_RESERVE_DIVISOR: usize = 20;
/// The minimum wait that is logged.
const LONG_WAIT: Duration = Duration::from_secs(10);
/// The minimum interval between two log lines about waiting.
const WAIT_LOG_INTERVAL: Duration = Duration::from_mins(10);

/// The priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// A delete, which may use the whole quota.
    Delete,
    /// Any other request, which leaves the reserve.
    Normal,
    /// An optional request: it leaves half of the quota to requests that change the fleet, and does not wait.
    BestEffort,
}

/// The rate limit headers of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RateLimitHeaders {
    /// Requests per hour.
    pub(super) limit: Option<u32>,
    /// The remaining requests.
    pub(super) remaining: Option<u32>,
    /// The time until the oldest request leaves the window.
    pub(super) reset_after: Option<Duration>,
    /// The time during which the API rejects requests after a burst.
    pub(super) retry_after: Option<Duration>,
}

/// The limit that was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitHit {
    Minute,
    Hour { limit: usize },
    Reported { remaining: usize, limit: usize },
    Burst,
}

impl fmt::Display for LimitHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minute => write!(f, "client-side limit of {LIMIT_PER_MINUTE} requests per minute reached"),
            Self::Hour { limit } => write!(f, "client-side limit of {limit} requests per hour reached"),
            Self::Reported { remaining, limit } => write!(
                f,
                "hourly API quota used up: {remaining} of the token's {limit} requests remain{}",
                if *remaining > 0 { ", reserved for deletes" } else { "" }
            ),
            Self::Burst => f.write_str("burst limit of the API reached"),
        }?;
        f.write_str(match self {
            Self::Minute | Self::Hour { .. } => " (the rest is reserved for deletes)",
            Self::Burst | Self::Reported { .. } => "",
        })
    }
}

/// The reason why a request must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Throttled {
    limit_hit: LimitHit,
    /// The time at which the request may be sent, if known; `None` if it depends on the end of a request in flight.
    until: Option<Instant>,
}

/// The quota last reported by the API.
#[derive(Debug, Clone, Copy)]
struct ReportedQuota {
    /// The number of the request whose response contained it.
    number: u64,
    remaining: usize,
    /// The time at which it expires.
    until: Instant,
}

/// The request counts.
#[derive(Debug)]
struct RequestWindow {
    in_flight: usize,
    /// The end times of the requests in the last hour, oldest first.
    completed: VecDeque<Instant>,
    /// The number of requests ever admitted.
    sent: u64,
    per_hour: usize,
    reported: Option<ReportedQuota>,
    blocked_until: Option<Instant>,
}

impl RequestWindow {
    fn new() -> Self {
        Self {
            in_flight: 0,
            completed: VecDeque::new(),
            sent: 0,
            per_hour: DEFAULT_LIMIT_PER_HOUR,
            reported: None,
            blocked_until: None,
        }
    }

    /// Counts a request and returns its number, or the reason why it must wait.
    fn try_acquire(&mut self, now: Instant, purpose: Priority) -> Result<u64, Throttled> {
        while self.completed.front().is_some_and(|end| *end + HOUR <= now) {
            self.completed.pop_front();
        }
        if let Some(held) = self.throttled(now, purpose) {
            return Err(held);
        }
        self.in_flight += 1;
        self.sent += 1;
        Ok(self.sent)
    }

    /// Returns the limit that delays a request the longest.
    fn throttled(&self, now: Instant, purpose: Priority) -> Option<Throttled> {
        let usable = |limit: usize, part: usize| match purpose {
            Priority::Delete => limit,
            Priority::Normal => limit - limit / part,
            Priority::BestEffort => limit / 2,
        };
        let minute = self.check_window(now, MINUTE, usable(LIMIT_PER_MINUTE, MINUTE_RESERVE_DIVISOR), LimitHit::Minute);
        let hour = self.check_window(
            now,
            HOUR,
            usable(self.per_hour, HOUR_RESERVE_DIVISOR),
            LimitHit::Hour { limit: self.per_hour },
        );
        let burst = self.blocked_until.filter(|until| *until > now);
        let burst = burst.map(|until| Throttled { limit_hit: LimitHit::Burst, until: Some(until) });
        let reported = self.reported.filter(|reported| reported.until > now).and_then(|reported| {
            // The reported quota may not include requests admitted after the one with that response.
            let since = usize::try_from(self.sent - reported.number).unwrap_or(usize::MAX);
            let remaining = reported.remaining.saturating_sub(since);
            let reserve = self.per_hour - usable(self.per_hour, HOUR_RESERVE_DIVISOR);
            let why = LimitHit::Reported { remaining, limit: self.per_hour };
            (remaining <= reserve).then_some(Throttled { limit_hit: why, until: Some(reported.until) })
        });
        let all = [minute, hour, burst, reported].into_iter().flatten();
        all.max_by_key(|held| (held.until.is_none(), held.until))
    }

    fn check_window(&self, now: Instant, span: Duration, limit: usize, why: LimitHit) -> Option<Throttled> {
        let first = self.completed.partition_point(|end| *end + span <= now);
        let too_many = (self.completed.len() - first + self.in_flight + 1).checked_sub(limit)?;
        // This many of the oldest requests must leave the window before one more fits.
        let last_to_leave = too_many.checked_sub(1)?;
        let until = self.completed.get(first + last_to_leave).map(|end| *end + span);
        Some(Throttled { limit_hit: why, until })
    }

    /// Returns the number of requests other than deletes that could be sent now.
    fn remaining(&self, now: Instant) -> usize {
        if self.blocked_until.is_some_and(|until| until > now) {
            return 0;
        }
        let of_window = |span: Duration, limit: usize, part: usize| {
            let used = self.completed.len() - self.completed.partition_point(|end| *end + span <= now) + self.in_flight;
            (limit - limit / part).saturating_sub(used)
        };
        let minute = of_window(MINUTE, LIMIT_PER_MINUTE, MINUTE_RESERVE_DIVISOR);
        let hour = of_window(HOUR, self.per_hour, HOUR_RESERVE_DIVISOR);
        let reported = self.reported.filter(|reported| reported.until > now).map_or(usize::MAX, |reported| {
            let since = usize::try_from(self.sent - reported.number).unwrap_or(usize::MAX);
            reported.remaining.saturating_sub(since).saturating_sub(self.per_hour / HOUR_RESERVE_DIVISOR)
        });
        minute.min(hour).min(reported)
    }

    /// Records the end of a request and the headers of its response.
    fn complete(&mut self, now: Instant, number: u64, was_sent: bool, headers: RateLimitHeaders) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if was_sent {
            self.completed.push_back(self.completed.back().map_or(now, |last| now.max(*last)));
        }
        if let Some(limit) = headers.limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0) {
            self.per_hour = limit;
        }
        if let Some(closed_for) = headers.retry_after {
            // The header refers to the limit per minute; any longer limit will be reported again.
            let until = now + closed_for.min(MINUTE);
            self.blocked_until = Some(self.blocked_until.map_or(until, |before| before.max(until)));
        }
        let is_newer = self.reported.is_none_or(|reported| reported.number < number);
        // No request counts for longer than an hour: a longer reset means that one of the two clocks is wrong.
        if let (Some(remaining), Some(reset_after), true) = (headers.remaining, headers.reset_after, is_newer)
            && reset_after <= HOUR
        {
            let remaining = usize::try_from(remaining).unwrap_or(usize::MAX);
            self.reported = Some(ReportedQuota { number, remaining, until: now + reset_after });
        }
    }
}

/// A request that would have to wait too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exhausted {
    limit_hit: LimitHit,
    /// The required wait, if known.
    pub(super) retry_after: Option<Duration>,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not sent: {}", self.limit_hit)?;
        match self.retry_after {
            Some(after) => write!(f, "; retry in {} s", after.as_millis().div_ceil(1000)),
            None => Ok(()),
        }
    }
}

/// The permission to send one request, which counts as in flight until this is dropped.
pub(super) struct Permit<'a> {
    limiter: &'a RateLimiter,
    number: u64,
    headers: RateLimitHeaders,
    was_sent: bool,
}

impl Permit<'_> {
    /// Stores the rate limit headers of the response.
    pub(super) fn observe_headers(&mut self, headers: RateLimitHeaders) {
        self.headers = headers;
    }

    /// Marks the request as never sent, so that it does not count.
    pub(super) fn not_sent(&mut self) {
        self.was_sent = false;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limiter.lock_window().complete(Instant::now(), self.number, self.was_sent, self.headers);
        self.limiter.completed.notify_waiters();
    }
}

/// The rate limiter of one client and its clones.
#[derive(Debug)]
pub(super) struct RateLimiter {
    window: Mutex<RequestWindow>,
    /// The time at which a long wait was last logged.
    last_logged: Mutex<Option<Instant>>,
    completed: Notify,
}

impl RateLimiter {
    pub(super) fn new() -> Self {
        Self { window: Mutex::new(RequestWindow::new()), last_logged: Mutex::default(), completed: Notify::new() }
    }

    /// Returns the number of requests other than deletes that could be sent now.
    pub(super) fn remaining(&self) -> usize {
        self.lock_window().remaining(Instant::now())
    }

    /// Waits until a request may be sent, at most `patience`; fails as soon as the wait is known to be longer.
    pub(super) async fn acquire(&self, purpose: Priority, patience: Duration) -> Result<Permit<'_>, Exhausted> {
        let give_up = Instant::now() + patience;
        loop {
            let mut ended = pin!(self.completed.notified());
            // From here on, no notification is missed.
            ended.as_mut().enable();
            let now = Instant::now();
            let held = match self.lock_window().try_acquire(now, purpose) {
                Ok(number) => {
                    return Ok(Permit { limiter: self, number, headers: RateLimitHeaders::default(), was_sent: true });
                }
                Err(held) => held,
            };
            if now >= give_up || held.until.is_some_and(|until| until > give_up) {
                return Err(Exhausted { limit_hit: held.limit_hit, retry_after: held.until.map(|until| until - now) });
            }
            match held.until {
                Some(until) => {
                    self.log_wait(held.limit_hit, now, until - now);
                    sleep_until(until).await;
                }
                None => drop(timeout(give_up - now, ended).await),
            }
        }
    }

    /// Logs a long wait, at most once per interval.
    fn log_wait(&self, why: LimitHit, now: Instant, wait: Duration) {
        let mut last_logged = lock(&self.last_logged);
        if wait >= LONG_WAIT && last_logged.is_none_or(|before| before + WAIT_LOG_INTERVAL <= now) {
            *last_logged = Some(now);
            tracing::warn!("{why}; next request in {} s", wait.as_millis().div_ceil(1000));
        }
    }

    fn lock_window(&self) -> MutexGuard<'_, RequestWindow> {
        lock(&self.window)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn remaining(remaining: u32, reset_after: Duration) -> RateLimitHeaders {
        RateLimitHeaders {
            limit: Some(5000),
            remaining: Some(remaining),
            reset_after: Some(reset_after),
            retry_after: None,
        }
    }

    /// Sends and completes requests at `now` until one is throttled; returns their number.
    fn drain(ledger: &mut RequestWindow, now: Instant, purpose: Priority) -> (usize, Throttled) {
        for count in 0.. {
            match ledger.try_acquire(now, purpose) {
                Ok(number) => ledger.complete(now, number, true, RateLimitHeaders::default()),
                Err(held) => return (count, held),
            }
        }
        unreachable!("the limiter never throttles")
    }

    #[test]
    fn burst_stops_at_reserve_for_deletes() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());

        let others = drain(&mut ledger, now, Priority::Normal);
        let deletes = drain(&mut ledger, now, Priority::Delete);

        let held = Throttled { limit_hit: LimitHit::Minute, until: Some(now + MINUTE) };
        assert_eq!((others, deletes), ((225, held), (25, held)));
        assert!(ledger.try_acquire(now + MINUTE, Priority::Normal).is_ok());
    }

    #[test]
    fn remaining_matches_admitted_requests() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let number = ledger.try_acquire(now, Priority::Normal).unwrap();
        assert_eq!(ledger.remaining(now), 224);

        ledger.complete(now, number, true, remaining(255, ms(60_000)));
        assert_eq!(ledger.remaining(now), 5);
        assert_eq!(drain(&mut ledger, now, Priority::Normal).0, 5);
        assert_eq!(ledger.remaining(now), 0);
    }

    #[test]
    fn hour_has_its_own_limit_and_reserve() {
        let (mut ledger, start) = (RequestWindow::new(), Instant::now());
        let others: usize = (0..30).map(|minute| drain(&mut ledger, start + MINUTE * minute, Priority::Normal).0).sum();
        let now = start + MINUTE * 30;

        let held = ledger.try_acquire(now, Priority::Normal).unwrap_err();

        assert_eq!((others, held.limit_hit, held.until), (4750, LimitHit::Hour { limit: 5000 }, Some(start + HOUR)));
        assert_eq!(drain(&mut ledger, now, Priority::Delete).0, 250);
    }

    #[test]
    fn request_counts_until_a_minute_after_its_end() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let numbers: Vec<u64> = (0..225).map(|_| ledger.try_acquire(now, Priority::Normal).unwrap()).collect();

        let unknown = ledger.try_acquire(now + MINUTE, Priority::Normal).unwrap_err();
        ledger.complete(now + MINUTE, numbers[0], true, RateLimitHeaders::default());
        let known = ledger.try_acquire(now + MINUTE, Priority::Normal).unwrap_err();

        assert_eq!((unknown.until, known.until), (None, Some(now + MINUTE * 2)));
    }

    #[test]
    fn unsent_request_does_not_count() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let number = ledger.try_acquire(now, Priority::Normal).unwrap();

        ledger.complete(now, number, false, RateLimitHeaders::default());

        assert_eq!(drain(&mut ledger, now, Priority::Normal).0, 225);
    }

    #[test]
    fn reported_quota_includes_other_programs() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let number = ledger.try_acquire(now, Priority::Normal).unwrap();
        ledger.complete(now, number, true, remaining(255, ms(90_000)));

        let (others, held) = drain(&mut ledger, now, Priority::Normal);
        let (deletes, _) = drain(&mut ledger, now + MINUTE, Priority::Delete);

        assert_eq!((others, deletes), (5, 250));
        assert_eq!(held.until, Some(now + ms(90_000)));
        assert!(ledger.try_acquire(now + ms(150_000), Priority::Normal).is_ok());
    }

    #[test]
    fn outdated_quota_is_ignored() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let first = ledger.try_acquire(now, Priority::Normal).unwrap();
        let second = ledger.try_acquire(now, Priority::Normal).unwrap();

        ledger.complete(now, second, true, remaining(0, MINUTE));
        ledger.complete(now, first, true, remaining(4000, MINUTE));

        assert!(ledger.try_acquire(now, Priority::Delete).is_err());
    }

    #[test]
    fn reset_beyond_window_is_ignored() {
        let (mut ledger, now) = (RequestWindow::new(), Instant::now());
        let number = ledger.try_acquire(now, Priority::Normal).unwrap();

        ledger.complete(now, number, true, remaining(0, HOUR * 2));

        assert!(ledger.try_acquire(now, Priority::Normal).is_ok());
    }

    #[test]
    fn retry_after_applies_to_all_up_to_a_minute() {
        for (asked, waited) in [(ms(7_000), ms(7_000)), (HOUR, MINUTE)] {
            let (mut ledger, now) = (RequestWindow::new(), Instant::now());
            let number = ledger.try_acquire(now, Priority::Normal).unwrap();

            ledger.complete(
                now,
                number,
                true,
                RateLimitHeaders { retry_after: Some(asked), ..RateLimitHeaders::default() },
            );

            let held = ledger.try_acquire(now, Priority::Delete).unwrap_err();
            assert_eq!(held, Throttled { limit_hit: LimitHit::Burst, until: Some(now + waited) });
        }
    }

    #[test]
    fn messages_name_limit_and_wait() {
        let after = Some(ms(41_500));
        let lines: Vec<String> = [
            Exhausted { limit_hit: LimitHit::Minute, retry_after: after },
            Exhausted { limit_hit: LimitHit::Hour { limit: 5000 }, retry_after: after },
            Exhausted { limit_hit: LimitHit::Reported { remaining: 12, limit: 5000 }, retry_after: after },
            Exhausted { limit_hit: LimitHit::Reported { remaining: 0, limit: 5000 }, retry_after: after },
            Exhausted { limit_hit: LimitHit::Burst, retry_after: None },
        ]
        .iter()
        .map(ToString::to_string)
        .collect();

        insta::assert_snapshot!(lines.join("\n"), @r"
        not sent: client-side limit of 250 requests per minute reached (the rest is reserved for deletes); retry in 42 s
        not sent: client-side limit of 5000 requests per hour reached (the rest is reserved for deletes); retry in 42 s
        not sent: hourly API quota used up: 12 of the token's 5000 requests remain, reserved for deletes; retry in 42 s
        not sent: hourly API quota used up: 0 of the token's 5000 requests remain; retry in 42 s
        not sent: burst limit of the API reached
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn burst_waits_a_minute_and_delete_does_not() {
        let limiter = RateLimiter::new();
        let started = Instant::now();
        for _ in 0..225 {
            drop(limiter.acquire(Priority::Normal, MINUTE).await);
        }

        drop(limiter.acquire(Priority::Delete, MINUTE).await.map_err(|held| held.to_string()));
        let delete_waited = started.elapsed();
        drop(limiter.acquire(Priority::Normal, MINUTE).await.map_err(|held| held.to_string()));

        assert_eq!((delete_waited, started.elapsed()), (Duration::ZERO, MINUTE));
    }

    #[tokio::test(start_paused = true)]
    async fn too_long_wait_fails_immediately() {
        let limiter = RateLimiter::new();
        let mut permit = limiter.acquire(Priority::Normal, MINUTE).await.unwrap_or_else(|held| panic!("{held}"));
        permit.observe_headers(remaining(0, ms(3_000_000)));
        drop(permit);
        let started = Instant::now();

        let refused = limiter.acquire(Priority::Delete, MINUTE).await.map(drop).unwrap_err();

        let why = LimitHit::Reported { remaining: 0, limit: 5000 };
        assert_eq!(refused, Exhausted { limit_hit: why, retry_after: Some(ms(3_000_000)) });
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[test]
    fn best_effort_leaves_half_of_the_quota() {
        let now = Instant::now();
        let mut ledger = RequestWindow::new();

        assert_eq!(drain(&mut ledger, now, Priority::BestEffort).0, 125);
        assert_eq!(drain(&mut ledger, now, Priority::Normal).0, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn waiter_resumes_when_request_was_not_sent() {
        let limiter = RateLimiter::new();
        let mut permits = Vec::new();
        for _ in 0..225 {
            permits.extend(limiter.acquire(Priority::Normal, MINUTE).await);
        }
        let waiting = limiter.acquire(Priority::Normal, MINUTE);
        let ending = async {
            tokio::task::yield_now().await;
            let mut permit = permits.pop();
            permit.iter_mut().for_each(Permit::not_sent);
        };

        let (permit, ()) = tokio::join!(waiting, ending);

        assert!(permit.is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Requests come in bursts and pauses, have varying durations, and reach the API at any moment in between.
        #[test]
        fn no_minute_exceeds_the_limit(
            requests in proptest::collection::vec((0_u64..400, 0_u64..30_000, 0.0..=1.0, any::<bool>()), 300..900),
            bursts in any::<bool>(),
        ) {
            let mut ledger = RequestWindow::new();
            let start = Instant::now();
            let mut now = start;
            let mut under_way: Vec<(Instant, u64)> = Vec::new();
            let mut arrivals: Vec<Instant> = Vec::new();
            for (gap, takes, arrives, is_delete) in requests {
                now += ms(if bursts { gap / 100 } else { gap });
                let purpose = if is_delete { Priority::Delete } else { Priority::Normal };
                let number = loop {
                    under_way.sort();
                    let ended = under_way.partition_point(|(end, _)| *end <= now);
                    for (end, number) in under_way.drain(..ended) {
                        ledger.complete(end, number, true, RateLimitHeaders::default());
                    }
                    match ledger.try_acquire(now, purpose) {
                        Ok(number) => break number,
                        Err(Throttled { until: Some(until), .. }) => {
                            prop_assert!(until > now);
                            now = until.min(under_way.first().map_or(until, |(end, _)| *end));
                        }
                        Err(Throttled { until: None, .. }) => now = under_way[0].0,
                    }
                };
                under_way.push((now + ms(takes), number));
                arrivals.push(now + ms(takes).mul_f64(arrives));
            }
            arrivals.sort();

            for pair in arrivals.windows(LIMIT_PER_MINUTE + 1) {
                prop_assert!(pair[LIMIT_PER_MINUTE] - pair[0] >= MINUTE);
            }
        }

        #[test]
        fn delete_is_admitted_while_others_wait(others in 0_usize..2000, pauses in 0_u64..200) {
            let mut ledger = RequestWindow::new();
            let mut now = Instant::now();
            for _ in 0..others {
                now += ms(pauses);
                if let Ok(number) = ledger.try_acquire(now, Priority::Normal) {
                    ledger.complete(now, number, true, RateLimitHeaders::default());
                }
            }

            prop_assert_eq!(drain(&mut ledger, now, Priority::Normal).1.limit_hit, LimitHit::Minute);
            prop_assert_eq!(drain(&mut ledger, now, Priority::Delete).0, 25);
        }
    }
}
