//! One change from its beginning to its end: the file first, then the process, and back where that fails.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::config_file::{self, ConfigFile};
use super::desired_server::DesiredServer;
use super::error::{HaProxyError, ReloadError, SocketError};
use super::failed_update::{DiskState, FailedUpdate, ProcessState};
use super::loaded_config::{self, LoadedConfig};
use super::options::UpdateMode;
use super::reload::{self, Worker};
use super::reload_throttle::ReloadThrottle;
use super::running_server::{self, AdminStateMode, RunningServer};
use super::runtime_api::{Command, ServerCommand, Socket, sessions_with};
use super::runtime_update::{self, UpdateCounts};
use super::update_plan::{self, ServerOp, UpdateContext, UpdateMethod};
use super::validate::{self, validate};
use super::{HaProxy, ReloadMethod, escape};
use crate::balancer::{ApplyResult, Server};
use crate::failpoint::failpoint_async;

/// When a reload is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReloadPolicy {
    /// When file or process are not as wanted.
    IfNeeded,
    /// In any case.
    Always,
}

/// A change whose file is in its place, and which HAProxy has not taken yet.
#[derive(Debug)]
struct StagedUpdate {
    config_file: ConfigFile,
    text: String,
    desired: Vec<DesiredServer>,
    /// The names of servers that the worker has and is not to have any more.
    removed: Vec<String>,
    /// The worker of before, where it answered.
    prev_worker: Option<Worker>,
    /// Whose drains stay.
    admin_mode: AdminStateMode,
    /// The same file was there, and HAProxy had taken it.
    is_unchanged: bool,
    /// How the worker becomes the same.
    method: UpdateMethod,
    /// Where the file that somebody else had changed is kept.
    foreign_edit: Option<PathBuf>,
}

/// What one change leaves for the next.
#[derive(Debug, Default)]
pub(super) struct ApplyState {
    loaded: Option<LoadedConfig>,
    throttle: ReloadThrottle,
}

impl HaProxy {
    /// Makes file and process such that they have `servers`.
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

    /// Puts the configuration in its place; `None` where there is nothing to do. On an error neither the file nor the
    /// process were touched.
    async fn stage(
        &self,
        servers: &[Server],
        when: ReloadPolicy,
        memory: &mut ApplyState,
    ) -> Result<Option<StagedUpdate>, HaProxyError> {
        let (wanted, text) = self.render_checked(&self.setup, servers)?;
        let place = ConfigFile::new(&self.options.config_file);
        let standing = place.read()?;
        let on_disk = standing.as_deref() == Some(text.as_bytes());
        let is_pending = place.is_pending();
        let is_same = on_disk && !is_pending;
        let strictness = if is_pending { AdminStateMode::Overwrite } else { AdminStateMode::Preserve };
        let before = match failpoint_async("ask the worker", reload::query_worker(&self.stats_socket())).await {
            // What came of the change could not be seen.
            Err(SocketError::Unreachable { path, source }) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(SocketError::Unreachable { path, source }.into());
            }
            Err(SocketError::Unreachable { .. }) => None,
            // HAProxy is there and slow. What is installed is as wanted, and a reload would only add to its load.
            Err(error) | Ok(Worker { state: Err(error), .. }) if is_same && when == ReloadPolicy::IfNeeded => {
                return Err(error.into());
            }
            worker => worker.ok(),
        };
        let seen = before.as_ref().and_then(|worker| RunningServer::parse_all(worker.state.as_deref().ok()?));
        if is_same
            && when == ReloadPolicy::IfNeeded
            && let (Some(worker), Some(seen)) = (&before, &seen)
            && running_server::difference(seen, &wanted, strictness).is_none()
            && has_loaded(worker, &text, memory, &place)
        {
            self.remove_maintenance_servers(seen).await;
            return Ok(None);
        }
        reload::check_reachable(&self.options).await?;
        let taken = before
            .as_ref()
            .ok_or("nobody answered on its socket")
            .and_then(|worker| loaded_config::loaded_by(worker, memory.loaded.as_ref(), &place));
        let way = match (when, self.options.update_mode) {
            (ReloadPolicy::Always, _) => UpdateMethod::Reload("it was asked for".to_owned()),
            (_, UpdateMode::ReloadOnly) => UpdateMethod::Reload("`haproxy.reload` is `always`".to_owned()),
            (ReloadPolicy::IfNeeded, UpdateMode::Dynamic) => update_plan::plan_update(&UpdateContext {
                version: before.as_ref().and_then(|worker| worker.version),
                loaded: taken.as_deref().map_err(|why| *why),
                text: &text,
                desired: &wanted,
                running: seen.as_deref(),
                admin_mode: strictness,
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
        let gone = seen.unwrap_or_default().into_iter().map(|server| server.name);
        let gone = gone.filter(|name| escape::is_name(name) && !wanted.iter().any(|server| server.name == *name));
        let gone = gone.collect();
        Ok(Some(StagedUpdate {
            config_file: place,
            text,
            desired: wanted,
            removed: gone,
            prev_worker: before,
            admin_mode: strictness,
            is_unchanged: is_same,
            method: way,
            foreign_edit: edit,
        }))
    }

    /// Deletes what was removed before and could not be deleted then, where that is possible now.
    async fn remove_maintenance_servers(&self, seen: &[RunningServer]) {
        let leftovers = seen.iter().filter(|server| server.is_in_maintenance() && escape::is_name(&server.name));
        let names: Vec<&str> = leftovers.map(|server| server.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        match runtime_update::delete(&self.stats_socket(), &names, Duration::ZERO).await {
            Ok(left) => {
                tracing::debug!("of {} servers in maintenance {} cannot be deleted yet", names.len(), left.len());
            }
            Err(error) => tracing::debug!("servers in maintenance are still there: {error}"),
        }
    }

    /// Keeps what stands in the place: for a failed change to go back to where it boots, and for a person where it is
    /// theirs. Answers where that is.
    async fn preserve_existing(&self, place: &ConfigFile, standing: &[u8]) -> Result<Option<PathBuf>, HaProxyError> {
        if place.is_managed(standing) {
            // It passed `haproxy -c` before it was put there.
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
            (true, false, None) => tracing::info!("{file} was not written by doproxy; it is kept as {kept}"),
            (true, true, None) => tracing::warn!(
                "{file} was changed by somebody else since doproxy wrote it; that version is kept as {kept}: put what \
                 is to stay into the template"
            ),
            (true, _, Some(output)) => tracing::warn!(
                "{file} was not as doproxy writes it, and HAProxy would not have started with it; that version is \
                 kept as {kept}:\n{output}"
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
            desired: wanted,
            removed: gone,
            prev_worker: before,
            admin_mode: mut strictness,
            is_unchanged: is_same,
            method: way,
            foreign_edit: edit,
        } = installed;
        let mut touched = false;
        let reason = match (way, &before) {
            (UpdateMethod::RuntimeApi(steps), Some(worker)) => {
                match self.update_at_runtime(worker, &steps, &wanted, strictness).await {
                    Ok(counts) => {
                        Self::mark_loaded(&place, memory, worker, &text);
                        self.end_old_sessions(&gone).await;
                        self.counters.record_runtime_update(counts);
                        let UpdateCounts { added, removed, changed } = counts;
                        tracing::info!("HAProxy was changed at run time: +{added} −{removed} ~{changed} servers");
                        return Ok(ApplyResult::Dynamic { added, removed, changed });
                    }
                    Err(why) => {
                        (touched, strictness) = (true, AdminStateMode::Overwrite);
                        format!("it could not be changed at run time: {why}")
                    }
                }
            }
            (UpdateMethod::RuntimeApi(_), None) => "nobody answered on its socket".to_owned(),
            (UpdateMethod::Reload(reason), _) => reason,
        };
        tracing::info!("HAProxy is reloaded: {reason}");
        let answers = before.as_ref().is_some_and(|worker| worker.state.is_ok());
        let why = match self.reload_and_verify(&wanted, answers.then_some(strictness), memory).await {
            Ok(worker) => {
                Self::mark_loaded(&place, memory, &worker, &text);
                self.end_old_sessions(&gone).await;
                return Ok(ApplyResult::Reloaded { reason, replaced_edit: edit });
            }
            Err(why) => why,
        };
        // Where commands came before, the worker of before is not as it was.
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
                    tracing::warn!("the configuration of before is back on disk and could not be reloaded: {again}");
                    self.inspect_process(before.as_ref(), &wanted).await
                }
            },
            _ => self.inspect_process(before.as_ref(), &wanted).await,
        };
        let live = FailedUpdate { file, process };
        if live.is_consistent() && !(touched && matches!(live.file, DiskState::Unchanged)) {
            warn_on_error(place.clear_pending());
        }
        Err(HaProxyError::UpdateFailed { file: self.options.config_file.clone(), why: Box::new(why), live })
    }

    /// Changes the servers of the worker, and looks whether it has the wanted ones afterwards.
    async fn update_at_runtime(
        &self,
        worker: &Worker,
        steps: &[ServerOp],
        wanted: &[DesiredServer],
        strictness: AdminStateMode,
    ) -> Result<UpdateCounts, ReloadError> {
        let socket = self.stats_socket();
        let counts = runtime_update::execute(&socket, steps).await?;
        let now = failpoint_async("look at the changed worker", reload::query_worker(&socket)).await?;
        if now.pid != worker.pid {
            return Err(ReloadError::Mismatch("another worker took its place meanwhile".to_owned()));
        }
        match difference(&now.state?, wanted, strictness) {
            None => Ok(counts),
            Some(difference) => Err(ReloadError::Mismatch(difference)),
        }
    }

    /// Ends the sessions that workers of before still have with servers that have gone: their droplets go next, and a
    /// session would wait for an answer that never comes.
    async fn end_old_sessions(&self, gone: &[String]) {
        let ReloadMethod::MasterSocket(path) = &self.options.reload else { return };
        if gone.is_empty() {
            return;
        }
        let deadline = self.options.deadlines.response;
        let master = Socket::new(path, deadline);
        let end = async {
            for pid in reload::query_processes(&master, Instant::now() + deadline).await?.old_workers {
                // Its servers cannot be named any more, since its proxies have stopped.
                let dump = master.query_master(Command::ShowWorkerSessions(pid)).await?;
                for id in sessions_with(&dump, gone) {
                    let order = ServerCommand::ShutdownSession(id);
                    failpoint_async("end a session in a worker of before", master.execute_on_worker(pid, &order))
                        .await?;
                }
            }
            Ok::<_, SocketError>(())
        };
        // It may have ended in between, and the sessions end with their droplet at the latest.
        if let Err(error) = end.await {
            tracing::debug!("sessions of a worker of before were not ended: {error}");
        }
    }

    /// The worker has what the file says. Where that cannot be written down, the next change does more than it had to.
    fn mark_loaded(place: &ConfigFile, memory: &mut ApplyState, worker: &Worker, text: &str) {
        record_loaded(place, memory, LoadedConfig::new(worker, text));
        warn_on_error(place.clear_pending());
    }

    /// Reloads, and holds the new worker against what is wanted. It is told of the health of the servers, where the
    /// present worker answers: as strictly as `carried` says.
    async fn reload_and_verify(
        &self,
        wanted: &[DesiredServer],
        carried: Option<AdminStateMode>,
        memory: &mut ApplyState,
    ) -> Result<Worker, ReloadError> {
        memory.throttle.wait(self.options.min_reload_interval).await;
        memory.throttle.record_reload();
        if let Some(strictness) = carried
            && let Ok(Worker { state: Ok(state), .. }) = reload::query_worker(&self.stats_socket()).await
        {
            let carried = running_server::state_for_next_worker(&state, wanted, strictness);
            // Without it the health of the servers is found out anew.
            warn_on_error(config_file::write_state(&self.options.state_file, &carried));
        }
        let taken = reload::reload(&self.options).await;
        self.clear_state_file();
        self.counters.record_reload();
        let mut worker = taken?;
        let state = std::mem::replace(&mut worker.state, Ok(String::new()))?;
        match difference(&state, wanted, AdminStateMode::Preserve) {
            None => Ok(worker),
            Some(difference) => Err(ReloadError::Mismatch(difference)),
        }
    }

    /// The state was for that one worker: a later start must not find servers as they are now.
    fn clear_state_file(&self) {
        if let Err(error) = config_file::write_state(&self.options.state_file, running_server::EMPTY_STATE) {
            tracing::warn!("{error}");
            // Without the file HAProxy warns and starts, and it is written before the next check.
            let _ = std::fs::remove_file(&self.options.state_file);
        }
    }

    /// Puts the last good configuration back where HAProxy would still start with it.
    async fn roll_back(&self, place: &ConfigFile) -> DiskState {
        let Some(last_good) = place.last_good() else { return DiskState::NoPrevious };
        match validate::check_bootable(&self.options, last_good).await {
            Ok(()) => {}
            Err(why @ HaProxyError::ConfigInvalid { .. }) => {
                return DiskState::PreviousInvalid { last_good: last_good.to_owned(), why: Box::new(why) };
            }
            // It did when it was kept, and that is more than HAProxy made of the new one.
            Err(why) => tracing::warn!("{} could not be checked before it was put back: {why}", last_good.display()),
        }
        match place.roll_back() {
            Ok(()) => DiskState::Previous,
            Err(why) => DiskState::RollbackFailed(Box::new(why)),
        }
    }

    /// Reloads where somebody is there to do it: of an HAProxy that has ended nothing is to be waited for.
    async fn reload_if_reachable(&self) -> Result<Worker, ReloadError> {
        reload::check_reachable(&self.options).await?;
        reload::reload(&self.options).await
    }

    /// What runs now.
    async fn inspect_process(&self, before: Option<&Worker>, wanted: &[DesiredServer]) -> ProcessState {
        let now = match reload::query_worker(&self.stats_socket()).await {
            Ok(now) => now,
            Err(why) => return ProcessState::Unreachable(why),
        };
        if before.is_some_and(|before| before.pid == now.pid) {
            return ProcessState::Unchanged;
        }
        match now.state.map(|state| difference(&state, wanted, AdminStateMode::Preserve)) {
            Ok(None) => ProcessState::New,
            Ok(Some(difference)) => ProcessState::Other(difference),
            Err(why) => ProcessState::Other(why.to_string()),
        }
    }
}

/// Whether the worker is one that has `text`, as far as this process can know: a worker that came up since it looked
/// last was started by somebody else, and maybe with another file.
fn has_loaded(worker: &Worker, text: &str, memory: &mut ApplyState, place: &ConfigFile) -> bool {
    if memory.loaded.as_ref().is_none_or(|taken| taken.matches_worker(worker)) {
        return true;
    }
    let has = loaded_config::loaded_by(worker, None, place).is_ok_and(|taken| taken == text);
    if has {
        record_loaded(place, memory, LoadedConfig::new(worker, text));
    }
    has
}

/// In what a worker that says `state` differs from the wanted one.
fn difference(state: &str, wanted: &[DesiredServer], strictness: AdminStateMode) -> Option<String> {
    match RunningServer::parse_all(state) {
        Some(seen) => running_server::difference(&seen, wanted, strictness),
        None => Some("its state cannot be read".to_owned()),
    }
}

/// Notes what the worker has, for this process and for the next.
fn record_loaded(place: &ConfigFile, memory: &mut ApplyState, taken: LoadedConfig) {
    warn_on_error(place.write_loaded(&taken.serialize()));
    memory.loaded = Some(taken);
}

/// Says what went wrong beside the change and does not undo it.
fn warn_on_error(result: Result<(), HaProxyError>) {
    if let Err(error) = result {
        tracing::warn!("{error}");
    }
}
