//! The systemd unit shipped with doproxy.

use std::path::Path;
use std::process::Command;

const UNIT: &str = include_str!("../../templates/systemd/doproxy.service");

/// The highest acceptable exposure in `systemd-analyze security`; lower is better.
const EXPOSURE: f64 = 2.5;

#[test]
fn systemd_accepts_unit_and_rates_it_confined() {
    let analyze = Path::new("/usr/bin/systemd-analyze");
    if !analyze.exists() {
        println!("skipped: systemd-analyze is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doproxy.service");
    // systemd-analyze verifies that the program exists.
    std::fs::write(&file, UNIT.replace("/usr/local/bin/doproxy", env!("CARGO_BIN_EXE_doproxy"))).unwrap();

    let verified = Command::new(analyze).arg("verify").arg("--man=no").arg(&file).output().unwrap();
    let output = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !output.contains("doproxy.service"), "{output}");

    let security =
        Command::new(analyze).args(["security", "--offline=true", "--no-pager"]).arg(&file).output().unwrap();
    let output = String::from_utf8_lossy(&security.stdout);
    let exposure = output.lines().find_map(|line| line.split("exposure level for doproxy.service:").nth(1));
    let exposure: f64 = exposure.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("a figure");
    assert!(exposure <= EXPOSURE, "{output}");
}
