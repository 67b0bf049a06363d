//! Tests of the cloud state, in virtual time.

use std::time::Duration;

use doproxy_core::domain::{DropletId, Timestamp};
use doproxy_core::seams::Status;
use doproxy_support::SplitMix64;
use proptest::prelude::*;

use crate::cloud::*;

const START: Timestamp = Timestamp(1_795_000_000_000);

fn after(ms: u64) -> Timestamp {
    START.plus(Duration::from_millis(ms))
}

fn new_state() -> CloudState {
    CloudState::new(Settings { boot_time: Duration::from_secs(1), ..Settings::default() })
}

fn new_state_with(faults: Faults) -> CloudState {
    let mut cloud = new_state();
    cloud.set_faults(faults);
    cloud
}

fn droplets(names: &[&str]) -> NewDroplets {
    NewDroplets {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        region: Some("nyc3".to_owned()),
        size: "s-1vcpu-1gb".to_owned(),
        image: "ubuntu-22-04-x64".to_owned(),
        ..NewDroplets::default()
    }
}

fn create_one(cloud: &mut CloudState, at: Timestamp) -> DropletId {
    cloud.create(at, &droplets(&["web"])).unwrap()[0].droplet
}

fn listed(cloud: &CloudState, at: Timestamp) -> usize {
    cloud.list(at, Selection::All).droplets.len()
}

#[test]
fn droplet_is_new_without_addresses_until_booted() {
    let mut cloud = new_state();

    let created = cloud.create(START, &droplets(&["web"])).unwrap()[0];

    let droplet = cloud.droplet(START, created.droplet).unwrap();
    assert_eq!((droplet.status_at(START), droplet.has_addresses_at(START)), (Status::New, false));
    assert_eq!((droplet.status_at(after(1000)), droplet.has_addresses_at(after(1000))), (Status::Active, true));
    let action = cloud.action(created.action).unwrap();
    assert_eq!(action.status_at(after(999)), ActionStatus::InProgress);
    assert_eq!(action.status_at(after(1000)), ActionStatus::Completed(after(1000)));
    assert_eq!(cloud.running_droplets(START), RunningDroplets { running: vec![], next_change: Some(after(1000)) });
    assert_eq!(
        cloud.running_droplets(after(1000)),
        RunningDroplets { running: vec![created.droplet], next_change: None }
    );
}

#[test]
fn invalid_request_is_rejected_with_api_message() {
    let base = droplets(&["web"]);
    let named = |names: &[&str]| NewDroplets { names: droplets(names).names, ..base.clone() };
    let in_region = |region: &str| NewDroplets { region: Some(region.to_owned()), ..base.clone() };
    for (request, status, words) in [
        (named(&[]), 422, "Name can't be blank."),
        (named(&["a_b"]), 422, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"),
        (named(&["a"; 11]), 422, "At most 10 Droplets can be created at once."),
        (
            NewDroplets { size: "huge".to_owned(), ..base.clone() },
            422,
            "You specified an invalid size for Droplet creation.",
        ),
        (
            NewDroplets { image: "1".to_owned(), ..base.clone() },
            422,
            "You specified an invalid image for Droplet creation.",
        ),
        (in_region("mars1"), 422, "You specified an invalid region for Droplet creation."),
        (in_region("sfo1"), 422, "Region is not available"),
        (NewDroplets { size: "c-2".to_owned(), ..in_region("lon1") }, 422, "Size is not available in this region."),
        (
            NewDroplets { ssh_keys: vec!["512189".to_owned(), "7".to_owned()], ..base.clone() },
            422,
            "7 are invalid key identifiers for Droplet creation.",
        ),
        (
            NewDroplets { user_data: Some("#".repeat(64 * 1024 + 1)), ..base.clone() },
            422,
            "User data may not exceed 64 KiB.",
        ),
        (NewDroplets { tags: vec!["a b".to_owned()], ..base.clone() }, 422, "Tag \"a b\" contains invalid characters."),
        (NewDroplets { private_only: true, ipv6: true, ..base.clone() }, 422, "IPv6 needs public networking."),
    ] {
        let mut cloud = new_state();

        let refusal = cloud.create(START, &request).unwrap_err();

        assert_eq!((refusal.status(), refusal.to_string().as_str()), (status, words));
        assert_eq!(listed(&cloud, START), 0);
    }
}

#[test]
fn region_is_optional_and_image_accepts_id() {
    let mut cloud = new_state();
    for (region, image) in [(None, "ubuntu-14-04-x64"), (Some("nyc"), "6918990")] {
        let request = NewDroplets {
            region: region.map(str::to_owned),
            size: "c-2".to_owned(),
            image: image.to_owned(),
            ..droplets(&["web"])
        };

        let created = cloud.create(START, &request).unwrap()[0];

        let droplet = cloud.just_created(created).unwrap();
        assert!(droplet.size.regions.contains(&droplet.region.slug));
        assert!(droplet.region.slug.starts_with(region.unwrap_or_default()));
        assert_eq!(droplet.image.slug, "ubuntu-14-04-x64");
    }
}

#[test]
fn droplet_limit_applies_to_whole_request() {
    let mut cloud = new_state_with(Faults { droplet_limit: Some(2), ..Faults::default() });
    let first = create_one(&mut cloud, START);

    assert_eq!(cloud.create(START, &droplets(&["a", "b"])), Err(ApiError::DropletLimit));
    assert_eq!(listed(&cloud, START), 1);

    cloud.delete(START, first).unwrap();
    assert!(cloud.create(START, &droplets(&["a", "b"])).is_ok());
}

#[test]
fn sold_out_size_is_unavailable_everywhere() {
    let mut cloud = new_state_with(Faults { sold_out_sizes: vec!["s-1vcpu-1gb".to_owned()], ..Faults::default() });

    let refusal = cloud.create(START, &droplets(&["web"])).unwrap_err();

    assert_eq!(refusal, ApiError::Unavailable("Size is not available in this region."));
    let sold_out: Vec<_> = cloud.sizes().filter(|offered| offered.regions.is_empty()).collect();
    assert_eq!(sold_out.iter().map(|offered| offered.size.slug).collect::<Vec<_>>(), ["s-1vcpu-1gb"]);
}

#[test]
fn lagging_list_shows_past_state() {
    let mut cloud = new_state_with(Faults { list_lag_ms: 3000, ..Faults::default() });
    let id = create_one(&mut cloud, START);

    assert_eq!(listed(&cloud, after(2999)), 0);
    let listing = cloud.list(after(3500), Selection::All);
    assert_eq!(listing.droplets[0].status_at(listing.as_of), Status::New);

    cloud.delete(after(5000), id).unwrap();
    assert_eq!(cloud.droplet(after(5000), id), Err(ApiError::NotFound));
    assert_eq!(listed(&cloud, after(7999)), 1);
    assert_eq!(listed(&cloud, after(8000)), 0);
}

#[test]
fn new_droplet_is_hidden_from_get_for_configured_time() {
    let mut cloud = new_state_with(Faults { not_found_after_create_ms: 2000, ..Faults::default() });
    let id = create_one(&mut cloud, START);

    assert_eq!(cloud.droplet(after(1999), id), Err(ApiError::NotFound));
    assert!(cloud.droplet(after(2000), id).is_ok());
}

#[test]
fn droplet_faults_trigger_as_often_as_configured() {
    let mut cloud = new_state_with(Faults {
        stuck_in_new: Frequency::Next(1),
        active_without_address: Frequency::Next(2),
        lost_creates: Frequency::Next(1),
        ignored_deletes: Frequency::Next(1),
        ..Faults::default()
    });
    let late = after(1_000_000);

    let created = cloud.create(START, &droplets(&["stuck-and-lost", "hidden", "good"])).unwrap();

    assert_eq!(cloud.droplet(late, created[0].droplet), Err(ApiError::NotFound));
    assert_eq!(cloud.just_created(created[0]).unwrap().status_at(late), Status::New);
    let hidden = cloud.droplet(late, created[1].droplet).unwrap();
    assert_eq!((hidden.status_at(late), hidden.has_addresses_at(late)), (Status::Active, false));
    let good = cloud.droplet(late, created[2].droplet).unwrap();
    assert!(good.has_addresses_at(late));

    let good = good.id;
    assert_eq!(cloud.delete(late, good), Ok(()));
    assert!(cloud.droplet(late, good).is_ok());
    assert_eq!(cloud.delete(late, good), Ok(()));
    assert_eq!(cloud.delete(late, good), Err(ApiError::NotFound));
}

#[test]
fn fault_affects_and_counts_only_matching_calls() {
    let fault = |method: &str, path: &str, effect| CallFault {
        method: Some(method.to_owned()),
        path: Some(path.to_owned()),
        when: Frequency::Next(1),
        effect,
    };
    let latency = CallFault { method: None, path: None, when: Frequency::Always, effect: Effect::LatencyMs(40) };
    let mut cloud = new_state_with(Faults {
        calls: vec![
            fault("post", "/v2/droplets", Effect::Reset),
            fault("POST", "/v2/droplets", Effect::DropResponse),
            latency.clone(),
            latency,
        ],
        ..Faults::default()
    });
    let mut verdict = |method: &str| {
        let admission = cloud.admit(START, &Call::new(method, "/v2/droplets"));
        (admission.verdict, admission.latency.as_millis())
    };

    assert_eq!(verdict("GET"), (Verdict::Proceed, 80));
    assert_eq!(verdict("POST"), (Verdict::Reset, 80));
    assert_eq!(verdict("POST"), (Verdict::DropResponse, 80));
    assert_eq!(verdict("POST"), (Verdict::Proceed, 80));
}

#[test]
fn later_fault_starts_and_ends_as_configured() {
    let strikes = |mut frequency: Frequency| {
        let mut rng = SplitMix64::from_seed(0);
        (0..6).map(|_| if frequency.triggers(&mut rng) { 'x' } else { '-' }).collect::<String>()
    };

    assert_eq!(strikes(Frequency::Later { after: 2, next: None }), "--xxxx");
    assert_eq!(strikes(Frequency::Later { after: 2, next: Some(1) }), "--x---");
    assert_eq!(strikes(Frequency::Later { after: 0, next: Some(0) }), "------");
}

#[test]
fn droplets_move_and_vanish_before_call_proceeds() {
    let fault = |effect| CallFault { method: None, path: None, when: Frequency::Next(1), effect };
    let calls = vec![fault(Effect::MovedAddresses), fault(Effect::Vanished), fault(Effect::LatencyMs(1))];
    let mut cloud = new_state_with(Faults { calls, ..Faults::default() });
    let (older, younger) = (create_one(&mut cloud, START), create_one(&mut cloud, START));
    let before = cloud.droplet(START, older).unwrap().private_address;

    let admission = cloud.admit(START, &Call::new("GET", "/v2/account"));

    assert_eq!((admission.verdict, admission.latency.as_millis()), (Verdict::Proceed, 1));
    assert_ne!(cloud.droplet(START, older).unwrap().private_address, before);
    assert_eq!(cloud.droplet(START, younger), Err(ApiError::NotFound));
    let next = create_one(&mut cloud, START);
    assert_ne!(
        cloud.droplet(START, next).unwrap().private_address,
        cloud.droplet(START, older).unwrap().private_address
    );
}

#[test]
fn equal_seeds_give_equal_faults() {
    let verdicts = |seed| {
        let mut cloud = CloudState::new(Settings { seed, rate_limits: None, ..Settings::default() });
        let when = Frequency::Rate(Rate::new(0.5).unwrap());
        let fault = CallFault { method: None, path: None, when, effect: Effect::Reset };
        cloud.set_faults(Faults { calls: vec![fault], ..Faults::default() });
        let call = Call::new("GET", "/v2/account");
        (0..1000).map(|_| cloud.admit(START, &call).verdict == Verdict::Reset).collect::<Vec<_>>()
    };

    assert_eq!(verdicts(1), verdicts(1));
    assert_ne!(verdicts(1), verdicts(2));
    let struck = verdicts(1).into_iter().filter(|struck| *struck).count();
    assert!((400..600).contains(&struck), "{struck} of 1000");
}

#[test]
fn rate_limits_expire_each_call_individually() {
    let limits = RateLimits { per_hour: 3, per_minute: 2, keys_per_minute: 1 };
    let mut cloud = CloudState::new(Settings { rate_limits: Some(limits), ..Settings::default() });
    let mut admit = |seconds: u64, path: &str| {
        let admission = cloud.admit(after(seconds * 1000), &Call::new("GET", path));
        let wait = match admission.verdict {
            Verdict::Reject(ApiError::RateLimited { after, burst }) => Some((after.as_secs(), burst)),
            _ => None,
        };
        (wait, admission.quota.remaining)
    };

    assert_eq!(admit(0, "/v2/account/keys"), (None, 2));
    assert_eq!(admit(5, "/v2/account/keys"), (Some((55, true)), 2));
    assert_eq!(admit(10, "/v2/account"), (None, 1));
    assert_eq!(admit(20, "/v2/account"), (Some((40, true)), 1));
    assert_eq!(admit(60, "/v2/account"), (None, 0));
    assert_eq!(admit(61, "/v2/account"), (Some((3539, false)), 0));
    assert_eq!(admit(3600, "/v2/account"), (None, 0));
}

#[test]
fn tag_keeps_letter_case_of_first_use() {
    let mut cloud = new_state();
    let request = NewDroplets { tags: vec!["Web".to_owned(), "web".to_owned()], ..droplets(&["a"]) };
    let tagged = cloud.create(START, &request).unwrap()[0].droplet;
    let other = create_one(&mut cloud, START);

    cloud.tag_droplets(START, "WEB", &[other]).unwrap();

    assert_eq!(cloud.droplet(START, tagged).unwrap().tags, ["Web"]);
    assert_eq!(cloud.list(START, Selection::Tag("web")).droplets.len(), 2);
    let count = TagSummary { name: "Web".to_owned(), droplets: 2, last: Some(other) };
    assert_eq!(cloud.create_tag(START, "web"), Ok(count));
    assert_eq!(cloud.tag_droplets(START, "none", &[other]), Err(ApiError::NotFound));

    cloud.untag_droplets(START, "web", &[other]).unwrap();
    cloud.delete_tagged(START, "web");
    assert_eq!(listed(&cloud, START), 1);
    cloud.delete_tag("wEb").unwrap();
    assert_eq!(cloud.tags(START), []);
}

#[test]
fn droplet_rejects_actions_during_power_change() {
    let mut cloud = new_state();
    let id = create_one(&mut cloud, START);
    assert_eq!(cloud.command(after(500), id, &Command::PowerOff), Err(ApiError::PendingEvent));

    cloud.command(after(2000), id, &Command::Shutdown).unwrap();

    assert_eq!(cloud.delete(after(2500), id), Err(ApiError::PendingEvent));
    assert_eq!(
        cloud.running_droplets(after(2500)),
        RunningDroplets { running: vec![id], next_change: Some(after(3000)) }
    );
    assert_eq!(cloud.droplet(after(3000), id).unwrap().status_at(after(3000)), Status::Off);
    assert_eq!(cloud.delete(after(3000), id), Ok(()));
}

#[test]
fn state_is_restored_from_json() {
    let mut cloud = new_state();
    cloud.create(START, &NewDroplets { tags: vec!["www".to_owned()], ..droplets(&["a", "b"]) }).unwrap();
    let written = serde_json::to_string(cloud.persisted()).unwrap();

    let mut restored = CloudState::restore(Settings::default(), serde_json::from_str(&written).unwrap()).unwrap();

    assert_eq!(restored.persisted(), cloud.persisted());
    assert_eq!(create_one(&mut restored, after(1)), create_one(&mut cloud, after(1)));
    let unknown = written.replace("s-1vcpu-1gb", "gone");
    let error = serde_json::from_str::<PersistedState>(&unknown).unwrap_err().to_string();
    assert!(error.starts_with("\"gone\" is not in the catalog"), "{error}");
}

proptest! {
    #[test]
    fn addresses_are_unique_and_exclude_localhost(
        seed in any::<u64>(), first in 0_u64..15_000_000, second in 0_u64..15_000_000,
    ) {
        let (one, public, _) = SimulatedDroplet::addresses(seed, first);
        let (other, _, _) = SimulatedDroplet::addresses(seed, second);

        prop_assert_eq!(one == other, first == second);
        prop_assert!(one.is_loopback() && one.octets()[1] != 0 && one.octets()[3] != 0);
        prop_assert_eq!(public.octets()[0], 198);
    }

    #[test]
    fn rate_accepts_only_probabilities(value in any::<f64>()) {
        prop_assert_eq!(Rate::new(value).is_ok(), (0.0..=1.0).contains(&value));
    }
}

#[test]
fn faults_round_trip_through_json() {
    let text = r#"{
        "calls": [
            {"method": "POST", "path": "/v2/droplets", "when": {"next": 1}, "effect": "drop_response"},
            {"when": {"rate": 0.25}, "effect": {"status": {"code": 503, "retry_after_s": 2, "applied": true}}},
            {"when": "always", "effect": {"latency_ms": 50}},
            {"when": {"later": {"after": 3}}, "effect": {"corrupt": {"kind": "truncated"}}},
            {"when": {"later": {"after": 3, "next": 2}}, "effect": {"no_response": {"applied": true}}},
            {"when": "always", "effect": {"page": {"code": 502}}},
            {"when": "always", "effect": {"hourly_limit": {"reset_after_s": 60}}},
            {"when": "always", "effect": "vanished"}
        ],
        "stuck_in_new": {"next": 2},
        "list_lag_ms": 5000,
        "sold_out_sizes": ["1gb"]
    }"#;

    let faults: Faults = serde_json::from_str(text).unwrap();

    let again = serde_json::to_string(&faults).unwrap();
    assert_eq!(serde_json::from_str::<Faults>(&again).unwrap(), faults);
    assert_eq!(faults.calls[0].effect, Effect::DropResponse);
    assert_eq!(faults.calls[3].effect, Effect::Corrupt { kind: CorruptBody::Truncated, applied: true });
    assert_eq!(faults.calls[4].when, Frequency::Later { after: 3, next: Some(2) });
    assert_eq!(faults.stuck_in_new, Frequency::Next(2));
    for bad in [r#"{"stuck": 1}"#, r#"{"stuck_in_new": {"rate": 1.5}}"#] {
        assert!(serde_json::from_str::<Faults>(bad).is_err(), "{bad}");
    }
}
