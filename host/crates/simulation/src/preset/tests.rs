use super::*;

#[test]
fn preset_configures_target_tracking() {
    let config = Preset::find("kpa").unwrap().config(100.0, 0.5);

    assert_eq!(
        config,
        json!({ "preset": "knative", "metric": "haproxy.requests_per_second", "target_per_droplet": 50.0 })
    );
    assert_eq!(Preset::find("keda"), None);
}
