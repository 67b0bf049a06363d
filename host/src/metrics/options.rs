//! What the collector is told: which sources there are, and how long what they say is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Endpoint;
use super::digitalocean::SUFFIXES;
use super::haproxy::SERIES;
use crate::history::Retention;

/// How long a tick waits for sources. One that takes longer is not given up: its answer is taken by a later tick.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that the collector is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time between two looks at HAProxy: that of a tick.
    pub interval: Duration,
    /// The sources other than HAProxy.
    pub sources: Vec<SourceOptions>,
    /// How long samples are kept.
    pub retention: Retention,
    /// How long a tick waits for sources.
    pub patience: Duration,
}

impl Options {
    /// HAProxy alone, each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, sources: Vec::new(), retention: Retention::default(), patience: PATIENCE }
    }

    /// The names of all series that there can be, those of the host first.
    pub fn names(&self) -> Vec<String> {
        let host = SERIES.iter().map(|(name, _)| (*name).to_owned());
        host.chain(self.sources.iter().flat_map(SourceOptions::names)).collect()
    }
}

/// A source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// The name of its series, or what their names begin with.
    pub name: String,
    /// The unit of its series, for people.
    pub unit: String,
    /// The time between two looks at it.
    pub interval: Duration,
    /// How long a look may take.
    pub timeout: Duration,
    /// How much of it policies see that do not say what they need.
    pub window: Duration,
    /// What it is.
    pub kind: Kind,
}

impl SourceOptions {
    /// The names of its series.
    pub fn names(&self) -> Vec<String> {
        match &self.kind {
            Kind::DigitalOcean { metrics, .. } => {
                let own = SUFFIXES.iter().filter(|suffix| metrics.contains(&suffix.metric));
                own.map(|suffix| format!("{}{}", self.name, suffix.suffix)).collect()
            }
            Kind::Prometheus { .. } | Kind::Http { .. } | Kind::Command { .. } => vec![self.name.clone()],
        }
    }

    /// The same with relative paths relative to `dir`.
    #[must_use]
    pub fn relative_to(mut self, dir: &Path) -> Self {
        match &mut self.kind {
            Kind::Prometheus { endpoint, .. } | Kind::Http { endpoint, .. } => endpoint.find_token_in(dir),
            Kind::Command { program, folder, .. } => {
                // A bare name is looked for where programs are.
                if program.components().count() > 1 {
                    *program = dir.join(&program);
                }
                *folder = dir.join(&folder);
            }
            Kind::DigitalOcean { .. } => {}
        }
        self
    }

    /// What kind of source it is, and where it asks, for people.
    pub fn description(&self) -> String {
        match &self.kind {
            Kind::Prometheus { endpoint, .. } => format!("prometheus at {endpoint}"),
            Kind::Http { endpoint, pointer } => format!("{pointer} of {endpoint}"),
            Kind::Command { program, .. } => format!("what {} prints", program.display()),
            Kind::DigitalOcean { .. } => "the monitoring API of DigitalOcean".to_owned(),
        }
    }
}

/// The kinds of sources beside HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A query of Prometheus.
    Prometheus {
        /// Where Prometheus is.
        endpoint: Endpoint,
        /// The query.
        query: String,
    },
    /// A number in a JSON document.
    Http {
        /// Where the document is.
        endpoint: Endpoint,
        /// The JSON pointer to the number.
        pointer: String,
    },
    /// A number that a program prints.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Where it runs.
        folder: PathBuf,
    },
    /// The monitoring API of DigitalOcean.
    DigitalOcean {
        /// What is asked for.
        metrics: Vec<DropletReading>,
        /// How many droplets are asked for at a time.
        droplets_per_poll: usize,
    },
}

/// What is known of a droplet from DigitalOcean's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropletReading {
    /// How busy its processors are, in percent.
    Cpu,
    /// How much of its memory is used, in percent.
    Memory,
    /// Processes that run or want to, over a minute.
    Load1,
}

impl DropletReading {
    /// How many calls of the API it takes.
    pub fn calls(self) -> usize {
        match self {
            Self::Cpu | Self::Load1 => 1,
            Self::Memory => 2,
        }
    }
}
