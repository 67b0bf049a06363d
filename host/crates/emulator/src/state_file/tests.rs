use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use doproxy_support::Clock;

use super::*;
use crate::cloud::{CloudState, Settings};

#[tokio::test(flavor = "multi_thread")]
async fn save_completes_when_caller_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.json");
    let (store, _) = StateFile::open(Some(path.clone())).unwrap();
    let cloud = CloudState::new(Settings::default());
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let shared = Arc::new(Shared::new(cloud, Clock::from_wall_clock(), address, None, store));

    for round in 0..50 {
        shared.with_state(|cloud, now| cloud.create_tag(now, &format!("left-{round}"))).unwrap();
        {
            // As when a client disconnects: the save has started, and its future is dropped.
            let mut left = pin!(StateFile::save(&shared));
            let begun = left.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(begun, Poll::Pending | Poll::Ready(Ok(()))));
        }
        shared.with_state(|cloud, now| cloud.create_tag(now, &format!("stayed-{round}"))).unwrap();
        StateFile::save(&shared).await.unwrap();

        let written: PersistedState = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, shared.with_state(|cloud, _| cloud.persisted().clone()));
    }
}
