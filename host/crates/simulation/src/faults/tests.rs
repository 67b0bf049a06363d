use super::*;

#[test]
fn fault_is_active_in_each_period() {
    let faults = FaultSchedule(vec!["api-outage:from=1h,length=10m,every=2h".parse().unwrap()]);
    let minutes = |minutes: u64| faults.is_api_down(Duration::from_mins(minutes));

    assert_eq!([59, 60, 69, 70, 180, 189, 190].map(minutes), [false, true, true, false, true, true, false]);
}

#[test]
fn boots_slow_down_or_never_complete() {
    let faults = FaultSchedule(vec![
        "slow-boots:from=0,length=1h,factor=4".parse().unwrap(),
        "failed-boots:from=0,length=1h,share=0.25".parse().unwrap(),
    ]);

    assert_eq!(faults.boot_factor(Duration::from_mins(1), 0.3), Some(4.0));
    assert_eq!(faults.boot_factor(Duration::from_mins(1), 0.2), None);
    assert_eq!(faults.boot_factor(Duration::from_mins(61), 0.2), Some(1.0));
}

#[test]
fn invalid_fault_is_rejected_with_alternatives() {
    for (text, wanted) in [
        (
            "storm:from=0,length=1h",
            "\"storm:from=0,length=1h\" is not a valid fault: unknown fault \"storm\"; expected one of: api-outage, slow-boots, failed-boots, sold-out, metric-outage",
        ),
        ("sold-out:from=1h", "\"sold-out:from=1h\" is not a valid fault: missing length"),
        (
            "slow-boots:from=0,length=1h,factor=0.5",
            "\"slow-boots:from=0,length=1h,factor=0.5\" is not a valid fault: factor is 0.5; it must be at least 1",
        ),
    ] {
        assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), wanted);
    }
}
