//! The service waits while a manual command holds the fleet lock.

use std::time::Duration;

use doproxy_inventory_sqlite::WriteLock;

use crate::service::PolicyLoader;
use crate::tests::harness::Harness;
use crate::tests::service::{ServiceOptions, run_with_options, spec_with_limits, wait_until};

#[tokio::test(start_paused = true)]
async fn lock_holder_is_shown_until_it_finishes() {
    let harness = Harness::with_fleet(1).await;
    let inventory = harness.dir.path().join("doproxy.db");
    let options = ServiceOptions::default();

    run_with_options(options, &harness, spec_with_limits(1, 5), PolicyLoader::without_plugins(), async |running| {
        let waits_for = || running.telemetry.status().waiting_for;
        running.wait_for_ticks(1).await;
        assert_eq!(waits_for(), None);
        let command = WriteLock::acquire(&inventory, Duration::from_mins(1), "create", |_| {}).await.unwrap();
        wait_until(async || waits_for().is_some()).await;
        let first = waits_for().unwrap();
        assert_eq!(first.holder, format!("doproxy create (process {})", std::process::id()));
        running.wait_for_ticks(2).await;
        assert_eq!(waits_for(), Some(first));
        drop(command);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(waits_for(), None);
    })
    .await;
}
