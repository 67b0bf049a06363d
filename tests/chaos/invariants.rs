//! Invariants that hold after every crash, fault and seed, once the faults are over and the recovery has run.

use std::collections::{HashMap, HashSet};

use doproxy_controller::{OrphanPolicy, servers};
use doproxy_core::domain::{DropletId, OperationState};
use doproxy_core::seams::{CloudProvider, Filter};
use doproxy_emulator::Faults;

use crate::fleet::{Fleet, PREFIX, tag};

/// Recovers without faults, and returns the violated invariants.
pub async fn violations_after_recovery(fleet: &mut Fleet) -> Vec<String> {
    fleet.set_faults(Faults::default());
    let process = fleet.process();
    if let Err(error) = process.recover(OrphanPolicy::Report).await {
        return vec![format!("recovery failed without any fault: {error}")];
    }
    drop(process);
    let mut broken = fleet.cloud.violations.all();
    let snapshot = fleet.snapshot().await;
    let known: HashMap<DropletId, _> =
        snapshot.droplets.iter().filter_map(|droplet| Some((droplet.id?, droplet))).collect();
    let at_the_api = fleet.cloud.inner.list(&Filter::Tag(tag())).await.unwrap();
    let reported = fleet.reported();
    let mut names = HashSet::new();
    for found in &at_the_api {
        if !known.contains_key(&found.id) && !reported.contains(&found.id) {
            broken.push(format!("{} (id {}) is leaked: not in the inventory, and not reported", found.name, found.id));
        }
        // A child's requests are not recorded here; a droplet with the fleet's name prefix was created by one.
        let made = fleet.cloud.created();
        let is_ours = if made.is_empty() { found.name.starts_with(PREFIX) } else { made.contains(&found.id) };
        if is_ours && !names.insert(found.name.clone()) {
            broken.push(format!("{} exists twice", found.name));
        }
    }
    for droplet in snapshot.droplets.iter().filter(|droplet| droplet.id.is_some()) {
        if !at_the_api.iter().any(|found| Some(found.id) == droplet.id) {
            let there = fleet.cloud.inner.get(droplet.id.unwrap()).await.is_ok();
            if !there {
                broken.push(format!("{} is in the inventory ({}), but not at the API", droplet.name, droplet.phase));
            }
        }
    }
    if fleet
        .balancer
        .inner
        .servers()
        .iter()
        .map(|server| (server.id, server.address, server.state))
        .collect::<HashSet<_>>()
        != servers(&snapshot.droplets).iter().map(|server| (server.id, server.address, server.state)).collect()
    {
        broken.push("HAProxy does not have the inventory's servers".to_owned());
    }
    for server in fleet.balancer.inner.servers() {
        let own = fleet
            .cloud
            .inner
            .with_state(|cloud, now| cloud.droplet_itself(now, server.id).map(|one| one.private_address));
        if own.ok().map(Into::into) != Some(server.address) {
            broken.push(format!("HAProxy has {} at a wrong address", server.id));
        }
    }
    broken.extend(snapshot.operations.iter().map(|open| format!("operation {} for {} is open", open.id, open.droplet)));
    let unowned =
        fleet.inventory().closed_operations().unwrap().into_iter().filter(|one| one.state == OperationState::Open);
    broken.extend(unowned.map(|one| format!("operation {} is neither open nor closed", one.id)));

    let calls = mutating_calls(fleet);
    let again = fleet.process();
    match again.recover(OrphanPolicy::Report).await {
        Err(error) => broken.push(format!("a second recovery failed: {error}")),
        Ok(_) if mutating_calls(fleet) != calls => broken.push("a second recovery made changes at the API".to_owned()),
        Ok(_) => {}
    }
    drop(again);
    if fleet.snapshot().await != snapshot {
        broken.push("a second recovery changed the inventory".to_owned());
    }
    broken
}

/// Returns the number of mutating calls.
fn mutating_calls(fleet: &Fleet) -> u64 {
    fleet.cloud.inner.with_state(|cloud, _| {
        cloud.calls().iter().filter(|(call, _)| !call.starts_with("GET")).map(|(_, count)| count).sum()
    })
}
