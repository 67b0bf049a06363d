//! A real file, truncated or with flipped bits: it either opens with unchanged content, or is rejected as damaged.
//!
//! `DOPROXY_EVERY=1` flips a bit in every byte; otherwise a sample over the whole file is tested.

use crate::tests::*;

/// A fleet with a history: droplets that are serving, gone and in progress, and the state of a policy.
async fn populated_file() -> TestInventory {
    let file = TestInventory::new();
    let inventory = file.open();
    inventory.bind_fleet(&FleetName::sanitized("www")).unwrap();
    for index in 0..12 {
        serve(&inventory, index, 100 + u64::from(index)).await;
    }
    for index in 0..4 {
        inventory
            .begin_delete(&name(index), Phase::Draining, DeleteCause::Requested, "test", Timestamp(3000))
            .await
            .unwrap();
        for phase in [Phase::Deleting, Phase::Gone] {
            inventory.record(&Transition::PhaseChanged { droplet: name(index), phase }, Timestamp(4000)).await.unwrap();
        }
    }
    inventory.begin_create(&[intent(12), intent(13)]).await.unwrap();
    let state = PolicyState { identity: "digest".into(), ticks: 3, state: vec![7; 600] };
    inventory.save_state("{}", &[("tracking".to_owned(), state.clone())]).await.unwrap();
    file
}

/// Returns the entire content of an inventory.
async fn contents(inventory: &SqliteInventory) -> Result<impl PartialEq + std::fmt::Debug + use<>, InventoryError> {
    let snapshot = inventory.load().await?;
    let closed = inventory.closed_operations()?;
    let histories = (0..14).map(|index| inventory.history(&name(index))).collect::<Result<Vec<_>, _>>()?;
    let policy = inventory.policy_state("tracking").await?;
    inventory.bind_fleet(&FleetName::sanitized("www"))?;
    Ok((snapshot, closed, histories, policy, inventory.next_index().await?))
}

/// The numbers of damaged files that were rejected and that had unchanged content; any other result is a failure.
#[derive(Debug, Default, PartialEq)]
struct Outcomes {
    rejected: usize,
    unchanged: usize,
}

async fn try_each(damaged: impl Iterator<Item = (String, Vec<u8>)>, file: &TestInventory) -> Outcomes {
    let sound = contents(&file.open()).await.unwrap();
    let mut outcomes = Outcomes::default();
    let place = TestInventory::new();
    for (what, bytes) in damaged {
        crate::path::remove_database(&place.path()).unwrap();
        std::fs::write(place.path(), bytes).unwrap();
        let opened = SqliteInventory::open(place.path());
        let result = match opened {
            Ok(inventory) => contents(&inventory).await,
            Err(error) => Err(error.into()),
        };
        match result {
            Ok(result) => {
                assert_eq!(result, sound, "{what}: altered content was not detected");
                outcomes.unchanged += 1;
            }
            Err(InventoryError { kind: InventoryErrorKind::Corrupt, .. }) => outcomes.rejected += 1,
            Err(other) => panic!("{what}: {other}"),
        }
    }
    outcomes
}

#[tokio::test]
async fn truncated_file_is_rejected() {
    let file = populated_file().await;
    let bytes = std::fs::read(file.path()).unwrap();
    let cut = (0..bytes.len()).step_by(512).map(|length| (format!("{length} bytes"), bytes[..length].to_vec()));

    let outcomes = try_each(cut, &file).await;

    print_uncaptured(&format!("truncated inventory: {} lengths, all rejected", outcomes.rejected));
    assert_eq!(outcomes, Outcomes { rejected: bytes.len() / 512, unchanged: 0 });
}

#[tokio::test]
async fn flipped_bit_is_detected_or_harmless() {
    let file = populated_file().await;
    let bytes = std::fs::read(file.path()).unwrap();
    let every = std::env::var("DOPROXY_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(37);
    // The entire header: each of its bytes has its own meaning.
    let positions = (0..100).chain((100..bytes.len()).step_by(every));
    let flipped = positions.map(|position| {
        let bit = (position / every + position) % 8;
        let mut bytes = bytes.clone();
        bytes[position] ^= 1 << bit;
        (format!("bit {bit} of byte {position}"), bytes)
    });

    let outcomes = try_each(flipped, &file).await;

    print_uncaptured(&format!(
        "inventory with a bit flipped: {} rejected, {} unchanged",
        outcomes.rejected, outcomes.unchanged
    ));
    assert!(outcomes.rejected > 100, "{outcomes:?}");
}
