//! From inventory, HAProxy and prices to what a policy sees. A function of plain data.

use std::time::Duration;

use crate::balancer::{ServerStats, Stats};
use crate::cloud::Size;
use crate::inventory::Snapshot;
use crate::model::{
    Droplet, FleetName, HourlyPrice, Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Phase, Sample,
    Series, Template, Timestamp,
};

/// HAProxy's counters at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsAt {
    /// When they were read.
    pub at: Timestamp,
    /// The counters.
    pub stats: Stats,
}

/// What an observation is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The number of this tick.
    pub tick: u64,
    /// The fleet.
    pub fleet: &'a FleetName,
    /// What is created when a policy does not choose.
    pub template: &'a Template,
    /// Prices.
    pub sizes: &'a [Size],
    /// The bounds.
    pub limits: Limits,
    /// The inventory.
    pub snapshot: &'a Snapshot,
    /// The counters some time ago; rates are over the time since.
    pub before: &'a StatsAt,
    /// The counters now.
    pub now: &'a StatsAt,
    /// From request to serving, as it was lately.
    pub boot_time: Option<Duration>,
}

/// What a policy sees.
pub fn observe(inputs: &Inputs<'_>) -> Observation {
    let now = inputs.now.at;
    let window = Window::between(inputs.before, inputs.now);
    let mut templates = vec![observed_template(inputs.template, inputs.sizes, None)];
    let fleet: Vec<ObservedDroplet> = inputs
        .snapshot
        .droplets
        .iter()
        .map(|droplet| {
            let template = index_of(&mut templates, droplet, inputs.sizes);
            observed_droplet(droplet, template, inputs.now, &window)
        })
        .collect();
    Observation {
        now,
        tick: inputs.tick,
        fleet_name: inputs.fleet.to_string(),
        metrics: metrics(&fleet, &inputs.now.stats, &window, now),
        templates,
        fleet,
        limits: inputs.limits,
        boot_time_ms: inputs.boot_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        last_scale_out: inputs.snapshot.last_scale_out,
        last_scale_in: inputs.snapshot.last_scale_in,
        facts: Vec::new(),
    }
}

/// When the minimum charge of a droplet is used up.
fn paid_until(droplet: &Droplet) -> Option<Timestamp> {
    Some(droplet.created_at.plus(droplet.hourly_price.minimum_time()?))
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

/// The index of the droplet's template, which is added when it is not there yet.
fn index_of(templates: &mut Vec<ObservedTemplate>, droplet: &Droplet, sizes: &[Size]) -> u32 {
    let price = Some(droplet.hourly_price).filter(|price| *price > HourlyPrice::default());
    let own = observed_template(&droplet.template, sizes, price);
    let index = templates.iter().position(|template| *template == own).unwrap_or_else(|| {
        templates.push(own);
        templates.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn observed_droplet(droplet: &Droplet, template: u32, now: &StatsAt, window: &Window<'_>) -> ObservedDroplet {
    let server = now.stats.servers.iter().find(|server| Some(server.id) == droplet.id);
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
        load: server.map(|server| window.load(server)),
    }
}

/// The time between two readings, in which counters became rates.
struct Window<'a> {
    seconds: f64,
    before: Option<&'a Stats>,
}

impl<'a> Window<'a> {
    fn between(before: &'a StatsAt, now: &StatsAt) -> Self {
        // Counters begin anew when HAProxy is restarted or reloaded: then the only past is its own uptime, which is
        // shorter than it would be by now. It counts whole seconds.
        let elapsed = now.at.since(before.at);
        let same_process =
            now.at > before.at && now.stats.uptime_s.saturating_add(1) >= before.stats.uptime_s + elapsed.as_secs();
        #[expect(clippy::cast_precision_loss, reason = "uptimes are far below 2^52")]
        let uptime = (now.stats.uptime_s as f64).max(1.0);
        Self {
            seconds: if same_process { elapsed.as_secs_f64() } else { uptime },
            before: same_process.then_some(&before.stats),
        }
    }

    fn rate(&self, now: u64, before: Option<u64>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a counter's growth in seconds is far below 2^52")]
        let growth = now.saturating_sub(before.unwrap_or(0)) as f64;
        growth / self.seconds
    }

    fn load(&self, server: &ServerStats) -> Load {
        let before = self.before.and_then(|stats| stats.servers.iter().find(|earlier| earlier.id == server.id));
        let requests_per_second = self.rate(server.requests_total, before.map(|earlier| earlier.requests_total));
        Load {
            sessions: server.sessions,
            requests_per_second,
            errors_per_second: self.rate(server.errors_total, before.map(|earlier| earlier.errors_total)),
            // HAProxy's mean does not decay: without requests it speaks of the past.
            response_time_ms: server.load.response_time_ms.filter(|_| requests_per_second > 0.0),
            ..server.load
        }
    }
}

fn metrics(fleet: &[ObservedDroplet], stats: &Stats, window: &Window<'_>, now: Timestamp) -> Vec<Series> {
    let loads: Vec<Load> = fleet.iter().filter_map(|droplet| droplet.load).collect();
    let sessions: f64 = loads.iter().map(|load| f64::from(load.sessions)).sum();
    let queued = f64::from(stats.queued);
    let slots: f64 = fleet
        .iter()
        .filter(|droplet| droplet.phase == Phase::Serving && droplet.healthy)
        .filter_map(|droplet| droplet.load?.max_sessions)
        .map(f64::from)
        .sum();
    let requests = window.rate(stats.requests_total, window.before.map(|before| before.requests_total));
    let errors: f64 = loads.iter().map(|load| load.errors_per_second).sum();
    let busy: f64 = loads.iter().map(|load| load.requests_per_second).sum();
    let response: f64 = loads.iter().filter_map(|load| Some(load.response_time_ms? * load.requests_per_second)).sum();
    let mut values = vec![
        ("haproxy.requests_per_second", "requests/s", requests),
        ("haproxy.sessions", "sessions", sessions),
        ("haproxy.queued", "requests", queued),
        ("haproxy.errors_per_second", "errors/s", errors),
    ];
    if slots > 0.0 {
        values.push(("haproxy.utilisation", "ratio", (sessions + queued) / slots));
    }
    if busy > 0.0 {
        values.push(("haproxy.response_time_ms", "ms", response / busy));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let interval_ms = (window.seconds * 1000.0) as u64;
    values
        .into_iter()
        .map(|(name, unit, value)| Series {
            name: name.to_owned(),
            unit: unit.to_owned(),
            labels: Vec::new(),
            interval_ms,
            stale: false,
            samples: vec![Sample { at: now, value }],
        })
        .collect()
}
