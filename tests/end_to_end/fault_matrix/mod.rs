//! Every call that a command makes, struck by every fault of the API: the command ends in bounded time with the right
//! outcome, and the next one finds everything in order.
//!
//! `faults` says what can go wrong and what should come of it, `lab` runs one case. Which calls there are is found
//! out by running each story without faults.

mod faults;
mod lab;

use crate::invariants::say;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use self::faults::{CALL_FAULTS, Case, world_faults};
use self::lab::{Lab, Observed, Story};

/// How many cases run at the same time; they wait more than they work.
const AT_ONCE: usize = 12;

/// After so many that went wrong the rest is not tried: cases that go wrong wait out every deadline.
const ENOUGH: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_api_does_a_command_ends_well_and_the_next_one_finds_everything_in_order() {
    let cases = every_case(&Lab::open().await).await;
    let planned = cases.len();
    let queue = Arc::new(Mutex::new(VecDeque::from(cases)));

    let mut workers = JoinSet::new();
    let went_wrong = Arc::new(AtomicUsize::new(0));
    for _ in 0..AT_ONCE {
        workers.spawn(work(Arc::clone(&queue), Arc::clone(&went_wrong)));
    }
    let observed: Vec<(Case, Observed)> = workers.join_all().await.into_iter().flatten().collect();

    let tried = observed.len();
    let wrong: BTreeMap<String, Vec<String>> = observed
        .iter()
        .map(|(case, observed)| (case.to_string(), wrong_with(case, observed)))
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    let broken: Vec<String> =
        wrong.iter().map(|(case, wrong)| format!("{case}\n    {}", wrong.join("\n    "))).collect();
    let (worst, case) =
        observed.iter().map(|(case, observed)| (observed.took, case)).max_by_key(|(took, _)| *took).unwrap();
    say(&format!(
        "faults × calls: {tried} tried, {} survived, worst {:.1} s ({case})",
        tried - wrong.len(),
        worst.as_secs_f64()
    ));
    assert!(
        broken.is_empty() && tried == planned,
        "{} of {tried} cases went wrong:\n{}",
        broken.len(),
        broken.join("\n")
    );
}

/// Each story with each of its calls struck by each fault, once and for good; and with each fault of the world.
async fn every_case(lab: &Lab) -> Vec<Case> {
    let mut cases = Vec::new();
    for story in Story::ALL {
        let calm = lab.play(&Case::calm(story)).await;
        assert_eq!(wrong_with(&Case::calm(story), &calm), [""; 0], "{story:?} without faults");
        for (call, times) in &calm.calls {
            for nth in 1..=u32::try_from(*times).unwrap() {
                for fault in CALL_FAULTS.iter().filter(|fault| fault.concerns(call)) {
                    for strikes in fault.strikes(call) {
                        cases.push(Case::of_call(story, call, nth, *fault, *strikes));
                    }
                }
            }
        }
        cases.extend(world_faults().into_iter().map(|fault| Case::of_world(story, fault)));
    }
    cases
}

async fn work(queue: Arc<Mutex<VecDeque<Case>>>, went_wrong: Arc<AtomicUsize>) -> Vec<(Case, Observed)> {
    let lab = Lab::open().await;
    let mut observed = Vec::new();
    while went_wrong.load(Ordering::Relaxed) < ENOUGH {
        let next = queue.lock().unwrap().pop_front();
        let Some(case) = next else { break };
        let seen = lab.play(&case).await;
        if !wrong_with(&case, &seen).is_empty() {
            went_wrong.fetch_add(1, Ordering::Relaxed);
        }
        observed.push((case, seen));
    }
    lab.close().await;
    observed
}

/// What is not as it should be; nothing where all is well.
fn wrong_with(case: &Case, observed: &Observed) -> Vec<String> {
    let mut wrong = observed.disorder.clone();
    let expected = case.expected();
    if !expected.is_met_by(&observed.outcome) {
        wrong.push(format!("expected {expected:?}, and it was {:?}", observed.outcome));
    }
    wrong
}
