//! The load balancer on this machine: rendering, checks, updates and statistics.

use doproxy_core::seams::{ApplyResult, LoadBalancer, Server, Stats};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::apply::ReloadPolicy;
use crate::counters::{Counters, UpdateCounters};
use crate::desired_server::DesiredServer;
use crate::error::HaProxyError;
use crate::options::{Options, ReloadMethod, TemplateContext};
use crate::reload::Processes;
use crate::runtime_api::{Command, Socket};
use crate::socket_error::SocketError;
use crate::template::Template;
use crate::update::ApplyState;

/// The name of the fleet's backend in every configuration.
pub const BACKEND: &str = "droplets";

/// HAProxy on this machine.
#[derive(Debug)]
pub struct HaProxy {
    pub(crate) options: Options,
    pub(crate) setup: TemplateContext,
    pub(crate) template: Template,
    /// The state of updates, locked because they run one at a time.
    pub(crate) state: Mutex<ApplyState>,
    pub(crate) counters: UpdateCounters,
}

impl HaProxy {
    /// Validates the options, and reads and parses the template.
    pub fn new(options: Options) -> Result<Self, HaProxyError> {
        let setup = TemplateContext::new(&options, &options.state_file)?;
        let template = Template::load(options.template.as_deref())?;
        Ok(Self { options, setup, template, state: Mutex::default(), counters: UpdateCounters::default() })
    }

    /// Renders the configuration of `servers` as it would be installed.
    pub fn render(&self, servers: &[Server]) -> Result<String, HaProxyError> {
        Ok(self.render_checked(&self.setup, servers)?.1)
    }

    /// Checks that HAProxy accepts the configuration of `servers`, without changing anything.
    pub async fn check(&self, servers: &[Server]) -> Result<(), HaProxyError> {
        let scratch = tempfile::tempdir().map_err(|source| HaProxyError::File {
            action: "write",
            path: std::env::temp_dir(),
            source,
        })?;
        // The real state file may not exist yet, and HAProxy would warn about it.
        let state_file = scratch.path().join("state");
        crate::config_file::write_state(&state_file, crate::running_server::EMPTY_STATE)?;
        let (_, text) = self.render_checked(&TemplateContext::new(&self.options, &state_file)?, servers)?;
        let file = scratch.path().join("haproxy.cfg");
        std::fs::write(&file, &text).map_err(|source| HaProxyError::File {
            action: "write",
            path: file.clone(),
            source,
        })?;
        crate::validate::validate(&self.options, &file, &text, self.template.name()).await
    }

    /// Applies `servers` like [`LoadBalancer::apply`], but reloads even if nothing differs.
    pub async fn reload(&self, servers: &[Server]) -> Result<ApplyResult, HaProxyError> {
        self.apply_inner(servers, ReloadPolicy::Always).await
    }

    pub(crate) fn render_checked(
        &self,
        setup: &TemplateContext,
        servers: &[Server],
    ) -> Result<(Vec<DesiredServer>, String), HaProxyError> {
        let predicate = DesiredServer::from_servers(servers, self.options.server_port)?;
        let text = self.template.render(setup, &predicate)?;
        crate::lint::check(&text, &predicate)
            .map_err(|problem| HaProxyError::Lint { file: self.template.name().to_owned(), problem })?;
        Ok((predicate, text))
    }

    pub(crate) fn stats_socket(&self) -> Socket {
        Socket::new(&self.options.stats_socket, self.options.deadlines.response)
    }

    /// Queries the processes and the statistics of old workers, if there is a master socket.
    async fn processes(&self) -> Result<Option<(Processes, Vec<String>)>, SocketError> {
        let ReloadMethod::MasterSocket(path) = &self.options.reload else { return Ok(None) };
        let deadline = self.options.deadlines.response;
        let master = Socket::new(path, deadline);
        let mut responses = Vec::new();
        let processes = crate::reload::query_processes(&master, Instant::now() + deadline).await?;
        for &pid in &processes.old_workers {
            match master.query_master(Command::ShowWorkerStat(pid)).await {
                Ok(response) => responses.push(response),
                Err(error) => {
                    let now = crate::reload::query_processes(&master, Instant::now() + deadline).await?;
                    // The worker may have exited in the meantime, with its last session.
                    if now.old_workers.contains(&pid) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(Some((processes, responses)))
    }

    /// Returns the counts of updates since this value was created.
    pub fn counters(&self) -> Counters {
        self.counters.snapshot()
    }
}

impl LoadBalancer for HaProxy {
    type Error = HaProxyError;

    async fn apply(&self, servers: &[Server]) -> Result<ApplyResult, HaProxyError> {
        self.apply_inner(servers, ReloadPolicy::IfNeeded).await
    }

    async fn stats(&self) -> Result<Stats, HaProxyError> {
        // Sessions that move to an old worker between the two queries are counted twice rather than not at all.
        let socket = self.stats_socket();
        let [info, stat] = socket.query([Command::ShowInfo, Command::ShowStat]).await?;
        let (processes, old_workers) = self.processes().await?.unzip();
        let mut stats = crate::stats::parse(&info, &stat, &old_workers.unwrap_or_default())
            .ok_or_else(|| socket.unexpected_response(Command::ShowStat, &stat))?;
        stats.process.generation = processes.as_ref().map(|processes| processes.reloads);
        stats.process.old_workers = processes.map_or(0, |processes| processes.old_workers.len());
        Ok(stats)
    }
}
