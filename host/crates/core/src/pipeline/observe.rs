//! Builds the observation that policies receive from inventory, HAProxy, series and prices. A pure function.

use std::time::Duration;

use crate::domain::{
    Droplet, FleetName, HourlyPrice, Limits, Observation, ObservedDroplet, ObservedTemplate, Series, Template,
    Timestamp,
};
use crate::pipeline::rates::FleetLoad;
use crate::seams::cloud_provider::Size;
use crate::seams::inventory::Snapshot;

/// The inputs of an observation.
#[derive(Debug)]
pub struct ObserveInput<'a> {
    /// The number of this tick.
    pub tick: u64,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// The template of droplets for which a policy does not choose one.
    pub template: &'a Template,
    /// Sizes and prices.
    pub sizes: &'a [Size],
    /// The scaling limits.
    pub limits: Limits,
    /// The inventory.
    pub snapshot: &'a Snapshot,
    /// The load of the fleet; its time is that of the observation.
    pub load: &'a FleetLoad,
    /// Recent time from request to serving.
    pub boot_time: Option<Duration>,
    /// The series from the time-series store.
    pub metrics: &'a [Series],
}

/// Builds an observation.
pub fn observe(inputs: &ObserveInput<'_>) -> Observation {
    let mut templates = vec![observed_template(inputs.template, inputs.sizes, None)];
    let fleet: Vec<ObservedDroplet> = inputs
        .snapshot
        .droplets
        .iter()
        .map(|droplet| {
            let template = template_index(&mut templates, droplet, inputs.sizes);
            observed_droplet(droplet, template, inputs.load)
        })
        .collect();
    Observation {
        now: inputs.load.at,
        tick: inputs.tick,
        fleet_name: inputs.fleet.to_string(),
        metrics: inputs.metrics.to_vec(),
        templates,
        fleet,
        limits: inputs.limits,
        boot_time_ms: inputs.boot_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        last_scale_out: inputs.snapshot.last_scale_out,
        last_scale_in: inputs.snapshot.last_scale_in,
        facts: Vec::new(),
    }
}

/// Returns the end of a droplet's minimum billing period.
fn paid_until(droplet: &Droplet) -> Option<Timestamp> {
    Some(droplet.created_at.plus(droplet.hourly_price.minimum_billed_time()?))
}

fn observed_template(template: &Template, sizes: &[Size], price: Option<HourlyPrice>) -> ObservedTemplate {
    let listed = || sizes.iter().find(|size| size.slug == template.size).map(|size| size.hourly_price);
    ObservedTemplate {
        size: template.size.clone(),
        region: template.region.clone(),
        image: template.image.clone(),
        tags: template.tags.clone(),
        hourly_price: price.or_else(listed).unwrap_or_default(),
    }
}

/// Returns the index of the droplet's template, adding the template if necessary.
fn template_index(templates: &mut Vec<ObservedTemplate>, droplet: &Droplet, sizes: &[Size]) -> u32 {
    let price = Some(droplet.hourly_price).filter(|price| *price > HourlyPrice::default());
    let own = observed_template(&droplet.template, sizes, price);
    let index = templates.iter().position(|template| *template == own).unwrap_or_else(|| {
        templates.push(own);
        templates.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn observed_droplet(droplet: &Droplet, template: u32, load: &FleetLoad) -> ObservedDroplet {
    let server = load.servers.iter().find(|server| Some(server.id) == droplet.id);
    ObservedDroplet {
        id: droplet.id,
        name: droplet.name.clone(),
        phase: droplet.phase,
        phase_since: droplet.phase_since,
        created_at: droplet.created_at,
        template,
        paid_until: paid_until(droplet),
        healthy: server.is_some_and(|server| server.healthy),
        protected: droplet.protected,
        load: server.map(|server| server.load),
    }
}
