//! What stands under `observation:` in a fixture, and the observation that a policy is given for it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::values::{Moment, Time};
use crate::model::{
    DropletId, DropletName, HourlyPrice, Limits, Load, Observation, ObservedDroplet, ObservedTemplate, Phase, Sample,
    Series, Tag, Timestamp,
};

/// The time between two samples, and between two ticks, where nothing else is said.
pub(super) const INTERVAL: Time = Time::seconds(60);

/// How long ago a droplet was asked for, where nothing else is said.
const AGE: Time = Time::seconds(3600);

/// Most droplets of a fixture; DigitalOcean's largest accounts have fewer.
const MOST_DROPLETS: usize = 20_000;

/// An observation in short hand. What is left out is as in an ordinary small fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Situation {
    /// The time of the tick; a Monday at noon where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Moment>,
    /// The number of the tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<u64>,
    /// The fleet's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet_name: Option<String>,
    /// How many serve, or the droplets one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fleet: Option<Fleet>,
    /// The kinds of droplet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templates: Option<Vec<TemplateText>>,
    /// The series by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<BTreeMap<String, Metric>>,
    /// The bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsText>,
    /// From request to serving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_time: Option<Time>,
    /// How long ago droplets were last added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scale_out: Option<Time>,
    /// How long ago droplets were last removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scale_in: Option<Time>,
    /// Facts that the contract has no field for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<BTreeMap<String, String>>,
}

/// The droplets of a situation.
#[derive(Debug, Clone, PartialEq)]
pub enum Fleet {
    /// So many that serve and are healthy.
    Serving(u32),
    /// One by one.
    Droplets(Vec<DropletText>),
}

/// One droplet, or several that are alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropletText {
    /// How many of these; one where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Its id; its place in the fleet, from 1, where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its name; `web-` and its place where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is in its life; serving where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Whether the health check passes; it does for those that serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// How long ago it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Time>,
    /// Since when it is in its phase; as long as it is old where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_phase: Option<Time>,
    /// For how long removing it still saves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_for: Option<Time>,
    /// Index into the templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<u32>,
    /// Whether it must be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Sessions in process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// How many it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Requests that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<u32>,
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Mean response time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<f64>,
    /// Failed requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors_per_second: Option<f64>,
}

/// A kind of droplet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemplateText {
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug.
    pub image: String,
    /// Tags beside the fleet's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// US dollars an hour.
    pub hourly_price: f64,
}

impl Default for TemplateText {
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

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsText {
    /// Fewest droplets.
    pub min: u32,
    /// Most droplets.
    pub max: u32,
    /// Most created in one tick.
    pub max_create: u32,
    /// Most deleted in one tick.
    pub max_delete: u32,
    /// US dollars an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hourly_cost: Option<f64>,
}

impl Default for LimitsText {
    fn default() -> Self {
        Self { min: 1, max: 10, max_create: 10, max_delete: 10, max_hourly_cost: None }
    }
}

/// What is written for one name under `metrics:`.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// One sample, of now.
    Now(f64),
    /// Samples, oldest first, an interval apart; the last is of now.
    Past(Vec<f64>),
    /// With everything that can be said.
    Whole(SeriesText),
    /// Several series of one name, which labels tell apart.
    Several(Vec<SeriesText>),
}

/// A series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeriesText {
    /// Oldest first; the last is of now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<f64>,
    /// A file with the samples in place of these, beside the fixture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<PathBuf>,
    /// Its column; the last one where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The time between samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Time>,
    /// How long ago the last sample was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// Whether its source failed or is late.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What tells it apart.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Situation {
    /// A fleet of so many that serve, and nothing else.
    pub fn serving(droplets: u32) -> Self {
        Self {
            fleet: Some(Fleet::Serving(droplets)),
            limits: Some(LimitsText { max: droplets.saturating_add(10), ..LimitsText::default() }),
            ..Self::default()
        }
    }

    /// This one, with what it leaves out as in `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
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

    /// The observation. `folder` is where files that it names lie.
    pub fn observation(&self, folder: &Path) -> Result<Observation, String> {
        let now = self.now.unwrap_or(Moment::USUAL).0;
        let templates: Vec<ObservedTemplate> =
            self.templates.clone().unwrap_or_else(|| vec![TemplateText::default()]).into_iter().map(template).collect();
        if templates.is_empty() {
            return Err("templates: there must be one".to_owned());
        }
        let mut metrics = Vec::new();
        for (name, metric) in self.metrics.iter().flatten() {
            let made = metric.series(name, now, folder).map_err(|error| format!("metrics.{name}: {error}"))?;
            metrics.extend(made);
        }
        let ago = |time: Option<Time>| time.map(|time| Timestamp(now.0.saturating_sub(time.ms())));
        let limits = self.limits.unwrap_or_default();
        Ok(Observation {
            now,
            tick: self.tick.unwrap_or(1),
            fleet_name: self.fleet_name.clone().unwrap_or_else(|| "www".to_owned()),
            fleet: droplets(self.fleet.as_ref().unwrap_or(&Fleet::Serving(1)), now, templates.len())?,
            templates,
            metrics,
            limits: Limits {
                min: limits.min,
                max: limits.max,
                max_hourly_cost: limits.max_hourly_cost.map(HourlyPrice::from_dollars),
                max_create: limits.max_create,
                max_delete: limits.max_delete,
            },
            boot_time_ms: self.boot_time.map(Time::ms),
            last_scale_out: ago(self.last_scale_out),
            last_scale_in: ago(self.last_scale_in),
            facts: self.facts.clone().unwrap_or_default().into_iter().collect(),
        })
    }
}

fn template(text: TemplateText) -> ObservedTemplate {
    ObservedTemplate {
        size: text.size,
        region: text.region,
        image: text.image,
        tags: text.tags,
        hourly_price: HourlyPrice::from_dollars(text.hourly_price),
    }
}

fn droplets(fleet: &Fleet, now: Timestamp, templates: usize) -> Result<Vec<ObservedDroplet>, String> {
    let serving;
    let written: &[DropletText] = match fleet {
        Fleet::Droplets(droplets) => droplets,
        Fleet::Serving(count) => {
            serving = [DropletText { count: Some(*count), ..DropletText::default() }];
            &serving
        }
    };
    let mut fleet = Vec::new();
    for text in written {
        for _ in 0..text.count.unwrap_or(1) {
            if fleet.len() >= MOST_DROPLETS {
                return Err(format!("fleet: more than {MOST_DROPLETS} droplets"));
            }
            fleet.push(droplet(text, fleet.len() + 1, now, templates)?);
        }
    }
    Ok(fleet)
}

fn droplet(text: &DropletText, place: usize, now: Timestamp, templates: usize) -> Result<ObservedDroplet, String> {
    let phase = text.phase.unwrap_or(Phase::Serving);
    if phase == Phase::Gone {
        return Err("fleet: a droplet that is gone is not observed".to_owned());
    }
    let template = text.template.unwrap_or(0);
    if usize::try_from(template).map_or(true, |index| index >= templates) {
        return Err(format!("fleet: there is no template {template}; they are counted from 0"));
    }
    let ago = |time: Time| Timestamp(now.0.saturating_sub(time.ms()));
    let age = text.age.unwrap_or(AGE);
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

impl Metric {
    /// The series of this name.
    fn series(&self, name: &str, now: Timestamp, folder: &Path) -> Result<Vec<Series>, String> {
        let plain = |samples: Vec<f64>| SeriesText { samples, ..SeriesText::default() }.series(name, now, folder);
        match self {
            Self::Now(value) => Ok(vec![plain(vec![*value])?]),
            Self::Past(values) => Ok(vec![plain(values.clone())?]),
            Self::Whole(series) => Ok(vec![series.series(name, now, folder)?]),
            Self::Several(several) => several.iter().map(|series| series.series(name, now, folder)).collect(),
        }
    }
}

impl SeriesText {
    fn series(&self, name: &str, now: Timestamp, folder: &Path) -> Result<Series, String> {
        let values = match (&self.csv, self.samples.is_empty()) {
            (None, _) => self.samples.clone(),
            (Some(_), false) => return Err("give either samples or csv".to_owned()),
            (Some(file), true) => read_csv(&folder.join(file), self.column.as_deref())?,
        };
        let interval = self.interval.unwrap_or(INTERVAL).ms().max(1);
        let end = now.0.saturating_sub(self.ended.map_or(0, Time::ms));
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

/// The unit of a series of the host's.
fn unit_of(name: &str) -> &'static str {
    match name {
        "haproxy.requests_per_second" => "requests/s",
        "haproxy.sessions" => "sessions",
        "haproxy.queued" => "requests",
        "haproxy.errors_per_second" => "errors/s",
        "haproxy.utilisation" => "ratio",
        "haproxy.response_time_ms" => "ms",
        _ => "",
    }
}

/// One column of a file of numbers with a line of names above; cells that are empty are left out.
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
        format!(
            "{}: there is no column {}; there are: {}",
            file.display(),
            column.unwrap_or("at all"),
            names.join(", ")
        )
    })?;
    let mut values = Vec::new();
    for (index, line) in lines {
        let cells = cells(line);
        let Some(cell) = cells.get(place).filter(|cell| !cell.is_empty()) else { continue };
        values.push(cell.parse().map_err(|_| format!("{}:{}: {cell:?} is no number", file.display(), index + 1))?);
    }
    Ok(values)
}

impl Serialize for Fleet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Serving(count) => count.serialize(serializer),
            Self::Droplets(droplets) => droplets.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Fleet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Fleet;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the number of serving droplets, or a list of droplets")
            }
            fn visit_u64<E: de::Error>(self, count: u64) -> Result<Fleet, E> {
                u32::try_from(count)
                    .map(Fleet::Serving)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(count), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fleet, A::Error> {
                let mut droplets = Vec::new();
                while let Some(droplet) = list.next_element()? {
                    droplets.push(droplet);
                }
                Ok(Fleet::Droplets(droplets))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Now(value) => value.serialize(serializer),
            Self::Past(values) => values.serialize(serializer),
            Self::Whole(series) => series.serialize(serializer),
            Self::Several(several) => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MetricVisitor)
    }
}

struct MetricVisitor;

impl<'de> Visitor<'de> for MetricVisitor {
    type Value = Metric;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a list of numbers (oldest first), or samples with interval, unit, stale and labels")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Metric, E> {
        Ok(Metric::Now(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Metric, E> {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        Ok(Metric::Now(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Metric, E> {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
        Ok(Metric::Now(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Metric, A::Error> {
        SeriesText::deserialize(MapAccessDeserializer::new(map)).map(Metric::Whole)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Metric, A::Error> {
        let (mut numbers, mut several) = (Vec::new(), Vec::new());
        while let Some(element) = list.next_element()? {
            match element {
                Metric::Now(value) => numbers.push(value),
                Metric::Whole(series) => several.push(series),
                Metric::Past(_) | Metric::Several(_) => {
                    return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
                }
            }
        }
        match (numbers.is_empty(), several.is_empty()) {
            (_, true) => Ok(Metric::Past(numbers)),
            (true, false) => Ok(Metric::Several(several)),
            (false, false) => Err(de::Error::custom("a list is either of numbers or of series")),
        }
    }
}
