//! Conversions between integers and floating-point numbers, with the single rounding tolerance of the simulator.

/// Tolerated rounding error of a division: 0.3/0.1 is three droplets, not four.
pub const ROUNDING_TOLERANCE: f64 = 1e-9;

/// Converts a count to a floating-point number.
pub fn to_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
    let real = count as f64;
    real
}

/// Returns the length of a slice as a floating-point number.
pub fn len_to_f64<T>(list: &[T]) -> f64 {
    to_f64(list.len() as u64)
}

/// Rounds up to an integer. NaN becomes 0; values out of range saturate.
pub fn ceil_to_u32(number: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN becomes 0")]
    let whole = (number - ROUNDING_TOLERANCE).ceil() as u32;
    whole
}

/// Rounds to the nearest integer.
pub fn round_to_u64(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN becomes 0")]
    let whole = number.round() as u64;
    whole
}

/// Converts an index to a tick number, saturating at `u32::MAX`; no run has that many ticks.
pub fn to_tick(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
