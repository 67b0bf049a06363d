//! Synthetic traces: a sum of parameterized shapes; no file needed.
//!
//! `diurnal:mean=200,swing=0.5+spike:at=12h,height=300,length=10m+noise:share=0.05`. Negative results become 0.
//!
//! | shape | settings | description |
//! | --- | --- | --- |
//! | `constant` | `rate` | a constant rate |
//! | `step` | `from`, `to`, `at` | one rate until `at`, another afterwards |
//! | `ramp` | `from`, `to`, `at`=0s, `length` | linear change from one rate to another |
//! | `diurnal` | `mean`, `swing`=0.5, `period`=24h, `peak`=14h | a sine; `swing` is its amplitude as a share of the mean |
//! | `spike` | `at`, `height`, `length`, `every` | `height` more for `length`, repeated after `every` |
//! | `noise` | `share`, `sd` | normally distributed noise: a share of the sum of the other shapes, or requests per second |

use std::str::FromStr;
use std::time::Duration;

use doproxy_core::domain::Timestamp;
use doproxy_support::SplitMix64;

use crate::key_values::KeyValues;
use crate::number::to_f64;
use crate::traces::trace::millis;
use crate::traces::{MAX_INTERVALS, Trace, TraceError};

/// A sum of shapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator(Vec<Shape>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Constant { rate: f64 },
    Step { from: f64, to: f64, at: f64 },
    Ramp { from: f64, to: f64, at: f64, length: f64 },
    Diurnal { mean: f64, swing: f64, period: f64, peak: f64 },
    Spike { at: f64, height: f64, length: f64, every: Option<f64> },
    Noise { share: f64, sd: f64 },
}

/// The shapes and the settings that each accepts.
const SHAPES: [(&str, &[&str]); 6] = [
    ("constant", &["rate"]),
    ("step", &["from", "to", "at"]),
    ("ramp", &["from", "to", "at", "length"]),
    ("diurnal", &["mean", "swing", "period", "peak"]),
    ("spike", &["at", "height", "length", "every"]),
    ("noise", &["share", "sd"]),
];

impl Generator {
    /// Reports whether a text starts like a generator expression and thus is not a file name.
    pub fn is_generator(text: &str) -> bool {
        SHAPES.iter().any(|(name, _)| text.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
    }

    /// Generates a trace of `length` with one rate per `interval`. Equal seeds give equal traces.
    pub fn trace(&self, interval: Duration, length: Duration, seed: u64) -> Trace {
        let interval_s = interval.as_secs_f64();
        let intervals = (millis(length) / millis(interval)).clamp(1, MAX_INTERVALS);
        let mut normal = NormalRng { rng: SplitMix64::from_seed(seed), spare: None };
        let rates = (0..intervals).map(|index| self.rate((to_f64(index) + 0.5) * interval_s, &mut normal)).collect();
        Trace { start: Timestamp(0), interval, rates }
    }

    fn rate(&self, at: f64, normal: &mut NormalRng) -> f64 {
        let sum: f64 = self.0.iter().map(|shape| shape.rate(at)).sum();
        let noise: f64 = self
            .0
            .iter()
            .map(|shape| match shape {
                Shape::Noise { share, sd } => normal.next() * (share * sum).hypot(*sd),
                _ => 0.0,
            })
            .sum();
        (sum + noise).max(0.0)
    }
}

impl Shape {
    fn rate(&self, now: f64) -> f64 {
        match *self {
            Self::Constant { rate } => rate,
            Self::Step { from, to, at } => {
                if now < at {
                    from
                } else {
                    to
                }
            }
            Self::Ramp { from, to, at, length } => from + (to - from) * ((now - at) / length).clamp(0.0, 1.0),
            Self::Diurnal { mean, swing, period, peak } => {
                mean * (1.0 + swing * (std::f64::consts::TAU * (now - peak) / period).cos())
            }
            Self::Spike { at, height, length, every } => {
                let since = every.map_or(now - at, |every| (now - at).rem_euclid(every));
                let has_begun = now >= at;
                if has_begun && (0.0..length).contains(&since) { height } else { 0.0 }
            }
            Self::Noise { .. } => 0.0,
        }
    }
}

/// A source of normally distributed numbers, using Marsaglia's polar method (1964).
struct NormalRng {
    rng: SplitMix64,
    spare: Option<f64>,
}

impl NormalRng {
    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (x, y) = (self.rng.next_f64() * 2.0 - 1.0, self.rng.next_f64() * 2.0 - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(y * factor);
                return x * factor;
            }
        }
    }
}

impl FromStr for Generator {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let shapes = text.split('+').map(|part| {
            parse_shape(part.trim()).map_err(|problem| TraceError::Generator { text: part.to_owned(), problem })
        });
        shapes.collect::<Result<_, _>>().map(Self)
    }
}

fn parse_shape(text: &str) -> Result<Shape, String> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let Some((_, known)) = SHAPES.iter().find(|(shape, _)| *shape == name) else {
        let names = SHAPES.map(|(name, _)| name).join(", ");
        return Err(format!("unknown shape {name:?}; expected one of: {names}"));
    };
    let settings = KeyValues::parse(settings, known)?;
    Ok(match name {
        "constant" => Shape::Constant { rate: settings.required_number("rate")? },
        "step" => Shape::Step {
            from: settings.required_number("from")?,
            to: settings.required_number("to")?,
            at: settings.required_duration("at")?,
        },
        "ramp" => Shape::Ramp {
            from: settings.required_number("from")?,
            to: settings.required_number("to")?,
            at: settings.duration("at")?.unwrap_or(0.0),
            length: settings.required_duration("length")?,
        },
        "diurnal" => Shape::Diurnal {
            mean: settings.required_number("mean")?,
            swing: settings.number("swing")?.unwrap_or(0.5),
            period: settings.duration("period")?.unwrap_or(86_400.0),
            peak: settings.duration("peak")?.unwrap_or(14.0 * 3600.0),
        },
        "spike" => Shape::Spike {
            at: settings.required_duration("at")?,
            height: settings.required_number("height")?,
            length: settings.required_duration("length")?,
            every: settings.duration("every")?,
        },
        _ => match (settings.number("share")?, settings.number("sd")?) {
            (None, None) => return Err("missing share or sd".to_owned()),
            (share, sd) => Shape::Noise { share: share.unwrap_or(0.0), sd: sd.unwrap_or(0.0) },
        },
    })
}

#[cfg(test)]
mod tests;
