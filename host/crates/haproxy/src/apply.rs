//! One update from start to end: first the file, then the process, with a rollback if that fails.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use doproxy_core::seams::{ApplyResult, Server};
use doproxy_support::failpoint_async;
use tokio::time::Instant;

use crate::config_file::ConfigFile;
use crate::desired_server::DesiredServer;
use crate::error::{HaProxyError, ReloadError, SocketError};
use crate::failed_update::{DiskState, FailedUpdate, ProcessState};
use crate::haproxy::HaProxy;
use crate::loaded_config::LoadedConfig;
use crate::options::{ReloadMethod, UpdateMode};
use crate::reload::Worker;
use crate::reload_throttle::ReloadThrottle;
use crate::running_server::{AdminStateMode, RunningServer};
use crate::runtime_api::{Command, ServerCommand, Socket, sessions_with};
use crate::runtime_update::UpdateCounts;
use crate::update_plan::{ServerOp, UpdateContext, UpdateMethod};
use crate::validate::validate;
use crate::{config_file, escape, loaded_config, reload, running_server, runtime_update, update_plan, validate};

/// The conditions under which HAProxy is reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReloadPolicy {
    /// Only if the file or the process differs from the desired state.
    IfNeeded,
    /// Unconditionally.
    Always,
}

/// An update whose file is installed and which HAProxy has not loaded yet.
#[derive(Debug)]
struct StagedUpdate {
    config_file: ConfigFile,
    text: String,
    desired: Vec<DesiredServer>,
    /// The names of servers that the worker has and that the update removes.
    removed: Vec<String>,
    /// The previous worker, if it responded.
    prev_worker: Option<Worker>,
    /// The treatment of drains and maintenance found in the worker.
    admin_mode: AdminStateMode,
    /// `true` if the same file was already installed and loaded by HAProxy.
    is_unchanged: bool,
    /// The method that brings the worker in line with the file.
    method: UpdateMethod,
    /// The copy of the replaced file, if that file had been edited outside doproxy.
    foreign_edit: Option<PathBuf>,
}

/// The state carried from one update to the next.
#[derive(Debug, Default)]
pub(super) struct ApplyState {
    loaded: Option<LoadedConfig>,
    throttle: ReloadThrottle,
}

impl HaProxy {
    /// Reconciles file and process so that they have exactly `servers`.
    pub(super) async fn apply_inner(
        &self,
        servers: &[Server],
        when: ReloadPolicy,
    ) -> Result<ApplyResult, HaProxyError> {
        let mut memory = self.state.lock().await;
        let installed = self
            .stage(servers, when, &mut memory)
            .await
            .map_err(|why| HaProxyError::NotApplied { file: self.options.config_file.clone(), why: Box::new(why) })?;
        match installed {
            Some(installed) => self.commit_or_roll_back(installed, &mut memory).await,
            None => Ok(ApplyResult::Unchanged),
        }
    }

    /// Installs the configuration; returns `None` if there is nothing to do. On error neither the file nor the process
    /// was touched.
    async fn stage(
        &self,
        servers: &[Server],
        when: ReloadPolicy,
        memory: &mut ApplyState,
    ) -> Result<Option<StagedUpdate>, HaProxyError> {
        let (desired, text) = self.render_checked(&self.setup, servers)?;
        let place = ConfigFile::new(&self.options.config_file);
        let standing = place.read()?;
        let on_disk = standing.as_deref() == Some(text.as_bytes());
        let is_pending = place.is_pending();
        let is_same = on_disk && !is_pending;
        let mode = if is_pending { AdminStateMode::Overwrite } else { AdminStateMode::Preserve };
        let before = match failpoint_async("query the worker", reload::query_worker(&self.stats_socket())).await {
            // Without access to the socket, the result of the update could not be verified.
            Err(SocketError::Unreachable { path, source }) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(SocketError::Unreachable { path, source }.into());
            }
            Err(SocketError::Unreachable { .. }) => None,
            // HAProxy is running but slow. The installed configuration is the desired one, and a reload would only add
            // to its load.
            Err(error) | Ok(Worker { state: Err(error), .. }) if is_same && when == ReloadPolicy::IfNeeded => {
                return Err(error.into());
            }
            worker => worker.ok(),
        };
        let running = before.as_ref().and_then(|worker| RunningServer::parse_all(worker.state.as_deref().ok()?));
        if is_same
            && when == ReloadPolicy::IfNeeded
            && let (Some(worker), Some(running)) = (&before, &running)
            && running_server::difference(running, &desired, mode).is_none()
            && has_loaded(worker, &text, memory, &place)
        {
            self.remove_maintenance_servers(running).await;
            return Ok(None);
        }
        reload::check_reachable(&self.options).await?;
        let loaded = before
            .as_ref()
            .ok_or("HAProxy did not respond on its socket")
            .and_then(|worker| loaded_config::loaded_by(worker, memory.loaded.as_ref(), &place));
        let way = match (when, self.options.update_mode) {
            (ReloadPolicy::Always, _) => UpdateMethod::Reload("reload was requested".to_owned()),
            (_, UpdateMode::ReloadOnly) => UpdateMethod::Reload("`haproxy.reload` is `always`".to_owned()),
            (ReloadPolicy::IfNeeded, UpdateMode::Dynamic) => update_plan::plan_update(&UpdateContext {
                version: before.as_ref().and_then(|worker| worker.version),
                loaded: loaded.as_deref().map_err(|why| *why),
                text: &text,
                desired: &desired,
                running: running.as_deref(),
                admin_mode: mode,
            }),
        };
        place.remove_stale_files();
        config_file::write_state(&self.options.state_file, running_server::EMPTY_STATE)?;
        let candidate = place.write_candidate(&text)?;
        validate(&self.options, candidate.path(), &text, self.template.name()).await?;
        let mut edit = None;
        if is_same {
            place.mark_pending()?;
        } else if !on_disk {
            if let Some(standing) = &standing {
                edit = self.preserve_existing(&place, standing).await?;
            }
            place.install(&candidate, &text)?;
        }
        drop(candidate);
        let gone = running.unwrap_or_default().into_iter().map(|server| server.name);
        let gone = gone.filter(|name| escape::is_name(name) && !desired.iter().any(|server| server.name == *name));
        let gone = gone.collect();
        Ok(Some(StagedUpdate {
            config_file: place,
            text,
            desired,
            removed: gone,
            prev_worker: before,
            admin_mode: mode,
            is_unchanged: is_same,
            method: way,
            foreign_edit: edit,
        }))
    }

    /// Deletes servers that were removed earlier but could not be deleted then, if HAProxy now permits it.
    async fn remove_maintenance_servers(&self, running: &[RunningServer]) {
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

    /// Preserves the existing file: as the rollback target if it is valid, and as a separate copy if it was edited
    /// outside doproxy. Returns the path of that copy.
    async fn preserve_existing(&self, place: &ConfigFile, standing: &[u8]) -> Result<Option<PathBuf>, HaProxyError> {
        if place.is_managed(standing) {
            // The file passed `haproxy -c` before it was installed.
            if !place.is_unconfirmed(standing) {
                place.save_last_good(standing)?;
            }
            return Ok(None);
        }
        let edit = place.save_foreign_edit(standing)?;
        let refused = match validate::check_bootable(&self.options, &edit.path).await {
            Ok(()) => {
                place.save_last_good(standing)?;
                None
            }
            Err(HaProxyError::ConfigInvalid { output, .. }) => Some(output),
            Err(error) => return Err(error),
        };
        let (file, kept) = (place.path().display(), edit.path.display());
        match (edit.is_new, place.has_digests(), refused) {
            (false, ..) => {}
            (true, false, None) => tracing::info!("{file} was not written by doproxy; saved a copy as {kept}"),
            (true, true, None) => tracing::warn!(
                "{file} was edited outside doproxy; saved that version as {kept}. To keep the edits, add them to \
                 the template"
            ),
            (true, _, Some(output)) => tracing::warn!(
                "{file} was edited outside doproxy and HAProxy would not have started with it; saved that version \
                 as {kept}:\n{output}"
            ),
        }
        Ok(Some(edit.path))
    }

    async fn commit_or_roll_back(
        &self,
        installed: StagedUpdate,
        memory: &mut ApplyState,
    ) -> Result<ApplyResult, HaProxyError> {
        let StagedUpdate {
            config_file: place,
            text,
            desired,
            removed: gone,
            prev_worker: before,
            admin_mode: mut mode,
            is_unchanged: is_same,
            method: way,
            foreign_edit: edit,
        } = installed;
        let mut touched = false;
        let reason = match (way, &before) {
            (UpdateMethod::RuntimeApi(steps), Some(worker)) => {
                match self.update_at_runtime(worker, &steps, &desired, mode).await {
                    Ok(counts) => {
                        Self::mark_loaded(&place, memory, worker, &text);
                        self.end_old_sessions(&gone).await;
                        self.counters.record_runtime_update(counts);
                        let UpdateCounts { added, removed, changed } = counts;
                        tracing::info!("updated HAProxy at run time: +{added} −{removed} ~{changed} servers");
                        return Ok(ApplyResult::Dynamic { added, removed, changed });
                    }
                    Err(why) => {
                        (touched, mode) = (true, AdminStateMode::Overwrite);
                        format!("the run-time update failed: {why}")
                    }
                }
            }
            (UpdateMethod::RuntimeApi(_), None) => "HAProxy did not respond on its socket".to_owned(),
            (UpdateMethod::Reload(reason), _) => reason,
        };
        tracing::info!("reloading HAProxy: {reason}");
        let responds = before.as_ref().is_some_and(|worker| worker.state.is_ok());
        let why = match self.reload_and_verify(&desired, responds.then_some(mode), memory).await {
            Ok(worker) => {
                Self::mark_loaded(&place, memory, &worker, &text);
                self.end_old_sessions(&gone).await;
                return Ok(ApplyResult::Reloaded { reason, replaced_edit: edit });
            }
            Err(why) => why,
        };
        // After run-time commands the previous worker is no longer in its original state.
        let before = before.filter(|_| !touched);
        let file = if is_same { DiskState::Unchanged } else { self.roll_back(&place).await };
        let process = match &file {
            DiskState::Previous => match self.reload_if_reachable().await {
                Ok(worker) => {
                    if let Ok(Some(text)) = place.read() {
                        record_loaded(&place, memory, LoadedConfig::new(&worker, &String::from_utf8_lossy(&text)));
                    }
                    ProcessState::Previous
                }
                Err(again) => {
                    tracing::warn!("the previous configuration is back on disk but could not be reloaded: {again}");
                    self.inspect_process(before.as_ref(), &desired).await
                }
            },
            _ => self.inspect_process(before.as_ref(), &desired).await,
        };
        let failed_update = FailedUpdate { file, process };
        if failed_update.is_consistent() && !(touched && matches!(failed_update.file, DiskState::Unchanged)) {
            warn_on_error(place.clear_pending());
        }
        Err(HaProxyError::UpdateFailed { file: self.options.config_file.clone(), why: Box::new(why), failed_update })
    }

    /// Updates the servers of the worker and verifies afterwards that it has the desired ones.
    async fn update_at_runtime(
        &self,
        worker: &Worker,
        steps: &[ServerOp],
        desired: &[DesiredServer],
        mode: AdminStateMode,
    ) -> Result<UpdateCounts, ReloadError> {
        let socket = self.stats_socket();
        let counts = runtime_update::execute(&socket, steps).await?;
        let now = failpoint_async("query the updated worker", reload::query_worker(&socket)).await?;
        if now.pid != worker.pid {
            return Err(ReloadError::Mismatch("another worker replaced it during the update".to_owned()));
        }
        match difference(&now.state?, desired, mode) {
            None => Ok(counts),
            Some(difference) => Err(ReloadError::Mismatch(difference)),
        }
    }

    /// Ends the sessions that old workers still have with removed servers: their droplets are deleted next, and such a
    /// session would wait for a response that never comes.
    async fn end_old_sessions(&self, gone: &[String]) {
        let ReloadMethod::MasterSocket(path) = &self.options.reload else { return };
        if gone.is_empty() {
            return;
        }
        let deadline = self.options.deadlines.response;
        let master = Socket::new(path, deadline);
        let end = async {
            for pid in reload::query_processes(&master, Instant::now() + deadline).await?.old_workers {
                // The old worker's proxies have stopped, so its servers can no longer be addressed by name.
                let dump = master.query_master(Command::ShowWorkerSessions(pid)).await?;
                for id in sessions_with(&dump, gone) {
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

    /// Records that the worker has loaded the file. If the record cannot be written, the next update does more work
    /// than necessary.
    fn mark_loaded(place: &ConfigFile, memory: &mut ApplyState, worker: &Worker, text: &str) {
        record_loaded(place, memory, LoadedConfig::new(worker, text));
        warn_on_error(place.clear_pending());
    }

    /// Reloads and verifies the new worker against the desired servers. If the current worker responds, the new one
    /// inherits the health of the servers, with `carried` selecting the treatment of their administrative state.
    async fn reload_and_verify(
        &self,
        desired: &[DesiredServer],
        carried: Option<AdminStateMode>,
        memory: &mut ApplyState,
    ) -> Result<Worker, ReloadError> {
        memory.throttle.wait(self.options.min_reload_interval).await;
        memory.throttle.record_reload();
        if let Some(mode) = carried
            && let Ok(Worker { state: Ok(state), .. }) = reload::query_worker(&self.stats_socket()).await
        {
            let carried = running_server::state_for_next_worker(&state, desired, mode);
            // Without this state, HAProxy has to determine the health of the servers again.
            warn_on_error(config_file::write_state(&self.options.state_file, &carried));
        }
        let loaded = reload::reload(&self.options).await;
        self.clear_state_file();
        self.counters.record_reload();
        let mut worker = loaded?;
        let state = std::mem::replace(&mut worker.state, Ok(String::new()))?;
        match difference(&state, desired, AdminStateMode::Preserve) {
            None => Ok(worker),
            Some(difference) => Err(ReloadError::Mismatch(difference)),
        }
    }

    /// Resets the state file: it was meant for that one worker, and a later start must not restore today's server
    /// states.
    fn clear_state_file(&self) {
        if let Err(error) = config_file::write_state(&self.options.state_file, running_server::EMPTY_STATE) {
            tracing::warn!("{error}");
            // Without the file HAProxy starts with a warning, and doproxy writes it before the next check.
            let _ = std::fs::remove_file(&self.options.state_file);
        }
    }

    /// Restores the last good configuration if HAProxy would still start with it.
    async fn roll_back(&self, place: &ConfigFile) -> DiskState {
        let Some(last_good) = place.last_good() else { return DiskState::NoPrevious };
        match validate::check_bootable(&self.options, last_good).await {
            Ok(()) => {}
            Err(why @ HaProxyError::ConfigInvalid { .. }) => {
                return DiskState::PreviousInvalid { last_good: last_good.to_owned(), why: Box::new(why) };
            }
            // The file was valid when it was saved, which is more than HAProxy reported for the new one.
            Err(why) => tracing::warn!("failed to check {} before restoring it: {why}", last_good.display()),
        }
        match place.roll_back() {
            Ok(()) => DiskState::Previous,
            Err(why) => DiskState::RollbackFailed(Box::new(why)),
        }
    }

    /// Reloads if the master is reachable: waiting for an HAProxy that has exited would be pointless.
    async fn reload_if_reachable(&self) -> Result<Worker, ReloadError> {
        reload::check_reachable(&self.options).await?;
        reload::reload(&self.options).await
    }

    /// Determines the state of the running process.
    async fn inspect_process(&self, before: Option<&Worker>, desired: &[DesiredServer]) -> ProcessState {
        let now = match reload::query_worker(&self.stats_socket()).await {
            Ok(now) => now,
            Err(why) => return ProcessState::Unreachable(why),
        };
        if before.is_some_and(|before| before.pid == now.pid) {
            return ProcessState::Unchanged;
        }
        match now.state.map(|state| difference(&state, desired, AdminStateMode::Preserve)) {
            Ok(None) => ProcessState::New,
            Ok(Some(difference)) => ProcessState::Other(difference),
            Err(why) => ProcessState::Other(why.to_string()),
        }
    }
}

/// Reports whether the worker has loaded `text`, as far as this process can know: a worker that appeared since the last
/// query was started by another process, possibly with a different file.
fn has_loaded(worker: &Worker, text: &str, memory: &mut ApplyState, place: &ConfigFile) -> bool {
    if memory.loaded.as_ref().is_none_or(|loaded| loaded.matches_worker(worker)) {
        return true;
    }
    let has = loaded_config::loaded_by(worker, None, place).is_ok_and(|loaded| loaded == text);
    if has {
        record_loaded(place, memory, LoadedConfig::new(worker, text));
    }
    has
}

/// Returns the first difference between a worker's reported `state` and the desired one.
fn difference(state: &str, desired: &[DesiredServer], mode: AdminStateMode) -> Option<String> {
    match RunningServer::parse_all(state) {
        Some(running) => running_server::difference(&running, desired, mode),
        None => Some("its state cannot be parsed".to_owned()),
    }
}

/// Records the configuration that the worker has loaded, for this process and for the next.
fn record_loaded(place: &ConfigFile, memory: &mut ApplyState, loaded: LoadedConfig) {
    warn_on_error(place.write_loaded(&loaded.serialize()));
    memory.loaded = Some(loaded);
}

/// Logs an error that does not undo the update.
fn warn_on_error(result: Result<(), HaProxyError>) {
    if let Err(error) = result {
        tracing::warn!("{error}");
    }
}
