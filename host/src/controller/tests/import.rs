//! Taking over droplets that DOProxy made.

use super::world::Harness;
use crate::model::{DropletId, Phase};

#[tokio::test(start_paused = true)]
async fn droplets_are_marked_and_serve_on() {
    let world = Harness::new();
    let ids = [world.create_externally("auto-nginx-0", &[]).await, world.create_externally("auto-nginx-1", &[]).await];
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let controller = world.controller();

    let imported = controller.import(&ids).await.unwrap();
    controller.apply(&controller.load().await.unwrap()).await.unwrap();

    assert_eq!(imported.droplets.len(), 2);
    assert!(world.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving));
    assert_eq!(world.billed().await.len(), 2);
    assert_eq!(world.balancer.servers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn two_droplets_of_one_name_are_both_taken_over() {
    let world = Harness::new();
    let ids = [world.create_externally("auto-nginx-2", &[]).await, world.create_externally("auto-nginx-2", &[]).await];
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;

    let imported = world.controller().import(&ids).await.unwrap();

    let names: Vec<&str> = imported.droplets.iter().map(|droplet| droplet.name.as_str()).collect();
    assert_eq!(names, ["auto-nginx-2", &format!("auto-nginx-2-{}", ids[1])]);
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_known_is_named_and_stops_nothing() {
    let world = Harness::with_fleet(1).await;
    let known = world.droplets().await[0].id.unwrap();
    let missing = DropletId(1);

    let imported = world.controller().import(&[missing, known]).await.unwrap();

    assert_eq!((imported.droplets, imported.already_managed, imported.missing), (vec![], vec![known], vec![missing]));
}

#[tokio::test(start_paused = true)]
async fn a_droplet_without_an_address_for_haproxy_is_left_out_and_not_marked() {
    let world = Harness::new();
    let id = world.create_externally("auto-nginx-0", &[]).await;

    let imported = world.controller().import(&[id]).await.unwrap();

    assert_eq!((imported.droplets, imported.without_address), (vec![], vec![id]));
    assert_eq!(world.billed().await, []);
}
