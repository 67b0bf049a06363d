use super::*;

fn steps(sizes: &[u32]) -> Vec<Step> {
    sizes.iter().map(|size| Step { demand: 30.0, required: 3, ready: *size, ..Step::default() }).collect()
}

#[test]
fn flapping_is_found_on_reversal_under_steady_load() {
    assert_eq!(find_flapping(&steps(&[3, 3, 3, 3, 3, 4, 4, 3, 3]), 2), Some(7));
    assert_eq!(find_flapping(&steps(&[3, 4, 4, 4, 4, 3, 3]), 6), None);
    assert_eq!(find_flapping(&steps(&[3, 3, 3, 3, 4, 4, 5, 5]), 2), None);
}

#[test]
fn shortage_is_found_after_settling_time() {
    assert_eq!(find_shortage(&steps(&[2, 2, 2, 3, 3]), 3), None);
    assert_eq!(find_shortage(&steps(&[2, 2, 2, 2, 3]), 3), Some(3));
}

#[test]
fn shortage_is_ignored_while_load_changes() {
    let mut moving = steps(&[2, 2, 2, 2, 2, 2]);
    for (step, demand) in moving.iter_mut().zip([30.0, 40.0, 30.0, 40.0, 30.0, 40.0]) {
        step.demand = demand;
    }

    assert_eq!(find_shortage(&moving, 2), None);
}
