//! Human-readable formatting of numbers.

/// Formats a count: `1 droplet`, `3 droplets`.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::words::format_droplets;
///
/// assert_eq!(format_droplets(1), "1 droplet");
/// ```
pub fn format_droplets(count: u32) -> String {
    if count == 1 { "1 droplet".to_owned() } else { format!("{count} droplets") }
}

/// Formats a number with at most two decimals; in scientific notation if it is too large or would lose all its digits.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::words::format_number;
///
/// assert_eq!(format_number(3.337), "3.34");
/// assert_eq!(format_number(1e300), "1.00e300");
/// ```
pub fn format_number(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(0.005..1e15).contains(&size) {
        return format!("{number:.2e}");
    }
    // Integer arithmetic: formatting a float takes a considerable part of a small policy's time.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 1e17")]
    let hundredths = (100.0 * size).round() as u64;
    let sign = if number < 0.0 { "-" } else { "" };
    let whole = hundredths / 100;
    match (hundredths % 100 / 10, hundredths % 10) {
        (0, 0) => format!("{sign}{whole}"),
        (tenths, 0) => format!("{sign}{whole}.{tenths}"),
        (tenths, rest) => format!("{sign}{whole}.{tenths}{rest}"),
    }
}

/// Formats a duration in milliseconds, in whole minutes or hours if it is a multiple and would be long in seconds.
///
/// # Examples
///
/// ```
/// use doproxy_policy_sdk::words::format_duration;
///
/// assert_eq!(format_duration(90_000), "90 s");
/// assert_eq!(format_duration(1_800_000), "30 min");
/// ```
pub fn format_duration(ms: u64) -> String {
    let seconds = ms / 1000;
    if !ms.is_multiple_of(1000) {
        format!("{} s", format_number(crate::numbers::to_f64(ms) / 1000.0))
    } else if seconds >= 3600 && seconds.is_multiple_of(3600) {
        format!("{} h", seconds / 3600)
    } else if seconds > 600 && seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_possible() {
        let written = [0.0, 3.0, 3.337, 0.004, -2.5, 1e300, f64::NAN].map(format_number);

        assert_eq!(written, ["0", "3", "3.34", "4.00e-3", "-2.5", "1.00e300", "NaN"]);
        assert_eq!(
            [0.999, -0.005, 7.05, 99.996, 9e14].map(format_number),
            ["1", "-0.01", "7.05", "100", "900000000000000"]
        );
    }

    #[test]
    fn durations_use_the_fitting_unit() {
        let written = [0, 1500, 90_000, 300_000, 1_800_000, 3_600_000].map(format_duration);

        assert_eq!(written, ["0 s", "1.5 s", "90 s", "300 s", "30 min", "1 h"]);
    }
}
