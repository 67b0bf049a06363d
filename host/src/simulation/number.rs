//! Numbers between whole and real, with the one tolerance that the whole simulator has.

/// What a division may be off by: 0.3/0.1 is three droplets, not four.
pub const ROUNDING_TOLERANCE: f64 = 1e-9;

/// A count as a real number.
pub fn to_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
    let real = count as f64;
    real
}

/// The length of a list as a real number.
pub fn len_to_f64<T>(list: &[T]) -> f64 {
    to_f64(list.len() as u64)
}

/// The next whole number; what is no number is 0, what is too large the largest.
pub fn ceil_to_u32(number: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN becomes 0")]
    let whole = (number - ROUNDING_TOLERANCE).ceil() as u32;
    whole
}

/// The nearest whole number.
pub fn round_to_u64(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN becomes 0")]
    let whole = number.round() as u64;
    whole
}

/// An index as the number of a tick; there are never more than fit.
pub fn to_tick(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
