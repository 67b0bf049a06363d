//! Money, counted in whole millionths of a US dollar so that sums are exact.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one droplet of a size costs for an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HourlyPrice {
    micro_dollars: u64,
}

impl HourlyPrice {
    /// A price from millionths of a dollar.
    pub const fn from_micro_dollars(micro_dollars: u64) -> Self {
        Self { micro_dollars }
    }

    /// A price from dollars as the API writes them (`0.00743999984115362`), rounded; nonsense becomes 0.
    pub fn from_dollars(dollars: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, and NaN becomes 0"
        )]
        Self { micro_dollars: (dollars * 1e6).round() as u64 }
    }

    /// Millionths of a dollar.
    pub const fn micro_dollars(self) -> u64 {
        self.micro_dollars
    }

    /// Dollars, for showing and for plugins.
    pub fn dollars(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact up to nine billion dollars an hour")]
        let micro_dollars = self.micro_dollars as f64;
        micro_dollars / 1e6
    }

    /// The price of `count` such droplets.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self { micro_dollars: self.micro_dollars.saturating_mul(count as u64) }
    }

    /// The price of both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { micro_dollars: self.micro_dollars.saturating_add(other.micro_dollars) }
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
    fn the_price_that_the_api_writes_is_rounded_to_millionths() {
        let price = HourlyPrice::from_dollars(0.007_439_999_841_153_62);

        assert_eq!(price.micro_dollars(), 7440);
        assert_eq!(price.to_string(), "$0.00744/h");
    }

    #[test]
    fn a_price_that_is_no_number_costs_nothing() {
        assert_eq!(HourlyPrice::from_dollars(f64::NAN).micro_dollars(), 0);
        assert_eq!(HourlyPrice::from_dollars(-1.0).micro_dollars(), 0);
    }
}
