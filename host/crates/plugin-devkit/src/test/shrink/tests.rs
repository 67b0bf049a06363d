use super::*;
use crate::test::generator;
use crate::test::rng::CaseRng;

#[test]
fn simplification_always_terminates() {
    let names = ["haproxy.sessions".to_owned(), "custom.queue".to_owned()];
    for case in 0..50 {
        let mut fixture = generator::observation(&mut CaseRng::for_case(1, case), &names);
        let mut steps = 0;
        while let Some(next) = simplifications(&fixture).into_iter().next() {
            fixture = next;
            steps += 1;
            assert!(steps < 500, "{fixture:?}");
        }
    }
}
