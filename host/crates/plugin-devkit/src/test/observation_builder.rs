//! The `observation:` section of a fixture, and its conversion to the observation passed to a policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use doproxy_core::domain::{
    DropletId, DropletName, HourlyPrice, Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Phase, Sample,
    Series, Tag, Timestamp,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::test::values::{FixtureDuration, FixtureTime};

/// Default time between two samples, and between two ticks.
pub(super) const DEFAULT_INTERVAL: FixtureDuration = FixtureDuration::seconds(60);

/// Default age of a droplet.
const DEFAULT_AGE: FixtureDuration = FixtureDuration::seconds(3600);

/// Maximum number of droplets in a fixture; DigitalOcean's largest accounts have fewer.
const MAX_DROPLETS: usize = 20_000;

/// An observation in short form. Missing fields default to those of an ordinary small fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObservationFixture {
    /// The time of the tick; defaults to a Monday at noon.
    pub now: Option<FixtureTime>,
    /// The number of the tick.
    pub tick: Option<u64>,
    /// The fleet's name.
    pub fleet_name: Option<String>,
    /// The number of serving droplets, or a list of droplets.
    pub fleet: Option<FleetFixture>,
    /// The droplet templates.
    pub templates: Option<Vec<TemplateFixture>>,
    /// The series by name.
    pub metrics: Option<BTreeMap<String, MetricFixture>>,
    /// The scaling limits.
    pub limits: Option<LimitsFixture>,
    /// Time from create request to serving.
    pub boot_time: Option<FixtureDuration>,
    /// Time since droplets were last added.
    pub last_scale_out: Option<FixtureDuration>,
    /// Time since droplets were last removed.
    pub last_scale_in: Option<FixtureDuration>,
    /// Facts for which the contract has no field.
    pub facts: Option<BTreeMap<String, String>>,
}

/// The droplets of an observation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FleetFixture {
    /// The number of droplets, all serving and healthy.
    Serving(u32),
    /// A list of droplets.
    Droplets(Vec<DropletFixture>),
}

/// A droplet, or several identical ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropletFixture {
    /// Number of identical droplets; defaults to one.
    pub count: Option<u32>,
    /// The ID; defaults to its position in the fleet, starting at 1.
    pub id: Option<u64>,
    /// The name; defaults to `web-` followed by its position.
    pub name: Option<String>,
    /// The lifecycle phase; defaults to serving.
    pub phase: Option<Phase>,
    /// True if the health check passes; defaults to true for serving droplets.
    pub healthy: Option<bool>,
    /// Time since the create request.
    pub age: Option<FixtureDuration>,
    /// Time in the current phase; defaults to the age.
    pub in_phase: Option<FixtureDuration>,
    /// Time until the end of the billing period, before which removal saves nothing.
    pub paid_for: Option<FixtureDuration>,
    /// Index into the templates.
    pub template: Option<u32>,
    /// True if the droplet is protected from deletion.
    pub protected: Option<bool>,
    /// Current sessions.
    pub sessions: Option<u32>,
    /// Maximum number of sessions.
    pub max_sessions: Option<u32>,
    /// Queued requests.
    pub queued: Option<u32>,
    /// Requests per second.
    pub requests_per_second: Option<f64>,
    /// Mean response time.
    pub response_time_ms: Option<f64>,
    /// Failed requests per second.
    pub errors_per_second: Option<f64>,
}

/// A droplet template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemplateFixture {
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug.
    pub image: String,
    /// Tags in addition to the fleet's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// US dollars per hour.
    pub hourly_price: f64,
}

impl Default for TemplateFixture {
    fn default() -> Self {
        Self {
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: Vec::new(),
            hourly_price: 0.00893,
        }
    }
}

/// The scaling limits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFixture {
    /// Minimum number of droplets.
    pub min: u32,
    /// Maximum number of droplets.
    pub max: u32,
    /// Maximum number created in one tick.
    pub max_create: u32,
    /// Maximum number deleted in one tick.
    pub max_delete: u32,
    /// US dollars per hour.
    pub max_hourly_cost: Option<f64>,
}

impl Default for LimitsFixture {
    fn default() -> Self {
        Self { min: 1, max: 10, max_create: 10, max_delete: 10, max_hourly_cost: None }
    }
}

/// The value of one name under `metrics:`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum MetricFixture {
    /// One sample, taken now.
    Latest(f64),
    /// Samples, oldest first, at the default interval; the last one is from now.
    Samples(Vec<f64>),
    /// A series with all optional fields.
    Series(SeriesFixture),
    /// Several series with the same name and different labels.
    MultiSeries(Vec<SeriesFixture>),
}

/// A series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeriesFixture {
    /// Samples, oldest first; the last one is from now unless `ended` is set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<f64>,
    /// A CSV file with the samples, relative to the fixture; replaces `samples`.
    pub csv: Option<PathBuf>,
    /// The column in the file; defaults to the last one.
    pub column: Option<String>,
    /// Time between samples.
    pub interval: Option<FixtureDuration>,
    /// Time since the last sample.
    pub ended: Option<FixtureDuration>,
    /// True if the source failed or is late.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The unit.
    pub unit: Option<String>,
    /// The labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl ObservationFixture {
    /// Returns the observation of a fleet with this number of serving droplets, and no other fields.
    pub fn serving(droplets: u32) -> Self {
        Self {
            fleet: Some(FleetFixture::Serving(droplets)),
            limits: Some(LimitsFixture { max: droplets.saturating_add(10), ..LimitsFixture::default() }),
            ..Self::default()
        }
    }

    /// Returns this observation, with missing fields taken from `base`.
    #[must_use]
    pub fn with_defaults(&self, base: &Self) -> Self {
        let Self { now, tick, fleet_name, fleet, templates, metrics, limits, boot_time, .. } = self.clone();
        Self {
            now: now.or(base.now),
            tick: tick.or(base.tick),
            fleet_name: fleet_name.or_else(|| base.fleet_name.clone()),
            fleet: fleet.or_else(|| base.fleet.clone()),
            templates: templates.or_else(|| base.templates.clone()),
            metrics: metrics.or_else(|| base.metrics.clone()),
            limits: limits.or(base.limits),
            boot_time: boot_time.or(base.boot_time),
            last_scale_out: self.last_scale_out.or(base.last_scale_out),
            last_scale_in: self.last_scale_in.or(base.last_scale_in),
            facts: self.facts.clone().or_else(|| base.facts.clone()),
        }
    }

    /// Converts to an observation. Relative file paths refer to `folder`.
    pub fn observation(&self, folder: &Path) -> Result<Observation, String> {
        let now = self.now.unwrap_or(FixtureTime::DEFAULT).0;
        let templates: Vec<ObservedTemplate> = self
            .templates
            .clone()
            .unwrap_or_else(|| vec![TemplateFixture::default()])
            .into_iter()
            .map(template)
            .collect();
        if templates.is_empty() {
            return Err("templates: at least one is required".to_owned());
        }
        let mut metrics = Vec::new();
        for (name, metric) in self.metrics.iter().flatten() {
            let made = metric.series(name, now, folder).map_err(|error| format!("metrics.{name}: {error}"))?;
            metrics.extend(made);
        }
        let ago = |time: Option<FixtureDuration>| time.map(|time| Timestamp(now.0.saturating_sub(time.ms())));
        let limits = self.limits.unwrap_or_default();
        Ok(Observation {
            now,
            tick: self.tick.unwrap_or(1),
            fleet_name: self.fleet_name.clone().unwrap_or_else(|| "www".to_owned()),
            fleet: droplets(self.fleet.as_ref().unwrap_or(&FleetFixture::Serving(1)), now, templates.len())?,
            templates,
            metrics,
            limits: Limits {
                min: limits.min,
                max: limits.max,
                max_hourly_cost: limits.max_hourly_cost.map(HourlyPrice::from_dollars),
                max_create: limits.max_create,
                max_delete: limits.max_delete,
            },
            boot_time_ms: self.boot_time.map(FixtureDuration::ms),
            last_scale_out: ago(self.last_scale_out),
            last_scale_in: ago(self.last_scale_in),
            facts: self.facts.clone().unwrap_or_default().into_iter().collect(),
        })
    }
}

fn template(text: TemplateFixture) -> ObservedTemplate {
    ObservedTemplate {
        size: text.size,
        region: text.region,
        image: text.image,
        tags: text.tags,
        hourly_price: HourlyPrice::from_dollars(text.hourly_price),
    }
}

fn droplets(fleet: &FleetFixture, now: Timestamp, templates: usize) -> Result<Vec<ObservedDroplet>, String> {
    let serving;
    let written: &[DropletFixture] = match fleet {
        FleetFixture::Droplets(droplets) => droplets,
        FleetFixture::Serving(count) => {
            serving = [DropletFixture { count: Some(*count), ..DropletFixture::default() }];
            &serving
        }
    };
    let mut fleet = Vec::new();
    for text in written {
        for _ in 0..text.count.unwrap_or(1) {
            if fleet.len() >= MAX_DROPLETS {
                return Err(format!("fleet: more than {MAX_DROPLETS} droplets"));
            }
            fleet.push(droplet(text, fleet.len() + 1, now, templates)?);
        }
    }
    Ok(fleet)
}

fn droplet(text: &DropletFixture, place: usize, now: Timestamp, templates: usize) -> Result<ObservedDroplet, String> {
    let phase = text.phase.unwrap_or(Phase::Serving);
    if phase == Phase::Gone {
        return Err("fleet: deleted droplets cannot be observed".to_owned());
    }
    let template = text.template.unwrap_or(0);
    if usize::try_from(template).map_or(true, |index| index >= templates) {
        return Err(format!("fleet: template {template} does not exist; indexes start at 0"));
    }
    let ago = |time: FixtureDuration| Timestamp(now.0.saturating_sub(time.ms()));
    let age = text.age.unwrap_or(DEFAULT_AGE);
    let id = text.id.unwrap_or(u64::try_from(place).unwrap_or(u64::MAX));
    let name = text.name.clone().unwrap_or_else(|| format!("web-{place}"));
    Ok(ObservedDroplet {
        id: (phase != Phase::Requested).then_some(DropletId(id)),
        name: DropletName::parse(name).map_err(|error| format!("fleet: {error}"))?,
        phase,
        phase_since: ago(text.in_phase.unwrap_or(age)),
        created_at: ago(age),
        template,
        paid_until: text.paid_for.map(|time| now.plus(time.0)),
        healthy: text.healthy.unwrap_or(phase == Phase::Serving),
        protected: text.protected.unwrap_or(false),
        load: phase.is_behind_balancer().then(|| Load {
            sessions: text.sessions.unwrap_or(0),
            max_sessions: text.max_sessions,
            queued: text.queued.unwrap_or(0),
            requests_per_second: text.requests_per_second.unwrap_or(0.0),
            response_time_ms: text.response_time_ms,
            errors_per_second: text.errors_per_second.unwrap_or(0.0),
        }),
    })
}

impl MetricFixture {
    /// Returns the series with this name.
    fn series(&self, name: &str, now: Timestamp, folder: &Path) -> Result<Vec<Series>, String> {
        let plain = |samples: Vec<f64>| SeriesFixture { samples, ..SeriesFixture::default() }.series(name, now, folder);
        match self {
            Self::Latest(value) => Ok(vec![plain(vec![*value])?]),
            Self::Samples(values) => Ok(vec![plain(values.clone())?]),
            Self::Series(series) => Ok(vec![series.series(name, now, folder)?]),
            Self::MultiSeries(several) => several.iter().map(|series| series.series(name, now, folder)).collect(),
        }
    }
}

impl SeriesFixture {
    fn series(&self, name: &str, now: Timestamp, folder: &Path) -> Result<Series, String> {
        let values = match (&self.csv, self.samples.is_empty()) {
            (None, _) => self.samples.clone(),
            (Some(_), false) => return Err("specify either samples or csv".to_owned()),
            (Some(file), true) => read_csv(&folder.join(file), self.column.as_deref())?,
        };
        let interval = self.interval.unwrap_or(DEFAULT_INTERVAL).ms().max(1);
        let end = now.0.saturating_sub(self.ended.map_or(0, FixtureDuration::ms));
        let newest = values.len().saturating_sub(1);
        Ok(Series {
            name: name.to_owned(),
            unit: self.unit.clone().unwrap_or_else(|| unit_of(name).to_owned()),
            labels: self.labels.clone().into_iter().collect(),
            interval_ms: interval,
            stale: self.stale,
            samples: values
                .into_iter()
                .enumerate()
                .map(|(place, value)| {
                    let before = u64::try_from(newest - place).unwrap_or(u64::MAX).saturating_mul(interval);
                    Sample { at: Timestamp(end.saturating_sub(before)), value }
                })
                .collect(),
        })
    }
}

/// Returns the unit of one of the host's series.
fn unit_of(name: &str) -> &'static str {
    match name {
        "haproxy.requests_per_second" => "requests/s",
        "haproxy.sessions" => "sessions",
        "haproxy.queued" => "requests",
        "haproxy.errors_per_second" => "errors/s",
        "haproxy.utilization" => "ratio",
        "haproxy.response_time_ms" => "ms",
        _ => "",
    }
}

/// Reads one column of a CSV file of numbers with a header line; skips empty cells.
fn read_csv(file: &Path, column: Option<&str>) -> Result<Vec<f64>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let cells = |line: &str| line.split(',').map(|cell| cell.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let names = lines.next().map(|(_, line)| cells(line)).unwrap_or_default();
    let place = match column {
        None => names.len().checked_sub(1),
        Some(column) => names.iter().position(|name| name == column),
    };
    let place = place.ok_or_else(|| {
        format!("{}: no column {}; available: {}", file.display(), column.unwrap_or("at all"), names.join(", "))
    })?;
    let mut values = Vec::new();
    for (index, line) in lines {
        let cells = cells(line);
        let Some(cell) = cells.get(place).filter(|cell| !cell.is_empty()) else { continue };
        values.push(cell.parse().map_err(|_| format!("{}:{}: {cell:?} is not a number", file.display(), index + 1))?);
    }
    Ok(values)
}

impl<'de> Deserialize<'de> for FleetFixture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FleetVisitor;
        impl<'de> Visitor<'de> for FleetVisitor {
            type Value = FleetFixture;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of serving droplets, or a list of droplets")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<FleetFixture, E> {
                u32::try_from(count)
                    .map(FleetFixture::Serving)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(count), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FleetFixture, A::Error> {
                let mut droplets = Vec::new();
                while let Some(droplet) = list.next_element()? {
                    droplets.push(droplet);
                }
                Ok(FleetFixture::Droplets(droplets))
            }
        }
        deserializer.deserialize_any(FleetVisitor)
    }
}

impl<'de> Deserialize<'de> for MetricFixture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MetricVisitor)
    }
}

struct MetricVisitor;

impl<'de> Visitor<'de> for MetricVisitor {
    type Value = MetricFixture;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a list of numbers (oldest first), or samples with interval, unit, stale and labels")
    }

    fn visit_f64<E>(self, value: f64) -> Result<MetricFixture, E> {
        Ok(MetricFixture::Latest(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<MetricFixture, E> {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        Ok(MetricFixture::Latest(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<MetricFixture, E> {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        Ok(MetricFixture::Latest(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MetricFixture, A::Error> {
        SeriesFixture::deserialize(MapAccessDeserializer::new(map)).map(MetricFixture::Series)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<MetricFixture, A::Error> {
        let (mut numbers, mut several) = (Vec::new(), Vec::new());
        while let Some(element) = list.next_element()? {
            match element {
                MetricFixture::Latest(value) => numbers.push(value),
                MetricFixture::Series(series) => several.push(series),
                MetricFixture::Samples(_) | MetricFixture::MultiSeries(_) => {
                    return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
                }
            }
        }
        match (numbers.is_empty(), several.is_empty()) {
            (_, true) => Ok(MetricFixture::Samples(numbers)),
            (true, false) => Ok(MetricFixture::MultiSeries(several)),
            (false, false) => Err(de::Error::custom("a list must contain only numbers or only series")),
        }
    }
}
