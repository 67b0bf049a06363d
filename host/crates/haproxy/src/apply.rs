//! One update as a transaction: first the file, then the process, with a rollback if HAProxy does not load the file.
//!
//! Each state is a type, and each transition consumes the state before it:
//!
//! ```text
//! compare ─▶ Prepared ─stage─▶ Staged ─load─▶ Applied ─commit─▶ ApplyResult
//!    │                                └─────▶ Rejected ─roll_back─▶ HaProxyError::UpdateFailed
//!    └─▶ nothing to do
//! ```
//!
//! Until `stage` has succeeded, an error leaves file and process as they were. After a crash in any later state the file
//! is marked pending, and the next update compares it with the process again.

use std::io::ErrorKind;
use std::path::PathBuf;

use doproxy_core::seams::{ApplyResult, Server};
use doproxy_support::failpoint_async;

use crate::config_file::{self, ConfigFile};
use crate::error::HaProxyError;
use crate::escape;
use crate::failed_update::{DiskState, FailedUpdate, ProcessState};
use crate::haproxy::HaProxy;
use crate::options::UpdateMode;
use crate::reload::{self, Worker};
use crate::reload_error::ReloadError;
use crate::running_server::{self, AdminStateMode, RunningServer};
use crate::runtime_update::UpdateCounts;
use crate::socket_error::SocketError;
use crate::update::{ApplyState, Update, warn_on_error};
use crate::update_plan::UpdateMethod;
use crate::validate::validate;

/// The conditions under which HAProxy is reloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReloadPolicy {
    /// Only if the file or the process differs from the desired state.
    IfNeeded,
    /// Unconditionally.
    Always,
}

/// An update that is necessary. Nothing has been changed.
struct Prepared<'a> {
    update: Update<'a>,
    prev_file: PrevFile,
    prev_worker: PrevWorker,
    /// The method that brings the worker in line with the file.
    method: UpdateMethod,
}

/// An update whose file is installed and which HAProxy is not known to have loaded.
struct Staged<'a> {
    prepared: Prepared<'a>,
    /// The copy of the replaced file, if that file had been edited outside doproxy.
    replaced_edit: Option<PathBuf>,
}

/// An update that this worker has loaded.
struct Applied<'a> {
    update: Update<'a>,
    worker: Worker,
    result: ApplyResult,
}

/// An update whose file is installed and which HAProxy failed to load.
struct Rejected<'a> {
    update: Update<'a>,
    prev_file: PrevFile,
    prev_worker: PrevWorker,
    why: ReloadError,
}

/// The configuration file before the update.
enum PrevFile {
    /// The desired configuration, which HAProxy has loaded.
    Loaded,
    /// The desired configuration, which HAProxy is not known to have loaded.
    Pending,
    /// Another configuration, or none.
    Other(Option<Vec<u8>>),
}

/// The worker that was running before the update.
enum PrevWorker {
    /// It did not respond.
    Unresponsive,
    /// It was not changed.
    Untouched(Worker),
    /// A run-time update that failed may have changed its servers.
    Touched,
}

impl HaProxy {
    /// Reconciles file and process so that they have exactly `servers`.
    pub(super) async fn apply_inner(
        &self,
        servers: &[Server],
        when: ReloadPolicy,
    ) -> Result<ApplyResult, HaProxyError> {
        let mut state = self.state.lock().await;
        let not_applied = |why| HaProxyError::NotApplied { file: self.options.config_file.clone(), why: Box::new(why) };
        let prepared = Prepared::compare(self, &mut state, servers, when).await.map_err(not_applied)?;
        let Some(prepared) = prepared else { return Ok(ApplyResult::Unchanged) };
        match prepared.stage().await.map_err(not_applied)?.load().await {
            Ok(applied) => Ok(applied.commit().await),
            Err(rejected) => Err(rejected.roll_back().await),
        }
    }
}

impl<'a> Prepared<'a> {
    /// Compares file and process with the desired state; returns `None` if there is nothing to do.
    async fn compare(
        haproxy: &'a HaProxy,
        state: &'a mut ApplyState,
        servers: &[Server],
        when: ReloadPolicy,
    ) -> Result<Option<Self>, HaProxyError> {
        let (desired, text) = haproxy.render_checked(&haproxy.setup, servers)?;
        let file = ConfigFile::new(&haproxy.options.config_file);
        let on_disk = file.read()?;
        let is_pending = file.is_pending();
        let prev_file = match on_disk {
            Some(bytes) if bytes == text.as_bytes() && is_pending => PrevFile::Pending,
            Some(bytes) if bytes == text.as_bytes() => PrevFile::Loaded,
            other => PrevFile::Other(other),
        };
        let may_skip = when == ReloadPolicy::IfNeeded && matches!(prev_file, PrevFile::Loaded);
        let worker = match failpoint_async("query the worker", reload::query_worker(&haproxy.stats_socket())).await {
            // Without access to the socket, the result of the update could not be verified.
            Err(SocketError::Unreachable { path, source }) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(SocketError::Unreachable { path, source }.into());
            }
            Err(SocketError::Unreachable { .. }) => None,
            // HAProxy is running but slow. The installed configuration is the desired one, and a reload would only add
            // to its load.
            Err(error) | Ok(Worker { state: Err(error), .. }) if may_skip => return Err(error.into()),
            worker => worker.ok(),
        };
        let running = worker.as_ref().and_then(|worker| RunningServer::parse_all(worker.state.as_deref().ok()?));
        let names = running.iter().flatten().map(|server| &server.name);
        let removed = names.filter(|name| escape::is_name(name) && !desired.iter().any(|server| server.name == **name));
        let removed = removed.cloned().collect();
        let admin_mode = if is_pending { AdminStateMode::Overwrite } else { AdminStateMode::Preserve };
        let mut update = Update { haproxy, state, file, text, desired, removed, admin_mode };
        if may_skip
            && let (Some(worker), Some(running)) = (&worker, &running)
            && running_server::difference(running, &update.desired, admin_mode).is_none()
            && update.is_loaded_by(worker)
        {
            haproxy.remove_maintenance_servers(running).await;
            return Ok(None);
        }
        reload::check_reachable(&haproxy.options).await?;
        let method = match (when, haproxy.options.update_mode) {
            (ReloadPolicy::Always, _) => UpdateMethod::Reload("reload was requested".to_owned()),
            (_, UpdateMode::ReloadOnly) => UpdateMethod::Reload("`haproxy.reload` is `always`".to_owned()),
            (ReloadPolicy::IfNeeded, UpdateMode::Dynamic) => update.plan(worker.as_ref(), running.as_deref()),
        };
        let prev_worker = worker.map_or(PrevWorker::Unresponsive, PrevWorker::Untouched);
        Ok(Some(Self { update, prev_file, prev_worker, method }))
    }

    /// Validates and installs the file.
    async fn stage(self) -> Result<Staged<'a>, HaProxyError> {
        let Update { haproxy, file, text, .. } = &self.update;
        file.remove_stale_files();
        config_file::write_state(&haproxy.options.state_file, running_server::EMPTY_STATE)?;
        let candidate = file.write_candidate(text)?;
        validate(&haproxy.options, candidate.path(), text, haproxy.template.name()).await?;
        let mut replaced_edit = None;
        match &self.prev_file {
            PrevFile::Loaded => file.mark_pending()?,
            PrevFile::Pending => {}
            PrevFile::Other(existing) => {
                if let Some(existing) = existing {
                    replaced_edit = self.update.preserve_existing(existing).await?;
                }
                file.install(&candidate, text)?;
            }
        }
        Ok(Staged { prepared: self, replaced_edit })
    }
}

impl<'a> Staged<'a> {
    /// Brings the worker in line with the file: by the planned method, and by a reload if a run-time update fails.
    async fn load(self) -> Result<Applied<'a>, Box<Rejected<'a>>> {
        let Self { prepared: Prepared { mut update, prev_file, prev_worker, method }, replaced_edit } = self;
        let (reason, prev_worker) = match (method, prev_worker) {
            (UpdateMethod::RuntimeApi(ops), PrevWorker::Untouched(worker)) => {
                match update.execute_at_runtime(&worker, &ops).await {
                    Ok(UpdateCounts { added, removed, changed }) => {
                        let result = ApplyResult::Dynamic { added, removed, changed };
                        return Ok(Applied { update, worker, result });
                    }
                    Err(why) => (format!("the run-time update failed: {why}"), PrevWorker::Touched),
                }
            }
            (UpdateMethod::RuntimeApi(_), other) => ("HAProxy did not respond on its socket".to_owned(), other),
            (UpdateMethod::Reload(reason), worker) => (reason, worker),
        };
        tracing::info!("reloading HAProxy: {reason}");
        match update.reload_and_verify(prev_worker.carried_mode(update.admin_mode)).await {
            Ok(worker) => Ok(Applied { update, worker, result: ApplyResult::Reloaded { reason, replaced_edit } }),
            Err(why) => Err(Box::new(Rejected { update, prev_file, prev_worker, why })),
        }
    }
}

impl Applied<'_> {
    /// Records that HAProxy has loaded the file, and ends what old workers still do with removed servers.
    async fn commit(mut self) -> ApplyResult {
        self.update.record_loaded_by(&self.worker);
        warn_on_error(self.update.file.clear_pending());
        self.update.end_old_sessions().await;
        self.result
    }
}

impl Rejected<'_> {
    /// Restores and reloads the previous configuration as far as possible; the error states what is on disk and what is
    /// live.
    async fn roll_back(mut self) -> HaProxyError {
        let file = match self.prev_file {
            PrevFile::Loaded => DiskState::Unchanged,
            PrevFile::Pending | PrevFile::Other(_) => self.update.restore_last_good().await,
        };
        let process = if matches!(file, DiskState::Previous) && self.update.reload_last_good().await {
            ProcessState::Previous
        } else {
            self.update.inspect_process(self.prev_worker.untouched()).await
        };
        let failed_update = FailedUpdate { file, process };
        // A touched worker does not match the unchanged file, so the mark has to stay.
        let is_touched =
            matches!((&self.prev_worker, &failed_update.file), (PrevWorker::Touched, DiskState::Unchanged));
        if failed_update.is_consistent() && !is_touched {
            warn_on_error(self.update.file.clear_pending());
        }
        let file = self.update.haproxy.options.config_file.clone();
        HaProxyError::UpdateFailed { file, why: Box::new(self.why), failed_update }
    }
}

impl PrevWorker {
    /// Returns the worker if the update did not change it.
    fn untouched(&self) -> Option<&Worker> {
        if let Self::Untouched(worker) = self { Some(worker) } else { None }
    }

    /// Returns the treatment of the administrative state that the next worker inherits; `None` if this worker does not
    /// report its state.
    fn carried_mode(&self, planned: AdminStateMode) -> Option<AdminStateMode> {
        match self {
            Self::Untouched(Worker { state: Ok(_), .. }) => Some(planned),
            Self::Untouched(_) | Self::Unresponsive => None,
            Self::Touched => Some(AdminStateMode::Overwrite),
        }
    }
}
