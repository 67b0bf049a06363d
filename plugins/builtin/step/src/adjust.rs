//! Applies a step's adjustment to a number of droplets.

use serde::Deserialize;

/// The meaning of a step's number (AWS `AdjustmentType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdjustmentType {
    /// A number of droplets to add or remove.
    Change,
    /// An absolute number of droplets.
    Exact,
    /// A percentage to add or remove.
    Percent,
}

/// Returns the number of droplets after applying `by` to `base`; a percentage changes it by at least `min_magnitude`.
pub fn apply_adjustment(adjustment: AdjustmentType, base: u32, by: i32, min_magnitude: u32) -> u32 {
    let (base, by) = (i64::from(base), i64::from(by));
    let wanted = match adjustment {
        AdjustmentType::Change => base + by,
        AdjustmentType::Exact => by,
        AdjustmentType::Percent => base + percent_change(base, by, i64::from(min_magnitude)),
    };
    u32::try_from(wanted.max(0)).unwrap_or(u32::MAX)
}

/// AWS: "values greater than 1 are rounded down, between 0 and 1 to 1, between 0 and -1 to -1, less than -1 up".
fn percent_change(base: i64, by: i64, min_magnitude: i64) -> i64 {
    // A percentage of zero is zero; AWS raises an empty group to its minimum.
    let exact = base * by;
    if exact == 0 { 0 } else { exact.signum() * (exact.abs() / 100).max(1).max(min_magnitude) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentages_are_rounded_as_in_aws() {
        // Base, percent, minimum change, and expected result.
        for (base, by, min_magnitude, wanted) in [
            (10, 10, 0, 11),
            (10, 25, 0, 12),  // 12.7 in the guide's example is 12: "12.7 is rounded to 12"
            (3, 10, 0, 4),    // 0.3 is 1
            (3, -10, 0, 2),   // -0.3 is -1
            (10, -25, 0, 8),  // -2.5 is -2, "-6.67 is rounded to -6"
            (20, -33, 0, 14), // -6.6
            (10, 10, 2, 12),
            (10, -10, 3, 7),
            (1, -100, 5, 0),
            (0, 50, 2, 0),
            (7, 0, 2, 7),
        ] {
            assert_eq!(apply_adjustment(AdjustmentType::Percent, base, by, min_magnitude), wanted, "{base} by {by} %");
        }
    }

    #[test]
    fn changes_and_counts_apply_unmodified() {
        assert_eq!(apply_adjustment(AdjustmentType::Change, 5, -2, 9), 3);
        assert_eq!(apply_adjustment(AdjustmentType::Change, 1, -2, 0), 0);
        assert_eq!(apply_adjustment(AdjustmentType::Exact, 5, 2, 9), 2);
    }

    proptest! {
        #[test]
        fn larger_percentage_never_yields_fewer(base in any::<u32>(), by in any::<i32>(), more in 0..1000_i32, least in 0..100_u32) {
            let wanted = |by| apply_adjustment(AdjustmentType::Percent, base, by, least);
            prop_assert!(wanted(by.saturating_add(more)) >= wanted(by));
        }
    }
}
