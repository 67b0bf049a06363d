use super::*;

#[tokio::test(start_paused = true)]
async fn loop_is_stalled_after_its_declared_silence() {
    let health = Health::default();
    health.heartbeat("autoscaler", Duration::from_secs(10));
    health.heartbeat("reconciler", Duration::from_mins(1));

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(health.check(), Ok(()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(health.check().unwrap_err().to_string(), "the autoscaler has made no progress for 11 s");

    health.heartbeat("autoscaler", Duration::from_secs(10));
    assert_eq!(health.check(), Ok(()));
}
