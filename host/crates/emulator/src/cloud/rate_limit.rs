//! The API's rate limits: sliding windows in which each call expires individually.

use std::collections::VecDeque;
use std::time::Duration;

use doproxy_core::domain::Timestamp;

use crate::cloud::ApiError;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

/// Rate limits. They apply to the account; tokens are not distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls per hour.
    pub per_hour: u32,
    /// Calls per minute.
    pub per_minute: u32,
    /// Calls of `GET /v2/account/keys` per minute.
    pub keys_per_minute: u32,
}

impl Default for RateLimits {
    /// Returns the published limits.
    fn default() -> Self {
        Self { per_hour: 5000, per_minute: 250, keys_per_minute: 10 }
    }
}

/// The values of the `ratelimit-*` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Allowed calls per hour.
    pub limit: u32,
    /// Remaining calls.
    pub remaining: u32,
    /// Time at which the oldest counted call expires.
    pub reset: Timestamp,
}

/// The sliding windows of counted calls. Rejected calls do not count.
#[derive(Debug, Clone, Default)]
pub(super) struct CallWindows {
    calls: VecDeque<Timestamp>,
    key_lists: VecDeque<Timestamp>,
}

impl CallWindows {
    /// Counts a call at `now`, or rejects it.
    pub(super) fn admit(
        &mut self,
        limits: &RateLimits,
        now: Timestamp,
        is_key_list: bool,
    ) -> (Quota, Option<ApiError>) {
        expire(&mut self.calls, now, HOUR);
        expire(&mut self.key_lists, now, MINUTE);
        let refusal = self.rate_limit_error(limits, now, is_key_list);
        if refusal.is_none() {
            self.calls.push_back(now);
            if is_key_list {
                self.key_lists.push_back(now);
            }
        }
        let used = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let reset = self.calls.front().map_or(now, |oldest| oldest.plus(HOUR));
        (Quota { limit: limits.per_hour, remaining: limits.per_hour.saturating_sub(used), reset }, refusal)
    }

    fn rate_limit_error(&self, limits: &RateLimits, now: Timestamp, is_key_list: bool) -> Option<ApiError> {
        // The call that must expire first is `limit` calls back.
        let wait = |calls: &VecDeque<Timestamp>, limit: u32, window: Duration| {
            let index = calls.len().checked_sub(usize::try_from(limit).unwrap_or(usize::MAX))?;
            let free_at = calls.get(index).map_or(now.plus(window), |call| call.plus(window));
            (free_at > now).then(|| free_at.since(now))
        };
        let burst = wait(&self.calls, limits.per_minute, MINUTE).map(|after| (after, true));
        let keys = || wait(&self.key_lists, limits.keys_per_minute, MINUTE).map(|after| (after, true));
        let hour = || wait(&self.calls, limits.per_hour, HOUR).map(|after| (after, false));
        let (after, burst) = hour().or(burst).or_else(|| if is_key_list { keys() } else { None })?;
        Some(ApiError::RateLimited { after, burst })
    }
}

fn expire(calls: &mut VecDeque<Timestamp>, now: Timestamp, window: Duration) {
    while calls.front().is_some_and(|call| call.plus(window) <= now) {
        calls.pop_front();
    }
}
