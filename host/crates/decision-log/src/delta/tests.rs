use proptest::prelude::*;

use super::*;

#[test]
fn unchanged_parts_cost_nothing_wherever_they_are() {
    let old: Vec<u8> = (0..4000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    let mut new = old.clone();
    new[100] ^= 1;
    new.splice(9000..9000, *b"inserted");
    new.drain(12_000..12_100);

    let difference = diff(&old, &new);

    assert!(difference.len() < 40, "{}", difference.len());
    assert_eq!(apply(&old, &difference, new.len()), Some(new));
}

#[test]
fn result_is_bounded() {
    let difference = diff(&[7; 100], &[7; 100]);

    assert_eq!(apply(&[7; 100], &difference, 99), None);
    assert_eq!(apply(&[7; 99], &difference, 100), None);
}

fn few_bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0_u8..4, 0..200)
}

proptest! {
    #[test]
    fn applying_a_difference_restores_the_new_content(old in few_bytes(), new in few_bytes()) {
        prop_assert_eq!(apply(&old, &diff(&old, &new), new.len()), Some(new));
    }

    #[test]
    fn malformed_difference_is_rejected_or_bounded(old in few_bytes(), junk in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Some(made) = apply(&old, &junk, 300) {
            prop_assert!(made.len() <= 300);
        }
    }
}
