//! Imports droplets that DOProxy created.

use doproxy_core::domain::{DropletId, Phase};

use crate::tests::harness::Harness;

#[tokio::test(start_paused = true)]
async fn imported_droplets_are_tagged_and_keep_serving() {
    let harness = Harness::new();
    let ids =
        [harness.create_externally("auto-nginx-0", &[]).await, harness.create_externally("auto-nginx-1", &[]).await];
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let controller = harness.controller();

    let imported = controller.import(&ids).await.unwrap();
    controller.apply(&controller.load().await.unwrap()).await.unwrap();

    assert_eq!(imported.droplets.len(), 2);
    assert!(harness.droplets().await.iter().all(|droplet| droplet.phase == Phase::Serving));
    assert_eq!(harness.billed().await.len(), 2);
    assert_eq!(harness.balancer.servers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn droplets_with_the_same_name_are_both_imported() {
    let harness = Harness::new();
    let ids =
        [harness.create_externally("auto-nginx-2", &[]).await, harness.create_externally("auto-nginx-2", &[]).await];
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;

    let imported = harness.controller().import(&ids).await.unwrap();

    let names: Vec<&str> = imported.droplets.iter().map(|droplet| droplet.name.as_str()).collect();
    assert_eq!(names, ["auto-nginx-2", &format!("auto-nginx-2-{}", ids[1])]);
}

#[tokio::test(start_paused = true)]
async fn missing_and_managed_droplets_are_reported() {
    let harness = Harness::with_fleet(1).await;
    let known = harness.droplets().await[0].id.unwrap();
    let missing = DropletId(1);

    let imported = harness.controller().import(&[missing, known]).await.unwrap();

    assert_eq!((imported.droplets, imported.already_managed, imported.missing), (vec![], vec![known], vec![missing]));
}

#[tokio::test(start_paused = true)]
async fn droplet_without_address_is_skipped_and_not_tagged() {
    let harness = Harness::new();
    let id = harness.create_externally("auto-nginx-0", &[]).await;

    let imported = harness.controller().import(&[id]).await.unwrap();

    assert_eq!((imported.droplets, imported.without_address), (vec![], vec![id]));
    assert_eq!(harness.billed().await, []);
}
