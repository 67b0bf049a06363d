//! HAProxy as the load balancer: the configuration file is the source of truth, and the running process is reconciled
//! with it.
//!
//! An update takes these steps: render (Tera) → doproxy's own checks → `haproxy -c` → install the file, keeping the
//! last good one beside it → if servers are only added, removed or change state, send commands to the running worker;
//! reload for any other change, or if the worker does not end up in the desired state → verify the servers of the
//! worker. If a step fails, the last good file is restored. Edits made outside doproxy are saved beside the file. If
//! file and process are already as desired, the update is a no-op. A warming or draining droplet is in the file with
//! weight 0: it is health-checked and receives no new sessions.
//!
//! The head of [`BUILT_IN_TEMPLATE`] documents the variables of a template. An update is in `change`; `plan` selects
//! its method, based on the state of file and worker that `layout`, `state` and `taken` report; `at_run_time` and
//! `reload` implement the two methods. Queries to HAProxy are in `runtime`, its statistics in `stats`; [`Process`] runs
//! an HAProxy for the demo and for tests.

mod apply;
mod config_file;
mod counters;
mod desired_server;
mod error;
mod escape;
mod failed_update;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lint;
mod loaded_config;
mod options;
mod parsed_config;
mod process;
mod reload;
mod reload_command;
mod reload_throttle;
mod running_server;
mod runtime_api;
mod runtime_update;
mod stats;
mod table;
mod template;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;
mod update_plan;
mod validate;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{ApplyResult, LoadBalancer, Server, Stats};
use apply::{ApplyState, ReloadPolicy};
use counters::UpdateCounters;
use desired_server::DesiredServer;
use options::TemplateContext;
use reload::Processes;
use runtime_api::{Command, Socket};
use template::Template;

pub use counters::Counters;
pub use error::{HaProxyError, ReloadError, SocketError};
pub use failed_update::{DiskState, FailedUpdate, ProcessState};
pub use lint::Problem;
pub use options::{Deadlines, Options, ReloadMethod, RunAs, Timeouts, UpdateMode};
pub use process::Process;
pub use template::BUILT_IN_TEMPLATE;

/// The name of the fleet's backend in every configuration.
pub const BACKEND: &str = "droplets";

/// HAProxy on this machine.
#[derive(Debug)]
pub struct HaProxy {
    options: Options,
    setup: TemplateContext,
    template: Template,
    /// The state of updates, locked because they run one at a time.
    state: Mutex<ApplyState>,
    counters: UpdateCounters,
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
        config_file::write_state(&state_file, running_server::EMPTY_STATE)?;
        let (_, text) = self.render_checked(&TemplateContext::new(&self.options, &state_file)?, servers)?;
        let file = scratch.path().join("haproxy.cfg");
        std::fs::write(&file, &text).map_err(|source| HaProxyError::File {
            action: "write",
            path: file.clone(),
            source,
        })?;
        validate::validate(&self.options, &file, &text, self.template.name()).await
    }

    /// Applies `servers` like [`LoadBalancer::apply`], but reloads even if nothing differs.
    pub async fn reload(&self, servers: &[Server]) -> Result<ApplyResult, HaProxyError> {
        self.apply_inner(servers, ReloadPolicy::Always).await
    }

    fn render_checked(
        &self,
        setup: &TemplateContext,
        servers: &[Server],
    ) -> Result<(Vec<DesiredServer>, String), HaProxyError> {
        let wanted = DesiredServer::from_servers(servers, self.options.server_port)?;
        let text = self.template.render(setup, &wanted)?;
        lint::check(&text, &wanted)
            .map_err(|problem| HaProxyError::Lint { file: self.template.name().to_owned(), problem })?;
        Ok((wanted, text))
    }

    fn stats_socket(&self) -> Socket {
        Socket::new(&self.options.stats_socket, self.options.deadlines.response)
    }

    /// Queries the processes and the statistics of old workers, if there is a master socket.
    async fn processes(&self) -> Result<Option<(Processes, Vec<String>)>, SocketError> {
        let ReloadMethod::MasterSocket(path) = &self.options.reload else { return Ok(None) };
        let deadline = self.options.deadlines.response;
        let master = Socket::new(path, deadline);
        let mut answers = Vec::new();
        let processes = reload::query_processes(&master, Instant::now() + deadline).await?;
        for &pid in &processes.old_workers {
            match master.query_master(Command::ShowWorkerStat(pid)).await {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    let now = reload::query_processes(&master, Instant::now() + deadline).await?;
                    // The worker may have exited in the meantime, with its last session.
                    if now.old_workers.contains(&pid) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(Some((processes, answers)))
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
        let mut stats = stats::parse(&info, &stat, &old_workers.unwrap_or_default())
            .ok_or_else(|| socket.unexpected_response(Command::ShowStat, &stat))?;
        stats.process.generation = processes.as_ref().map(|processes| processes.reloads);
        stats.process.old_workers = processes.map_or(0, |processes| processes.old_workers.len());
        Ok(stats)
    }
}
