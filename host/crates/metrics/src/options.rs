//! Options of the collector: the sources, and the retention of their samples.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doproxy_core::pipeline::SERIES;

use crate::sources::digitalocean::DERIVED_SERIES;
use crate::sources::endpoint::Endpoint;
use crate::store::downsampling::Retention;

/// The default time that a tick waits for sources. A slower poll is not aborted: a later tick takes its result.
const POLL_WAIT: Duration = Duration::from_secs(2);

/// Options of the collector.
#[derive(Debug, Clone)]
pub struct Options {
    /// The time between two samples of HAProxy: the tick interval.
    pub interval: Duration,
    /// The sources other than HAProxy.
    pub sources: Vec<SourceOptions>,
    /// The retention of samples.
    pub retention: Retention,
    /// The time that a tick waits for sources.
    pub poll_wait: Duration,
}

impl Options {
    /// Returns options with HAProxy alone, sampled every `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, sources: Vec::new(), retention: Retention::default(), poll_wait: POLL_WAIT }
    }

    /// Returns the names of all possible series, HAProxy's first.
    pub fn names(&self) -> Vec<String> {
        let host = SERIES.iter().map(|(name, _)| (*name).to_owned());
        host.chain(self.sources.iter().flat_map(SourceOptions::names)).collect()
    }
}

/// A source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// The name of its series, or their common prefix.
    pub name: String,
    /// The unit of its series, for display.
    pub unit: String,
    /// The time between two polls.
    pub interval: Duration,
    /// The timeout of a poll.
    pub timeout: Duration,
    /// The lookback for policies that do not specify their requirements.
    pub lookback: Duration,
    /// The kind of source, with its settings.
    pub kind: SourceKind,
}

impl SourceOptions {
    /// Returns the names of its series.
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

    /// Resolves relative paths against `dir`.
    #[must_use]
    pub fn relative_to(mut self, dir: &Path) -> Self {
        match &mut self.kind {
            SourceKind::Prometheus { endpoint, .. } | SourceKind::Http { endpoint, .. } => {
                endpoint.resolve_token_file(dir);
            }
            SourceKind::Command { program, working_dir: folder, .. } => {
                // A bare name is searched in `PATH`.
                if program.components().count() > 1 {
                    *program = dir.join(&program);
                }
                *folder = dir.join(&folder);
            }
            SourceKind::DigitalOcean { .. } => {}
        }
        self
    }

    /// Describes the kind and address of the source, for display.
    pub fn description(&self) -> String {
        match &self.kind {
            SourceKind::Prometheus { endpoint, .. } => format!("prometheus at {endpoint}"),
            SourceKind::Http { endpoint, json_pointer: pointer } => format!("{pointer} of {endpoint}"),
            SourceKind::Command { program, .. } => format!("the output of {}", program.display()),
            SourceKind::DigitalOcean { .. } => "DigitalOcean's monitoring API".to_owned(),
        }
    }
}

/// The kinds of sources other than HAProxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A Prometheus query.
    Prometheus {
        /// The address of Prometheus.
        endpoint: Endpoint,
        /// The query.
        query: String,
    },
    /// A number in a JSON document.
    Http {
        /// The address of the document.
        endpoint: Endpoint,
        /// The JSON pointer to the number.
        json_pointer: String,
    },
    /// A number printed by a program.
    Command {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its working directory.
        working_dir: PathBuf,
    },
    /// DigitalOcean's monitoring API.
    DigitalOcean {
        /// The requested metrics.
        metrics: Vec<AgentMetric>,
        /// The number of droplets per poll.
        droplets_per_poll: usize,
    },
}

/// A metric of DigitalOcean's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgentMetric {
    /// CPU utilization, in percent.
    Cpu,
    /// Memory utilization, in percent.
    Memory,
    /// Runnable processes, averaged over a minute.
    Load1,
}

impl AgentMetric {
    /// Returns the number of API calls for this metric.
    pub fn api_calls(self) -> usize {
        match self {
            Self::Cpu | Self::Load1 => 1,
            Self::Memory => 2,
        }
    }
}
