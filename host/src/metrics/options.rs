//! What the collector is told: which sources there are, and how long what they say is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Endpoint;
use super::digitalocean::DERIVED_SERIES;
use super::rates::SERIES;
use crate::history::Retention;

/// How long a tick waits for sources. One that takes longer is not given up: its answer is taken by a later tick.
const POLL_WAIT: Duration = Duration::from_secs(2);

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
    pub poll_wait: Duration,
}

impl Options {
    /// HAProxy alone, each `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, sources: Vec::new(), retention: Retention::default(), poll_wait: POLL_WAIT }
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
    pub lookback: Duration,
    /// What it is.
    pub kind: SourceKind,
}

impl SourceOptions {
    /// The names of its series.
    pub fn names(&self) -> Vec<String> {
        match &self.kind {
            SourceKind::DigitalOcean { metrics, .. } => {
                let own = DERIVED_SERIES.iter().filter(|suffix| metrics.contains(&suffix.metric));
                own.map(|suffix| format!("{}{}", self.name, suffix.suffix)).collect()
            }
            SourceKind::Prometheus { .. } | SourceKind::Http { .. } | SourceKind::Command { .. } => {
                vec![self.name.clone()]
            }
        }
    }

    /// The same with relative paths relative to `dir`.
    #[must_use]
    pub fn relative_to(mut self, dir: &Path) -> Self {
        match &mut self.kind {
            SourceKind::Prometheus { endpoint, .. } | SourceKind::Http { endpoint, .. } => {
                endpoint.resolve_token_file(dir)
            }
            SourceKind::Command { program, working_dir: folder, .. } => {
                // A bare name is looked for where programs are.
                if program.components().count() > 1 {
                    *program = dir.join(&program);
                }
                *folder = dir.join(&folder);
            }
            SourceKind::DigitalOcean { .. } => {}
        }
        self
    }

    /// What kind of source it is, and where it asks, for people.
    pub fn description(&self) -> String {
        match &self.kind {
            SourceKind::Prometheus { endpoint, .. } => format!("prometheus at {endpoint}"),
            SourceKind::Http { endpoint, json_pointer: pointer } => format!("{pointer} of {endpoint}"),
            SourceKind::Command { program, .. } => format!("what {} prints", program.display()),
            SourceKind::DigitalOcean { .. } => "the monitoring API of DigitalOcean".to_owned(),
        }
    }
}

/// The kinds of sources beside HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
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
        json_pointer: String,
    },
    /// A number that a program prints.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Where it runs.
        working_dir: PathBuf,
    },
    /// The monitoring API of DigitalOcean.
    DigitalOcean {
        /// What is asked for.
        metrics: Vec<AgentMetric>,
        /// How many droplets are asked for at a time.
        droplets_per_poll: usize,
    },
}

/// What is known of a droplet from DigitalOcean's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentMetric {
    /// How busy its processors are, in percent.
    Cpu,
    /// How much of its memory is used, in percent.
    Memory,
    /// Processes that run or want to, over a minute.
    Load1,
}

impl AgentMetric {
    /// How many calls of the API it takes.
    pub fn api_calls(self) -> usize {
        match self {
            Self::Cpu | Self::Load1 => 1,
            Self::Memory => 2,
        }
    }
}
