use std::time::{Duration, Instant};

use super::*;

#[test]
fn function_name_is_demangled() {
    assert_eq!(function_name(Some("_ZN6policy6decide17h0123456789abcdefE")), "policy::decide");
    assert_eq!(function_name(Some("spin\u{1b}[2J")), "spin\u{fffd}[2J");
    assert_eq!(function_name(None), "<unknown>");
}

#[test]
fn function_name_is_truncated_before_demangling() {
    // Each back reference doubles the type before it.
    let endless = format!("_RMC0{}u{}", "TB_".repeat(100_000), "E".repeat(100_000));
    let started = Instant::now();

    let shown = function_name(Some(&endless));

    assert_eq!(shown.chars().count(), 301, "{shown}");
    assert!(shown.starts_with("_RMC0TB_") && shown.ends_with('…'), "{shown}");
    assert!(started.elapsed() < Duration::from_millis(100));
}
