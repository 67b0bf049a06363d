//! One change from its beginning to its end: the file first, then the process, and back where that fails.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::error::{HaProxyError, ReloadError, SocketError};
use super::install::{self, Place};
use super::live::{Live, OnDisk, Running};
use super::reload::{self, Worker};
use super::validate::{self, validate};
use super::wanted::Wanted;
use super::{HaProxy, state};
use crate::balancer::{Applied, Server};
use crate::crash::around_async;

/// When a reload is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When file or process are not as wanted.
    Needed,
    /// In any case.
    Always,
}

/// A change whose file is in its place, and which HAProxy has not taken yet.
#[derive(Debug)]
struct Installed {
    place: Place,
    wanted: Vec<Wanted>,
    /// The worker of before, where it answered.
    before: Option<Worker>,
    /// The same file was there, and HAProxy had taken it.
    is_same: bool,
    /// Where the file that somebody else had changed is kept.
    edit: Option<PathBuf>,
}

impl HaProxy {
    /// Makes file and process such that they have `servers`.
    pub(super) async fn make_so(&self, servers: &[Server], when: When) -> Result<Applied, HaProxyError> {
        let _one_at_a_time = self.changing.lock().await;
        let installed = self
            .install(servers, when)
            .await
            .map_err(|why| HaProxyError::NotApplied { file: self.options.config_file.clone(), why: Box::new(why) })?;
        match installed {
            Some(installed) => self.take_or_go_back(installed).await,
            None => Ok(Applied::Unchanged),
        }
    }

    /// Puts the configuration in its place; `None` where there is nothing to do. On an error neither the file nor the
    /// process were touched.
    async fn install(&self, servers: &[Server], when: When) -> Result<Option<Installed>, HaProxyError> {
        let (wanted, text) = self.rendered(&self.setup, servers)?;
        let place = Place::new(&self.options.config_file);
        let standing = place.read()?;
        let on_disk = standing.as_deref() == Some(text.as_bytes());
        let is_same = on_disk && !place.is_pending();
        let before = match around_async("ask the worker", reload::worker(&self.stats_socket())).await {
            // What came of the reload could not be seen.
            Err(SocketError::Unreachable { path, source }) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(SocketError::Unreachable { path, source }.into());
            }
            Err(SocketError::Unreachable { .. }) => None,
            // HAProxy is there and slow. What is installed is as wanted, and a reload would only add to its load.
            Err(error) | Ok(Worker { state: Err(error), .. }) if is_same && when == When::Needed => {
                return Err(error.into());
            }
            worker => worker.ok(),
        };
        let live = before.as_ref().and_then(|worker| worker.state.as_deref().ok());
        if is_same && when == When::Needed && live.is_some_and(|state| state::difference(state, &wanted).is_none()) {
            return Ok(None);
        }
        reload::is_possible(&self.options).await?;
        place.clean_up();
        install::write_state(&self.options.state_file, state::EMPTY)?;
        let candidate = place.write_candidate(&text)?;
        validate(&self.options, candidate.path(), &text, self.template.name()).await?;
        let mut edit = None;
        if is_same {
            place.mark_pending()?;
        } else if !on_disk {
            if let Some(standing) = &standing {
                edit = self.keep(&place, standing).await?;
            }
            place.install(&candidate, &text)?;
        }
        Ok(Some(Installed { place, wanted, before, is_same, edit }))
    }

    /// Keeps what stands in the place: for a failed change to go back to where it boots, and for a person where it is
    /// theirs. Answers where that is.
    async fn keep(&self, place: &Place, standing: &[u8]) -> Result<Option<PathBuf>, HaProxyError> {
        if place.is_ours(standing) {
            // It passed `haproxy -c` before it was put there.
            if !place.is_untried(standing) {
                place.keep_as_last_good(standing)?;
            }
            return Ok(None);
        }
        let edit = place.keep_edit(standing)?;
        let refused = match validate::boots(&self.options, &edit.path).await {
            Ok(()) => {
                place.keep_as_last_good(standing)?;
                None
            }
            Err(HaProxyError::DoesNotBoot { output, .. }) => Some(output),
            Err(error) => return Err(error),
        };
        let (file, kept) = (place.file().display(), edit.path.display());
        match (edit.is_new, place.is_known(), refused) {
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

    async fn take_or_go_back(&self, installed: Installed) -> Result<Applied, HaProxyError> {
        let Installed { place, wanted, before, is_same, edit } = installed;
        if let Some(state) = before.as_ref().and_then(|worker| worker.state.as_deref().ok()) {
            let carried = state::carried_over(state, &wanted);
            // Without it the health of the servers is found out anew.
            warn_of(install::write_state(&self.options.state_file, &carried));
        }
        let taken = self.take(&wanted).await;
        self.forget_state();
        let Err(why) = taken else {
            // It is live. Where it stays marked as pending, the next change reloads once more.
            warn_of(place.settle());
            return Ok(edit.map_or(Applied::Reloaded, Applied::ReloadedOver));
        };
        let file = if is_same { OnDisk::Unchanged } else { self.roll_back(&place).await };
        let process = match &file {
            OnDisk::Previous => match self.reload_reachable().await {
                Ok(()) => Running::Previous,
                Err(again) => {
                    tracing::warn!("the configuration of before is back on disk and could not be reloaded: {again}");
                    self.found(before.as_ref(), &wanted).await
                }
            },
            _ => self.found(before.as_ref(), &wanted).await,
        };
        let live = Live { file, process };
        if live.is_settled() {
            warn_of(place.settle());
        }
        Err(HaProxyError::NotTaken { file: self.options.config_file.clone(), why: Box::new(why), live })
    }

    /// Reloads, and holds the new worker against what is wanted.
    async fn take(&self, wanted: &[Wanted]) -> Result<(), ReloadError> {
        match state::difference(&reload::reload(&self.options).await?.state?, wanted) {
            None => Ok(()),
            Some(difference) => Err(ReloadError::Mismatch(difference)),
        }
    }

    /// The state was for that one worker: a later start must not find servers as they are now.
    fn forget_state(&self) {
        if let Err(error) = install::write_state(&self.options.state_file, state::EMPTY) {
            tracing::warn!("{error}");
            // Without the file HAProxy warns and starts, and it is written before the next check.
            let _ = std::fs::remove_file(&self.options.state_file);
        }
    }

    /// Puts the last good configuration back where HAProxy would still start with it.
    async fn roll_back(&self, place: &Place) -> OnDisk {
        let Some(last_good) = place.last_good() else { return OnDisk::NothingBefore };
        match validate::boots(&self.options, last_good).await {
            Ok(()) => {}
            Err(why @ HaProxyError::DoesNotBoot { .. }) => {
                return OnDisk::PreviousDoesNotBoot { last_good: last_good.to_owned(), why: Box::new(why) };
            }
            // It did when it was kept, and that is more than HAProxy made of the new one.
            Err(why) => tracing::warn!("{} could not be checked before it was put back: {why}", last_good.display()),
        }
        match place.roll_back() {
            Ok(()) => OnDisk::Previous,
            Err(why) => OnDisk::NotRolledBack(Box::new(why)),
        }
    }

    /// Reloads where somebody is there to do it: of an HAProxy that has ended nothing is to be waited for.
    async fn reload_reachable(&self) -> Result<(), ReloadError> {
        reload::is_possible(&self.options).await?;
        reload::reload(&self.options).await.map(drop)
    }

    /// What runs now.
    async fn found(&self, before: Option<&Worker>, wanted: &[Wanted]) -> Running {
        let now = match reload::worker(&self.stats_socket()).await {
            Ok(now) => now,
            Err(why) => return Running::Silent(why),
        };
        if before.is_some_and(|before| before.pid == now.pid) {
            return Running::Unchanged;
        }
        match now.state.map(|state| state::difference(&state, wanted)) {
            Ok(None) => Running::New,
            Ok(Some(difference)) => Running::Other(difference),
            Err(why) => Running::Other(why.to_string()),
        }
    }
}

/// Says what went wrong beside the change and does not undo it.
fn warn_of(result: Result<(), HaProxyError>) {
    if let Err(error) = result {
        tracing::warn!("{error}");
    }
}
