//! The simulated cloud as a `CloudProvider`, in virtual time.

use std::time::Duration;

use doproxy_core::domain::{DropletName, Tag, Template, Timestamp, UserData};
use doproxy_core::seams::{CloudError, CloudProvider, CreateRequest, ErrorClass, Filter, Status};
use doproxy_emulator::{CallFault, CloudState, CorruptBody, Effect, Faults, Frequency, Selection, Settings};
use doproxy_support::Clock;
use doproxy_test_support::SimulatedCloud;

const START: Timestamp = Timestamp(1_795_000_000_000);

fn cloud(faults: Faults) -> SimulatedCloud {
    let mut state = CloudState::new(Settings { boot_time: Duration::from_secs(1), ..Settings::default() });
    state.set_faults(faults);
    SimulatedCloud::new(state, Clock::starting_at(START))
}

fn www() -> Tag {
    Tag::parse("doproxy:www").unwrap()
}

fn request(names: &[&str]) -> CreateRequest {
    CreateRequest {
        names: names.iter().map(|name| DropletName::parse(*name).unwrap()).collect(),
        template: Template {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-22-04-x64".to_owned(),
            tags: vec![www()],
        },
        ssh_keys: Vec::new(),
        user_data: UserData::parse("#!/bin/sh\n").unwrap(),
        vpc_uuid: None,
        monitoring: false,
    }
}

fn on_every_call(effect: Effect) -> Faults {
    let fault = CallFault { method: None, path: None, when: Frequency::Always, effect };
    Faults { calls: vec![fault], ..Faults::default() }
}

#[tokio::test(start_paused = true)]
async fn droplet_completes_lifecycle_in_virtual_time() {
    let cloud = cloud(on_every_call(Effect::LatencyMs(100)));

    let created = cloud.create(&request(&["web-0", "web-1"])).await.unwrap();
    assert_eq!(created.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["web-0", "web-1"]);
    assert_eq!((&created[0].status, created[0].private_addresses.len()), (&Status::New, 0));

    // Ten responses later, the second of boot time has passed.
    for _ in 0..9 {
        assert_eq!(cloud.get(created[0].id).await.unwrap().status, Status::New);
    }
    let booted = cloud.get(created[0].id).await.unwrap();
    assert_eq!((&booted.status, booted.private_addresses.len()), (&Status::Active, 1));

    let blue = Tag::parse("blue").unwrap();
    cloud.tag(created[0].id, &blue).await.unwrap();
    assert_eq!(cloud.list(&Filter::Tag(blue)).await.unwrap().len(), 1);
    cloud.delete(created[0].id).await.unwrap();
    cloud.delete(created[0].id).await.unwrap();
    assert_eq!(cloud.list(&Filter::Tag(www())).await.unwrap().len(), 1);
    assert_eq!(cloud.with_state(|cloud_state, _| cloud_state.calls()["DELETE /v2/droplets/{id}"]), 2);
}

#[tokio::test(start_paused = true)]
async fn errors_have_class_of_real_client() {
    let status = |code, message: &str| Effect::Status {
        code,
        message: (!message.is_empty()).then(|| message.to_owned()),
        retry_after_s: Some(3),
        applied: false,
    };
    for (effect, class) in [
        (status(401, ""), ErrorClass::Unauthorized),
        (status(403, ""), ErrorClass::Unauthorized),
        (status(404, ""), ErrorClass::NotFound),
        (status(429, ""), ErrorClass::RateLimited { retry_after: Some(Duration::from_secs(3)) }),
        (status(422, "this will exceed your droplet limit"), ErrorClass::LimitExceeded),
        (status(422, "Size is not available in this region."), ErrorClass::Unavailable),
        (status(422, "Please try again."), ErrorClass::TryAgain),
        (status(422, "Nonsense."), ErrorClass::InvalidRequest),
        (status(400, ""), ErrorClass::InvalidRequest),
        (status(503, ""), ErrorClass::Server),
        (Effect::Page { code: 502, applied: false }, ErrorClass::Server),
        (Effect::Corrupt { kind: CorruptBody::Malformed, applied: true }, ErrorClass::Server),
        (Effect::Corrupt { kind: CorruptBody::Truncated, applied: true }, ErrorClass::Transport { sent: true }),
        (Effect::NoResponse { applied: true }, ErrorClass::Transport { sent: true }),
        (
            Effect::HourlyLimit { reset_after_s: 3000 },
            ErrorClass::RateLimited { retry_after: Some(Duration::from_mins(50)) },
        ),
        (Effect::DropResponse, ErrorClass::Transport { sent: true }),
        (Effect::Reset, ErrorClass::Transport { sent: true }),
    ] {
        let error = cloud(on_every_call(effect.clone())).account().await.unwrap_err();

        assert_eq!(error.class, class, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failed_create_takes_effect_as_fault_specifies() {
    let failed = |applied| Effect::Status { code: 500, message: None, retry_after_s: None, applied };
    let garbled = |applied| Effect::Corrupt { kind: CorruptBody::Malformed, applied };
    for (effect, made) in [
        (Effect::DropResponse, 1),
        (failed(true), 1),
        (garbled(true), 1),
        (Effect::NoResponse { applied: true }, 1),
        (Effect::Page { code: 502, applied: true }, 1),
        (Effect::Reset, 0),
        (failed(false), 0),
        (garbled(false), 0),
        (Effect::NoResponse { applied: false }, 0),
        (Effect::Page { code: 502, applied: false }, 0),
    ] {
        let cloud = cloud(on_every_call(effect.clone()));

        let error: CloudError = cloud.create(&request(&["web-0"])).await.unwrap_err();

        assert!(error.outcome_unknown(), "{effect:?}");
        assert_eq!(
            cloud.with_state(|cloud_state, now| cloud_state.list(now, Selection::All).droplets.len()),
            made,
            "{effect:?}"
        );
    }
}
