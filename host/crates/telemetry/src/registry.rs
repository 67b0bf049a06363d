//! Counters, gauges and histograms, and their Prometheus text format (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Monotonically increasing.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Number of values at or below each of these bounds.
    Histogram(&'static [f64]),
}

/// A metric family: a metric with all its label sets.
#[derive(Debug)]
pub struct MetricFamily {
    /// Prometheus name.
    pub name: &'static str,
    /// Help text, including the unit.
    pub help: &'static str,
    /// Type.
    pub kind: MetricKind,
    /// Name of each label and the meaning of its values, in output order.
    pub labels: &'static [(&'static str, &'static str)],
}

/// Label names and values, in output order.
type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(f64),
    Histogram { buckets: Vec<u64>, count: u64, sum: f64 },
}

/// The values of all metrics.
#[derive(Debug, Default)]
pub struct Registry {
    families: BTreeMap<&'static str, (&'static MetricFamily, BTreeMap<Labels, Value>)>,
}

impl Registry {
    /// Adds to a counter.
    pub fn add(&mut self, family: &'static MetricFamily, labels: &[(&'static str, &str)], by: f64) {
        if let Value::Number(number) = self.value(family, labels) {
            *number += by;
        }
    }

    /// Sets a gauge, or a counter that another module maintains.
    pub fn set(&mut self, family: &'static MetricFamily, labels: &[(&'static str, &str)], to: f64) {
        *self.value(family, labels) = Value::Number(to);
    }

    /// Removes all values of a gauge, because label values may have become obsolete.
    pub fn clear(&mut self, family: &'static MetricFamily) {
        self.families.remove(family.name);
    }

    /// Records a value in a histogram.
    pub fn observe(&mut self, family: &'static MetricFamily, labels: &[(&'static str, &str)], observed: f64) {
        let MetricKind::Histogram(bounds) = family.kind else { return };
        if let Value::Histogram { buckets, count, sum } = self.value(family, labels) {
            for (bucket, bound) in buckets.iter_mut().zip(bounds) {
                *bucket += u64::from(observed <= *bound);
            }
            *count += 1;
            *sum += observed;
        }
    }

    fn value(&mut self, family: &'static MetricFamily, labels: &[(&'static str, &str)]) -> &mut Value {
        debug_assert!(
            labels.iter().map(|(name, _)| name).eq(family.labels.iter().map(|(name, _)| name)),
            "{} has other labels than documented: {labels:?}",
            family.name
        );
        let (_, values) = self.families.entry(family.name).or_insert_with(|| (family, BTreeMap::new()));
        values.entry(owned_labels(labels)).or_insert_with(|| match family.kind {
            MetricKind::Counter | MetricKind::Gauge => Value::Number(0.0),
            MetricKind::Histogram(bounds) => Value::Histogram { buckets: vec![0; bounds.len()], count: 0, sum: 0.0 },
        })
    }

    /// Returns all metrics in the Prometheus text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, (family, values)) in &self.families {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram(_) => "histogram",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
            for (labels, value) in values {
                write_value(&mut text, family, labels, value);
            }
        }
        text
    }
}

fn owned_labels(labels: &[(&'static str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn write_value(text: &mut String, family: &MetricFamily, labels: &Labels, value: &Value) {
    let name = family.name;
    match (value, family.kind) {
        (Value::Histogram { buckets, count, sum }, MetricKind::Histogram(bounds)) => {
            let infinity = ("+Inf".to_owned(), count);
            let bounds = bounds.iter().map(ToString::to_string).zip(buckets).chain([infinity]);
            for (bound, below) in bounds {
                let mut labels = labels.clone();
                labels.push(("le", bound));
                let _ = writeln!(text, "{name}_bucket{} {below}", format_labels(&labels));
            }
            let _ = writeln!(
                text,
                "{name}_sum{labels} {sum}\n{name}_count{labels} {count}",
                labels = format_labels(labels)
            );
        }
        (Value::Number(number), _) => {
            let _ = writeln!(text, "{name}{} {number}", format_labels(labels));
        }
        (Value::Histogram { .. }, _) => {}
    }
}

fn format_labels(labels: &Labels) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape_label_value(value))).collect();
    format!("{{{}}}", labels.join(","))
}

/// Label values come from configuration and from remote systems, so they must not be able to end the line or the
/// quotes.
fn escape_label_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
