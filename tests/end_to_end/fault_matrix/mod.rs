//! Every API call of a command combined with every fault of the API: the command ends in bounded time with the right
//! outcome, and the next command finds no violations.
//!
//! `faults` defines the faults and their expected outcomes, `fault_harness` runs one case. The calls are found by
//! running each scenario without faults.

mod fault_harness;
mod faults;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use self::fault_harness::{CaseResult, FaultHarness, Scenario};
use self::faults::{CALL_FAULTS, Case, cloud_faults};
use crate::invariants::print_line;

/// The number of concurrent cases; they spend most of their time waiting.
const CONCURRENCY: usize = 12;

/// The number of failures after which the remaining cases are skipped: failing cases wait for every deadline.
const MAX_FAILURES: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn commands_survive_every_fault_of_every_call() {
    let cases = all_cases(&FaultHarness::start().await).await;
    let planned = cases.len();
    let queue = Arc::new(Mutex::new(VecDeque::from(cases)));

    let mut workers = JoinSet::new();
    let went_wrong = Arc::new(AtomicUsize::new(0));
    for _ in 0..CONCURRENCY {
        workers.spawn(run_queue(Arc::clone(&queue), Arc::clone(&went_wrong)));
    }
    let observed: Vec<(Case, CaseResult)> = workers.join_all().await.into_iter().flatten().collect();

    let tried = observed.len();
    let wrong: BTreeMap<String, Vec<String>> = observed
        .iter()
        .map(|(case, observed)| (case.to_string(), violations(case, observed)))
        .filter(|(_, wrong)| !wrong.is_empty())
        .collect();
    let broken: Vec<String> =
        wrong.iter().map(|(case, wrong)| format!("{case}\n    {}", wrong.join("\n    "))).collect();
    let (worst, case) =
        observed.iter().map(|(case, observed)| (observed.duration, case)).max_by_key(|(took, _)| *took).unwrap();
    print_line(&format!(
        "faults × calls: {tried} tried, {} survived, worst {:.1} s ({case})",
        tried - wrong.len(),
        worst.as_secs_f64()
    ));
    assert!(broken.is_empty() && tried == planned, "{} of {tried} cases failed:\n{}", broken.len(), broken.join("\n"));
}

/// Returns each scenario with each fault in each of its calls, once and permanently, and with each fault of the cloud.
async fn all_cases(harness: &FaultHarness) -> Vec<Case> {
    let mut cases = Vec::new();
    for story in Scenario::ALL {
        let calm = harness.run_case(&Case::without_fault(story)).await;
        assert_eq!(violations(&Case::without_fault(story), &calm), [""; 0], "{story:?} without faults");
        for (call, times) in &calm.calls {
            for nth in 1..=u32::try_from(*times).unwrap() {
                for fault in CALL_FAULTS.iter().filter(|fault| fault.applies_to(call)) {
                    for strikes in fault.repetitions(call) {
                        cases.push(Case::with_call_fault(story, call, nth, *fault, *strikes));
                    }
                }
            }
        }
        cases.extend(cloud_faults().into_iter().map(|fault| Case::with_cloud_fault(story, fault)));
    }
    cases
}

async fn run_queue(queue: Arc<Mutex<VecDeque<Case>>>, went_wrong: Arc<AtomicUsize>) -> Vec<(Case, CaseResult)> {
    let harness = FaultHarness::start().await;
    let mut observed = Vec::new();
    while went_wrong.load(Ordering::Relaxed) < MAX_FAILURES {
        let next = queue.lock().unwrap().pop_front();
        let Some(case) = next else { break };
        let seen = harness.run_case(&case).await;
        if !violations(&case, &seen).is_empty() {
            went_wrong.fetch_add(1, Ordering::Relaxed);
        }
        observed.push((case, seen));
    }
    harness.stop().await;
    observed
}

/// Returns the violations of a case; empty if there are none.
fn violations(case: &Case, observed: &CaseResult) -> Vec<String> {
    let mut wrong = observed.violations.clone();
    let expected = case.expected();
    if !expected.is_met_by(&observed.outcome) {
        wrong.push(format!("expected {expected:?}, got {:?}", observed.outcome));
    }
    wrong
}
