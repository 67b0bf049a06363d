//! Memory does not grow over days of ticks. Runs in a separate process because the process's memory is measured.

use std::process::Command;

use crate::tests::harness::Harness;
use crate::tests::service::{loader, policy_scaling_to, run_with_service, spec_with_limits, with_policy};

/// Maximum memory of a service, in KiB.
const MOST: u64 = 100 * 1024;
/// Maximum growth between the 2,000th and the 10,000th tick: the allocator's overhead and pages of SQLite's cache.
const GROWTH: u64 = 8 * 1024;

#[test]
fn ten_thousand_ticks_do_not_leak() {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "tests::service::memory::in_a_process_of_its_own", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let figure = |name: &str| -> u64 {
        let line =
            text.lines().find_map(|line| line.split(name).nth(1)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.trim().parse().unwrap()
    };
    let (early, late) = (figure("KiB after 2000 ticks:"), figure("KiB after 10000 ticks:"));

    println!("{early} KiB after 2,000 ticks, {late} KiB after 10,000");
    assert!(late < MOST, "{late} KiB");
    assert!(late <= early + GROWTH, "from {early} to {late} KiB");
}

#[tokio::test(start_paused = true)]
#[ignore = "run by the test above in a separate process"]
async fn in_a_process_of_its_own() {
    let harness = Harness::with_fleet(10).await;
    let policy = policy_scaling_to(10, 0..0, 0);

    run_with_service(
        &harness,
        with_policy(spec_with_limits(1, 20), policy.reference(), "{}"),
        loader(),
        async |running| {
            for ticks in [2_000, 10_000] {
                running.wait_for_tick(ticks).await;
                println!("KiB after {ticks} ticks: {}", resident());
            }
        },
    )
    .await;
}

/// Returns the resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
