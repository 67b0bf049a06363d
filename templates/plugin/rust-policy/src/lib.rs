//! {{name}}: keeps the share of each droplet in one metric at a target.
//!
//! The fleet grows at once, and shrinks by one droplet after fewer would have sufficed for `patience` consecutive
//! ticks.

use doproxy::plugin::types::Phase;
use exports::doproxy::plugin::policy::{
    Decision, Error, Guest, Manifest, Observation, Outcome, Problem, ScaleTo, Series, Signal,
};
use serde::Deserialize;

wit_bindgen::generate!({ path: "wit", world: "scaling-policy" });

#[derive(Deserialize)]
struct Config {
    #[serde(default = "default_metric")]
    metric: String,
    target_per_droplet: f64,
    #[serde(default = "default_patience")]
    patience: u32,
}

fn default_metric() -> String {
    "haproxy.sessions".to_owned()
}

fn default_patience() -> u32 {
    3
}

struct Policy;

export!(Policy);

impl Guest for Policy {
    fn describe() -> Manifest {
        Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: concat!(env!("CARGO_PKG_DESCRIPTION"), ".").to_owned(),
            config_schema: include_str!("schema.json").to_owned(),
            metrics: Vec::new(),
        }
    }

    /// Checks what the schema cannot express: these metrics are averages, which cannot be added up.
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        let config = parse(&config).map_err(|problem| vec![problem])?;
        if matches!(config.metric.as_str(), "haproxy.utilization" | "haproxy.response_time_ms") {
            let message = format!("{} is an average over the droplets; name a total", config.metric);
            return Err(vec![Problem { path: "/metric".to_owned(), message }]);
        }
        Ok(())
    }

    fn decide(config: String, observation: Observation, state: Vec<u8>) -> Result<Decision, Error> {
        let Config { metric, target_per_droplet: target, patience } =
            parse(&config).map_err(|problem| Error::InvalidConfig(vec![problem]))?;
        let series: Vec<&Series> = observation.metrics.iter().filter(|one| one.name == metric).collect();
        if series.iter().any(|one| one.stale) {
            return Ok(hold(format!("{metric} is stale, so the fleet is held"), state));
        }
        let newest: Vec<f64> = series.iter().filter_map(|one| Some(one.samples.last()?.value)).collect();
        let total = newest.iter().fold(0.0, |sum, value| sum + value);
        if newest.is_empty() || total.is_nan() {
            return Ok(hold(format!("{metric} is missing, so the fleet is held"), state));
        }

        let (least, most) = (observation.limits.min, observation.limits.max.max(observation.limits.min));
        let is_active = |phase| matches!(phase, Phase::Requested | Phase::Booting | Phase::Warming | Phase::Serving);
        let size = observation.fleet.iter().filter(|droplet| is_active(droplet.phase)).count() as u32;
        let needed = round_up(total / target, least, most);
        let target = Some(target * f64::from(size));
        let signal = Signal { name: metric.clone(), value: total, target, wants: Some(needed) };
        let reason =
            format!("{metric} is {} over a fleet of {size}: a fleet of {needed} suffices", rounded(total));
        let calm = if needed < size { calm_ticks(&state) + 1 } else { 0 };
        let (outcome, reason, calm) = match () {
            () if needed > size => (scale_to(needed), reason, 0),
            () if needed == size => (Outcome::Hold, reason, 0),
            () if calm < patience => {
                (Outcome::Hold, format!("{reason}, for {calm} of {patience} ticks"), calm)
            }
            () => (scale_to((size - 1).min(most)), reason, 0),
        };
        Ok(Decision {
            outcome,
            reason,
            signals: if total.is_finite() { vec![signal] } else { Vec::new() },
            state: format!("1:{calm}").into_bytes(),
            next_check_ms: None,
        })
    }
}

fn parse(config: &str) -> Result<Config, Problem> {
    serde_json::from_str(config).map_err(|error| Problem { path: String::new(), message: error.to_string() })
}

fn hold(reason: String, state: Vec<u8>) -> Decision {
    Decision { outcome: Outcome::Hold, reason, signals: Vec::new(), state, next_check_ms: None }
}

fn scale_to(count: u32) -> Outcome {
    Outcome::ScaleTo(ScaleTo { count, template: None, delete_first: Vec::new() })
}

/// Rounds up, within the limits; the small difference compensates for division errors.
fn round_up(share: f64, least: u32, most: u32) -> u32 {
    (share - 1e-9).max(f64::from(least)).min(f64::from(most)).ceil() as u32
}

/// Rounds for display; extreme values are clamped.
fn rounded(value: f64) -> i64 {
    (value.clamp(-1e15, 1e15) + 0.5).floor() as i64
}

/// Reads the state: `1:` and the number of ticks for which fewer droplets sufficed; any other state counts as 0.
fn calm_ticks(state: &[u8]) -> u32 {
    let digits = state.strip_prefix(b"1:").filter(|digits| (1..=4).contains(&digits.len()));
    let all_digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit));
    all_digits.map_or(0, |digits| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}
