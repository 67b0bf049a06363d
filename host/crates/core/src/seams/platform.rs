//! The three adapters that a controller works with.

use crate::seams::cloud_provider::CloudProvider;
use crate::seams::inventory::Inventory;
use crate::seams::load_balancer::LoadBalancer;

/// A choice of cloud, load balancer and inventory. Production and simulation each have one.
pub trait Platform: 'static {
    /// The cloud in which droplets are created.
    type Cloud: CloudProvider + 'static;
    /// The load balancer in front of the droplets.
    type Balancer: LoadBalancer + 'static;
    /// The durable record of droplets and operations.
    type Inventory: Inventory + 'static;
}
