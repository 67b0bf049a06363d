use super::*;

#[test]
fn reversals_counts_direction_changes() {
    assert_eq!(reversals(&[3, 3, 5, 5, 8]), 0);
    assert_eq!(reversals(&[3, 6, 5, 5, 5]), 1);
    assert_eq!(reversals(&[3, 6, 5, 5, 6]), 2);
    assert_eq!(reversals(&[4, 3, 3, 4, 3]), 2);
}
