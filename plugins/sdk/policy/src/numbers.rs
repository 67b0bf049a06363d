//! Rounding that is consistent across policies.

/// Tolerance for division errors: without it, 1.1/0.1 would need 12 droplets, and 33 over 3 would be more than 10 %
/// above 10.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::EPSILON;
///
/// let ratio = 33.0 / 3.0 / 10.0;
/// assert!(ratio <= 1.1 + EPSILON);
/// ```
pub const EPSILON: f64 = 1e-9;

/// Rounds up to an integer; 0 for negative numbers and NaN, saturating at the maximum.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::ceil_u32;
///
/// assert_eq!(ceil_u32(2.2), 3);
/// assert_eq!(ceil_u32(1.1 / 0.1), 11);
/// assert_eq!(ceil_u32(f64::NAN), 0);
/// ```
pub fn ceil_u32(count: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = (count - EPSILON).ceil() as u32;
    whole
}

/// Converts a length to a count, saturating.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::saturating_u32;
///
/// assert_eq!(saturating_u32(["a", "b"].len()), 2);
/// ```
pub fn saturating_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Converts seconds to milliseconds.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::seconds_to_ms;
///
/// assert_eq!(seconds_to_ms(90), 90_000);
/// ```
pub fn seconds_to_ms(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

/// Converts a count to a floating-point number.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::to_f64;
///
/// assert_eq!(to_f64(3) / 2.0, 1.5);
/// ```
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far above any count")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Returns the mean; `None` for an empty input or a non-finite result.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::numbers::mean;
///
/// assert_eq!(mean([1.0, 2.0, 6.0]), Some(3.0));
/// assert_eq!(mean([]), None);
/// ```
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.into_iter().fold((0_u64, 0.0), |(count, sum), value| (count + 1, sum + value));
    Some(sum / to_f64(count)).filter(|mean| mean.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_division_needs_no_extra_droplet() {
        assert_eq!(ceil_u32(1.1 / 0.1), 11);
        assert_eq!(ceil_u32(11.01), 12);
    }

    #[test]
    fn invalid_counts_are_clamped() {
        let odd = [f64::NAN, f64::NEG_INFINITY, -3.0, f64::INFINITY, 1e300].map(ceil_u32);

        assert_eq!(odd, [0, 0, 0, u32::MAX, u32::MAX]);
    }

    #[test]
    fn mean_of_nothing_is_none() {
        assert_eq!(mean([]), None);
        assert_eq!(mean([f64::MAX, f64::MAX]), None);
        assert_eq!(mean([1.0, 3.0]), Some(2.0));
    }
}
