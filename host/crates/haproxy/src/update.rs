//! The operations on file and process that the transaction in `apply` consists of.

use std::path::PathBuf;
use std::time::Duration;

use doproxy_support::failpoint_async;
use tokio::time::Instant;

use crate::config_file::{self, ConfigFile};
use crate::desired_server::DesiredServer;
use crate::error::HaProxyError;
use crate::escape;
use crate::failed_update::{DiskState, ProcessState};
use crate::haproxy::HaProxy;
use crate::loaded_config::{self, LoadedConfig};
use crate::options::ReloadMethod;
use crate::reload::{self, Worker};
use crate::reload_error::ReloadError;
use crate::reload_throttle::ReloadThrottle;
use crate::running_server::{self, AdminStateMode, RunningServer};
use crate::runtime_api::{Command, ServerCommand, Socket, sessions_with};
use crate::runtime_update::{self, UpdateCounts};
use crate::socket_error::SocketError;
use crate::update_plan::{self, ServerOp, UpdateContext, UpdateMethod};
use crate::validate;

/// The state carried from one update to the next.
#[derive(Debug, Default)]
pub(super) struct ApplyState {
    loaded: Option<LoadedConfig>,
    throttle: ReloadThrottle,
}

/// The desired state, and what every state of the transaction needs to reach it.
pub(super) struct Update<'a> {
    pub(super) haproxy: &'a HaProxy,
    pub(super) state: &'a mut ApplyState,
    pub(super) file: ConfigFile,
    /// The desired configuration.
    pub(super) text: String,
    /// The servers of the desired configuration.
    pub(super) desired: Vec<DesiredServer>,
    /// The names of servers that the worker has and that the update removes.
    pub(super) removed: Vec<String>,
    /// The treatment of drains and maintenance found in the worker.
    pub(super) admin_mode: AdminStateMode,
}

impl Update<'_> {
    /// Reports whether the worker has loaded the desired configuration, as far as this process can know: a worker that
    /// appeared since the last query was started by another process, possibly with a different file.
    pub(super) fn is_loaded_by(&mut self, worker: &Worker) -> bool {
        if self.state.loaded.as_ref().is_none_or(|loaded| loaded.matches_worker(worker)) {
            return true;
        }
        let is_loaded = loaded_config::loaded_by(worker, None, &self.file).is_ok_and(|loaded| loaded == self.text);
        if is_loaded {
            self.record_loaded_by(worker);
        }
        is_loaded
    }

    /// Plans the method that brings the worker in line with the desired configuration.
    pub(super) fn plan(&self, worker: Option<&Worker>, running: Option<&[RunningServer]>) -> UpdateMethod {
        let loaded = worker
            .ok_or("HAProxy did not respond on its socket")
            .and_then(|worker| loaded_config::loaded_by(worker, self.state.loaded.as_ref(), &self.file));
        update_plan::plan_update(&UpdateContext {
            version: worker.and_then(|worker| worker.version),
            loaded: loaded.as_deref().map_err(|why| *why),
            text: &self.text,
            desired: &self.desired,
            running,
            admin_mode: self.admin_mode,
        })
    }

    /// Preserves the existing file: as the rollback target if it is valid, and as a separate copy if it was edited
    /// outside doproxy. Returns the path of that copy.
    pub(super) async fn preserve_existing(&self, existing: &[u8]) -> Result<Option<PathBuf>, HaProxyError> {
        if self.file.is_managed(existing) {
            // The file passed `haproxy -c` before it was installed.
            if !self.file.is_unconfirmed(existing) {
                self.file.save_last_good(existing)?;
            }
            return Ok(None);
        }
        let edit = self.file.save_foreign_edit(existing)?;
        let rejection = match validate::check_bootable(&self.haproxy.options, &edit.path).await {
            Ok(()) => {
                self.file.save_last_good(existing)?;
                None
            }
            Err(HaProxyError::ConfigInvalid { output, .. }) => Some(output),
            Err(error) => return Err(error),
        };
        let (file, copy) = (self.file.path().display(), edit.path.display());
        match (edit.is_new, self.file.has_digests(), rejection) {
            (false, ..) => {}
            (true, false, None) => tracing::info!("{file} was not written by doproxy; saved a copy as {copy}"),
            (true, true, None) => tracing::warn!(
                "{file} was edited outside doproxy; saved that version as {copy}. To keep the edits, add them to \
                 the template"
            ),
            (true, _, Some(output)) => tracing::warn!(
                "{file} was edited outside doproxy and HAProxy would not have started with it; saved that version \
                 as {copy}:\n{output}"
            ),
        }
        Ok(Some(edit.path))
    }

    /// Updates the servers of the worker and verifies afterwards that it has the desired ones.
    pub(super) async fn execute_at_runtime(
        &self,
        worker: &Worker,
        ops: &[ServerOp],
    ) -> Result<UpdateCounts, ReloadError> {
        let socket = self.haproxy.stats_socket();
        let counts = runtime_update::execute(&socket, ops).await?;
        let now = failpoint_async("query the updated worker", reload::query_worker(&socket)).await?;
        if now.pid != worker.pid {
            return Err(ReloadError::Mismatch("another worker replaced it during the update".to_owned()));
        }
        self.verify(&now.state?, self.admin_mode).map_err(ReloadError::Mismatch)?;
        self.haproxy.counters.record_runtime_update(counts);
        let UpdateCounts { added, removed, changed } = counts;
        tracing::info!("updated HAProxy at run time: +{added} −{removed} ~{changed} servers");
        Ok(counts)
    }

    /// Reloads and verifies the new worker against the desired servers. If the current worker responds, the new one
    /// inherits the health of the servers, with `carried` selecting the treatment of their administrative state.
    pub(super) async fn reload_and_verify(&mut self, carried: Option<AdminStateMode>) -> Result<Worker, ReloadError> {
        let options = &self.haproxy.options;
        self.state.throttle.wait(options.min_reload_interval).await;
        self.state.throttle.record_reload();
        if let Some(mode) = carried
            && let Ok(Worker { state: Ok(state), .. }) = reload::query_worker(&self.haproxy.stats_socket()).await
        {
            let carried = running_server::state_for_next_worker(&state, &self.desired, mode);
            // Without this state, HAProxy has to determine the health of the servers again.
            warn_on_error(config_file::write_state(&options.state_file, &carried));
        }
        let reloaded = reload::reload(options).await;
        self.clear_state_file();
        self.haproxy.counters.record_reload();
        let mut worker = reloaded?;
        let state = std::mem::replace(&mut worker.state, Ok(String::new()))?;
        self.verify(&state, AdminStateMode::Preserve).map_err(ReloadError::Mismatch)?;
        Ok(worker)
    }

    /// Resets the state file: it was meant for that one worker, and a later start must not restore today's server
    /// states.
    fn clear_state_file(&self) {
        let path = &self.haproxy.options.state_file;
        if let Err(error) = config_file::write_state(path, running_server::EMPTY_STATE) {
            tracing::warn!("{error}");
            // Without the file HAProxy starts with a warning, and doproxy writes it before the next check.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Records that the worker has loaded the desired configuration.
    pub(super) fn record_loaded_by(&mut self, worker: &Worker) {
        self.record(LoadedConfig::new(worker, &self.text));
    }

    /// Records the configuration of the worker, for this process and for the next. If the record cannot be written, the
    /// next update does more work than necessary.
    fn record(&mut self, loaded: LoadedConfig) {
        warn_on_error(self.file.write_loaded(&loaded.serialize()));
        self.state.loaded = Some(loaded);
    }

    /// Ends the sessions that old workers still have with removed servers: their droplets are deleted next, and such a
    /// session would wait for a response that never comes.
    pub(super) async fn end_old_sessions(&self) {
        let ReloadMethod::MasterSocket(path) = &self.haproxy.options.reload else { return };
        if self.removed.is_empty() {
            return;
        }
        let deadline = self.haproxy.options.deadlines.response;
        let master = Socket::new(path, deadline);
        let end = async {
            for pid in reload::query_processes(&master, Instant::now() + deadline).await?.old_workers {
                // The old worker's proxies have stopped, so its servers can no longer be addressed by name.
                let dump = master.query_master(Command::ShowWorkerSessions(pid)).await?;
                for id in sessions_with(&dump, &self.removed) {
                    let order = ServerCommand::ShutdownSession(id);
                    failpoint_async("end a session in an old worker", master.execute_on_worker(pid, &order)).await?;
                }
            }
            Ok::<_, SocketError>(())
        };
        // The worker may have exited in the meantime, and the sessions end with their droplet at the latest.
        if let Err(error) = end.await {
            tracing::debug!("failed to end sessions of an old worker: {error}");
        }
    }

    /// Restores the last good configuration if HAProxy would still start with it.
    pub(super) async fn restore_last_good(&self) -> DiskState {
        let Some(last_good) = self.file.last_good() else { return DiskState::NoPrevious };
        match validate::check_bootable(&self.haproxy.options, last_good).await {
            Ok(()) => {}
            Err(why @ HaProxyError::ConfigInvalid { .. }) => {
                return DiskState::PreviousInvalid { last_good: last_good.to_owned(), why: Box::new(why) };
            }
            // The file was valid when it was saved, which is more than HAProxy reported for the new one.
            Err(why) => tracing::warn!("failed to check {} before restoring it: {why}", last_good.display()),
        }
        match self.file.roll_back() {
            Ok(()) => DiskState::Previous,
            Err(why) => DiskState::RollbackFailed(Box::new(why)),
        }
    }

    /// Reloads the restored configuration and reports success. If the master is unreachable, there is no reload: waiting
    /// for an HAProxy that has exited would be pointless.
    pub(super) async fn reload_last_good(&mut self) -> bool {
        let options = &self.haproxy.options;
        let reloaded = async {
            reload::check_reachable(options).await?;
            reload::reload(options).await
        };
        match reloaded.await {
            Ok(worker) => {
                if let Ok(Some(text)) = self.file.read() {
                    self.record(LoadedConfig::new(&worker, &String::from_utf8_lossy(&text)));
                }
                true
            }
            Err(why) => {
                tracing::warn!("the previous configuration is back on disk but could not be reloaded: {why}");
                false
            }
        }
    }

    /// Determines the state of the running process. `untouched` is the previous worker if it was not changed.
    pub(super) async fn inspect_process(&self, untouched: Option<&Worker>) -> ProcessState {
        let now = match reload::query_worker(&self.haproxy.stats_socket()).await {
            Ok(now) => now,
            Err(why) => return ProcessState::Unreachable(why),
        };
        if untouched.is_some_and(|worker| worker.pid == now.pid) {
            return ProcessState::Unchanged;
        }
        match now.state.map(|state| self.verify(&state, AdminStateMode::Preserve)) {
            Ok(Ok(())) => ProcessState::New,
            Ok(Err(difference)) => ProcessState::Other(difference),
            Err(why) => ProcessState::Other(why.to_string()),
        }
    }

    /// Verifies that a worker that reports `state` has the desired servers; otherwise returns the first difference.
    fn verify(&self, state: &str, mode: AdminStateMode) -> Result<(), String> {
        let running = RunningServer::parse_all(state).ok_or("its state cannot be parsed")?;
        running_server::difference(&running, &self.desired, mode).map_or(Ok(()), Err)
    }
}

impl HaProxy {
    /// Deletes servers that were removed earlier but could not be deleted then, if HAProxy now permits it.
    pub(super) async fn remove_maintenance_servers(&self, running: &[RunningServer]) {
        let leftovers = running.iter().filter(|server| server.is_in_maintenance() && escape::is_name(&server.name));
        let names: Vec<&str> = leftovers.map(|server| server.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        match runtime_update::delete(&self.stats_socket(), &names, Duration::ZERO).await {
            Ok(left) => {
                tracing::debug!("of {} servers in maintenance, {} cannot be deleted yet", names.len(), left.len());
            }
            Err(error) => tracing::debug!("failed to delete servers in maintenance: {error}"),
        }
    }
}

/// Logs an error that does not undo the update.
pub(super) fn warn_on_error(result: Result<(), HaProxyError>) {
    if let Err(error) = result {
        tracing::warn!("{error}");
    }
}
