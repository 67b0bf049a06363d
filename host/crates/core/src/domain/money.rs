//! Money, counted in whole millionths of a US dollar so that sums are exact.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The hourly price of one droplet of a size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HourlyPrice {
    micro_dollars: u64,
}

impl HourlyPrice {
    /// Creates a price from millionths of a dollar.
    pub const fn from_micro_dollars(micro_dollars: u64) -> Self {
        Self { micro_dollars }
    }

    /// Creates a price from dollars as formatted by the API (`0.00743999984115362`), rounded; invalid values become 0.
    pub fn from_dollars(dollars: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, and NaN becomes 0"
        )]
        Self { micro_dollars: (dollars * 1e6).round() as u64 }
    }

    /// Returns millionths of a dollar.
    pub const fn micro_dollars(self) -> u64 {
        self.micro_dollars
    }

    /// Returns dollars, for display and for plugins.
    pub fn dollars(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars an hour")]
        let micro_dollars = self.micro_dollars as f64;
        micro_dollars / 1e6
    }

    /// Returns the price of `count` such droplets.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self { micro_dollars: self.micro_dollars.saturating_mul(count as u64) }
    }

    /// Returns the sum of both prices.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars) }
    }
}

/// The minimum charge for a droplet since 1 January 2026: 60 s or one cent, whichever is more.
const MINIMUM_CHARGE: Money = Money::from_micro_dollars(10_000);
const MINIMUM_TIME: Duration = Duration::from_mins(1);

/// Maximum number of hours billed for a droplet per month.
const MAX_HOURS_PER_MONTH: u32 = 672;

impl HourlyPrice {
    /// Returns the time after which a droplet's minimum charge is used up; `None` if it has no price.
    pub fn minimum_billed_time(self) -> Option<Duration> {
        let cent = MINIMUM_CHARGE.micro_dollars().saturating_mul(3_600_000).checked_div(self.micro_dollars)?;
        Some(Duration::from_millis(cent).max(MINIMUM_TIME))
    }

    /// Returns the cost of such a droplet for the given time, by the second and without the minimum charge; rounded
    /// down to a millionth.
    pub fn cost_for(self, time: Duration) -> Money {
        let micro_dollars = u128::from(self.micro_dollars).saturating_mul(time.as_millis()) / 3_600_000;
        Money { micro_dollars: u64::try_from(micro_dollars).unwrap_or(u64::MAX) }
    }

    /// Returns the amount billed for a droplet that existed for the given time within one calendar month: at least the
    /// minimum charge, at most 672 hours.
    pub fn billed_cost(self, time: Duration) -> Money {
        let least = self.minimum_billed_time().unwrap_or_default();
        let most = Duration::from_hours(u64::from(MAX_HOURS_PER_MONTH));
        self.cost_for(time.max(least).min(most))
    }
}

/// An amount of money.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money {
    micro_dollars: u64,
}

impl Money {
    /// Creates an amount from millionths of a dollar.
    pub const fn from_micro_dollars(micro_dollars: u64) -> Self {
        Self { micro_dollars }
    }

    /// Creates an amount from dollars, rounded; invalid values become 0.
    pub fn from_dollars(dollars: f64) -> Self {
        Self { micro_dollars: HourlyPrice::from_dollars(dollars).micro_dollars }
    }

    /// Returns millionths of a dollar.
    pub const fn micro_dollars(self) -> u64 {
        self.micro_dollars
    }

    /// Returns dollars, for display and for plugins.
    pub fn dollars(self) -> f64 {
        HourlyPrice::from_micro_dollars(self.micro_dollars).dollars()
    }

    /// Returns the sum of both amounts.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars) }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.2}", self.dollars())
    }
}

impl fmt::Display for HourlyPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.5}/h", self.dollars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_price_is_rounded_to_millionths() {
        let price = HourlyPrice::from_dollars(0.007_439_999_841_153_62);

        assert_eq!(price.micro_dollars(), 7440);
        assert_eq!(price.to_string(), "$0.00744/h");
    }

    #[test]
    fn billing_is_between_one_cent_and_672_hours() {
        // $6 a month of 672 hours.
        let six = HourlyPrice::from_dollars(6.0 / 672.0);

        assert_eq!(six.minimum_billed_time().map(|time| time.as_secs()), Some(4031));
        assert_eq!(six.billed_cost(Duration::from_secs(1)).to_string(), "$0.01");
        assert_eq!(six.billed_cost(Duration::from_hours(744)).to_string(), "$6.00");
        assert_eq!(HourlyPrice::default().minimum_billed_time(), None);
    }

    #[test]
    fn invalid_price_is_zero() {
        assert_eq!(HourlyPrice::from_dollars(f64::NAN).micro_dollars(), 0);
        assert_eq!(HourlyPrice::from_dollars(-1.0).micro_dollars(), 0);
    }
}
