//! A command by hand has the fleet, and the service waits for it.

use std::time::Duration;

use super::super::world::World;
use super::{Surroundings, beside_in, until, within};
use crate::controller::service::{Loader, Turns};
use crate::inventory::sqlite::WriteLock;

#[tokio::test(start_paused = true)]
async fn a_command_that_has_the_fleet_is_named_until_it_is_done() {
    let world = World::with_fleet(1).await;
    let dir = tempfile::tempdir().unwrap();
    let inventory = dir.path().join("doproxy.db");
    let surroundings = Surroundings { turns: Turns::at(inventory.clone()), ..Surroundings::default() };

    beside_in(surroundings, &world, within(1, 5), Loader::without_plugins(), async |running| {
        let waits_for = || running.telemetry.status().waits_for;
        running.ticks_pass(1).await;
        assert_eq!(waits_for(), None);
        let command = WriteLock::acquire(&inventory, Duration::from_mins(1), "create", |_| {}).await.unwrap();
        until(async || waits_for().is_some()).await;
        let first = waits_for().unwrap();
        assert_eq!(first.holder, format!("doproxy create (process {})", std::process::id()));
        running.ticks_pass(2).await;
        assert_eq!(waits_for(), Some(first));
        drop(command);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(waits_for(), None);
    })
    .await;
}
