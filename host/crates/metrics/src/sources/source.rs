//! A source of any kind.

use doproxy_digitalocean::DigitalOcean;

use crate::error::SourceError;
use crate::options::{SourceKind, SourceOptions};
use crate::sources::command::Command;
use crate::sources::digitalocean::DigitalOceanSource;
use crate::sources::http_json::HttpJson;
use crate::sources::poll::{Poll, PollResult};
use crate::sources::prometheus::Prometheus;

/// A source other than HAProxy.
#[derive(Debug)]
pub(crate) enum Source {
    Prometheus(Prometheus),
    Http(HttpJson),
    Command(Command),
    DigitalOcean(DigitalOceanSource),
}

impl Source {
    pub(crate) fn new(options: &SourceOptions, cloud: Option<&DigitalOcean>) -> Self {
        let timeout = options.timeout;
        match options.kind.clone() {
            SourceKind::Prometheus { endpoint, query } => Self::Prometheus(Prometheus::new(&endpoint, query, timeout)),
            SourceKind::Http { endpoint, json_pointer: pointer } => {
                Self::Http(HttpJson::new(endpoint, pointer, timeout))
            }
            SourceKind::Command { program, arguments, working_dir: folder } => {
                Self::Command(Command::new(program, arguments, &folder, timeout))
            }
            SourceKind::DigitalOcean { metrics, droplets_per_poll } => {
                Self::DigitalOcean(DigitalOceanSource::new(cloud.cloned(), metrics, droplets_per_poll, timeout))
            }
        }
    }

    pub(crate) async fn poll(&self, poll: &Poll) -> Result<PollResult, SourceError> {
        match self {
            Self::Prometheus(source) => source.poll(poll).await,
            Self::Http(source) => source.poll(poll).await,
            Self::Command(source) => source.poll(poll).await,
            Self::DigitalOcean(source) => source.poll(poll).await,
        }
    }
}
