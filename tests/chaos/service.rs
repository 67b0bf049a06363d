//! The service, crashed at every point: `doproxy run` killed at any time and restarted loses no operation.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doproxy_controller::{ConfigSource, Hooks, PolicyLoader, ReloadedConfig, Service, ServiceBuilder, ServiceSpec};
use doproxy_core::domain::{GuardRules, Limits, Phase};
use doproxy_core::pipeline::ScalingRules;
use doproxy_core::seams::Inventory;
use doproxy_metrics::{Collector, Options, TimeSeriesStore};
use doproxy_telemetry::Telemetry;

use crate::fleet::Fleet;

/// The tick interval.
const INTERVAL: Duration = Duration::from_secs(15);

/// The longest time for the fleet to reach a size.
const TIMEOUT: Duration = Duration::from_hours(6);

/// Runs the service until it has scaled a fleet to two droplets and back to one. No policy is needed: the scaling rules
/// require these sizes.
pub async fn serve(fleet: &mut Fleet, folder: &Path) {
    let wanted = Arc::new(Mutex::new(spec_with_limits(2, 2)));
    let read = Arc::clone(&wanted);
    let parts = ServiceBuilder {
        controller: Arc::new(fleet.process()),
        loader: PolicyLoader::without_plugins(),
        collector: Collector::new(Options::new(INTERVAL), Arc::new(TimeSeriesStore::in_memory()), None),
        spec: spec_with_limits(2, 2),
        config_source: Some(ConfigSource {
            file: folder.join("no-such-file"),
            read: Box::new(move |_| {
                Ok(ReloadedConfig { spec: read.lock().unwrap().clone(), collector: None, needs_restart: vec![] })
            }),
        }),
        telemetry: Telemetry::default(),
        hooks: Hooks::default(),
    };
    let service = Service::start(parts).await.unwrap();
    let remote = service.handle();
    let inventory = fleet.inventory();
    let script = async {
        for size in [2, 1] {
            *wanted.lock().unwrap() = spec_with_limits(size, size);
            remote.reload();
            let reached = tokio::time::timeout(TIMEOUT, async {
                loop {
                    let snapshot = inventory.load().await.unwrap();
                    let serving = snapshot.droplets.iter().filter(|droplet| droplet.phase == Phase::Serving).count();
                    if snapshot.droplets.len() == size as usize && serving == size as usize {
                        return;
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            if reached.await.is_err() {
                fleet
                    .cloud
                    .violations
                    .record(format!("the service did not scale the fleet to {size} within {TIMEOUT:?}"));
            }
        }
        remote.stop();
    };
    let (ended, ()) = tokio::join!(service.run(), script);
    if let Err(error) = ended {
        fleet.cloud.violations.record(error.to_string());
    }
}

fn spec_with_limits(min: u32, max: u32) -> ServiceSpec {
    let limits = Limits { min, max, max_hourly_cost: None, max_create: 10, max_delete: 10 };
    let rules = GuardRules::unrestricted();
    ServiceSpec { policies: vec![], scaling: ScalingRules { limits, rules }, interval: INTERVAL }
}
