//! One change from its beginning to its end: the file first, then the process, and back where that fails.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use super::at_run_time::{self, Counts};
use super::error::{HaProxyError, ReloadError, SocketError};
use super::gap::Gap;
use super::install::{self, Place};
use super::live::{Live, OnDisk, Running};
use super::options::Changes;
use super::plan::{self, Question, Step, Way};
use super::reload::{self, Worker};
use super::runtime::{Command, Order, Socket, sessions_with};
use super::state::{self, Seen, Strictness};
use super::taken::{self, Taken};
use super::validate::{self, validate};
use super::wanted::Wanted;
use super::{HaProxy, Reload, escape};
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
    text: String,
    wanted: Vec<Wanted>,
    /// The names of servers that the worker has and is not to have any more.
    gone: Vec<String>,
    /// The worker of before, where it answered.
    before: Option<Worker>,
    /// Whose drains stay.
    strictness: Strictness,
    /// The same file was there, and HAProxy had taken it.
    is_same: bool,
    /// How the worker becomes the same.
    way: Way,
    /// Where the file that somebody else had changed is kept.
    edit: Option<PathBuf>,
}

/// What one change leaves for the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    taken: Option<Taken>,
    gap: Gap,
}

impl HaProxy {
    /// Makes file and process such that they have `servers`.
    pub(super) async fn make_so(&self, servers: &[Server], when: When) -> Result<Applied, HaProxyError> {
        let mut memory = self.changing.lock().await;
        let installed = self
            .install(servers, when, &mut memory)
            .await
            .map_err(|why| HaProxyError::NotApplied { file: self.options.config_file.clone(), why: Box::new(why) })?;
        match installed {
            Some(installed) => self.take_or_go_back(installed, &mut memory).await,
            None => Ok(Applied::Unchanged),
        }
    }

    /// Puts the configuration in its place; `None` where there is nothing to do. On an error neither the file nor the
    /// process were touched.
    async fn install(
        &self,
        servers: &[Server],
        when: When,
        memory: &mut Memory,
    ) -> Result<Option<Installed>, HaProxyError> {
        let (wanted, text) = self.rendered(&self.setup, servers)?;
        let place = Place::new(&self.options.config_file);
        let standing = place.read()?;
        let on_disk = standing.as_deref() == Some(text.as_bytes());
        let is_pending = place.is_pending();
        let is_same = on_disk && !is_pending;
        let strictness = if is_pending { Strictness::Exact } else { Strictness::Lenient };
        let before = match around_async("ask the worker", reload::worker(&self.stats_socket())).await {
            // What came of the change could not be seen.
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
        let seen = before.as_ref().and_then(|worker| Seen::all(worker.state.as_deref().ok()?));
        if is_same
            && when == When::Needed
            && let (Some(worker), Some(seen)) = (&before, &seen)
            && state::difference(seen, &wanted, strictness).is_none()
            && has_taken(worker, &text, memory, &place)
        {
            self.clear_away(seen).await;
            return Ok(None);
        }
        reload::is_possible(&self.options).await?;
        let taken = before
            .as_ref()
            .ok_or("nobody answered on its socket")
            .and_then(|worker| taken::by(worker, memory.taken.as_ref(), &place));
        let way = match (when, self.options.changes) {
            (When::Always, _) => Way::Reload("it was asked for".to_owned()),
            (_, Changes::ByReload) => Way::Reload("`haproxy.reload` is `always`".to_owned()),
            (When::Needed, Changes::AtRunTime) => plan::way(&Question {
                version: before.as_ref().and_then(|worker| worker.version),
                taken: taken.as_deref().map_err(|why| *why),
                text: &text,
                wanted: &wanted,
                seen: seen.as_deref(),
                strictness,
            }),
        };
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
        drop(candidate);
        let gone = seen.unwrap_or_default().into_iter().map(|server| server.name);
        let gone = gone.filter(|name| escape::is_name(name) && !wanted.iter().any(|server| server.name == *name));
        let gone = gone.collect();
        Ok(Some(Installed { place, text, wanted, gone, before, strictness, is_same, way, edit }))
    }

    /// Deletes what was removed before and could not be deleted then, where that is possible now.
    async fn clear_away(&self, seen: &[Seen]) {
        let leftovers = seen.iter().filter(|server| server.is_leftover() && escape::is_name(&server.name));
        let names: Vec<&str> = leftovers.map(|server| server.name.as_str()).collect();
        if names.is_empty() {
            return;
        }
        match at_run_time::delete(&self.stats_socket(), &names, Duration::ZERO).await {
            Ok(left) => {
                tracing::debug!("of {} servers in maintenance {} cannot be deleted yet", names.len(), left.len());
            }
            Err(error) => tracing::debug!("servers in maintenance are still there: {error}"),
        }
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

    async fn take_or_go_back(&self, installed: Installed, memory: &mut Memory) -> Result<Applied, HaProxyError> {
        let Installed { place, text, wanted, gone, before, mut strictness, is_same, way, edit } = installed;
        let mut touched = false;
        let reason = match (way, &before) {
            (Way::AtRunTime(steps), Some(worker)) => {
                match self.at_run_time(worker, &steps, &wanted, strictness).await {
                    Ok(counts) => {
                        Self::settle(&place, memory, worker, &text);
                        self.end_sessions_of_before(&gone).await;
                        self.tally.at_run_time(counts);
                        let Counts { added, removed, changed } = counts;
                        tracing::info!("HAProxy was changed at run time: +{added} −{removed} ~{changed} servers");
                        return Ok(Applied::AtRunTime { added, removed, changed });
                    }
                    Err(why) => {
                        (touched, strictness) = (true, Strictness::Exact);
                        format!("it could not be changed at run time: {why}")
                    }
                }
            }
            (Way::AtRunTime(_), None) => "nobody answered on its socket".to_owned(),
            (Way::Reload(reason), _) => reason,
        };
        tracing::info!("HAProxy is reloaded: {reason}");
        let answers = before.as_ref().is_some_and(|worker| worker.state.is_ok());
        let why = match self.take(&wanted, answers.then_some(strictness), memory).await {
            Ok(worker) => {
                Self::settle(&place, memory, &worker, &text);
                self.end_sessions_of_before(&gone).await;
                return Ok(Applied::Reloaded { reason, over: edit });
            }
            Err(why) => why,
        };
        // Where commands came before, the worker of before is not as it was.
        let before = before.filter(|_| !touched);
        let file = if is_same { OnDisk::Unchanged } else { self.roll_back(&place).await };
        let process = match &file {
            OnDisk::Previous => match self.reload_reachable().await {
                Ok(worker) => {
                    if let Ok(Some(text)) = place.read() {
                        note(&place, memory, Taken::new(&worker, &String::from_utf8_lossy(&text)));
                    }
                    Running::Previous
                }
                Err(again) => {
                    tracing::warn!("the configuration of before is back on disk and could not be reloaded: {again}");
                    self.found(before.as_ref(), &wanted).await
                }
            },
            _ => self.found(before.as_ref(), &wanted).await,
        };
        let live = Live { file, process };
        if live.is_settled() && !(touched && matches!(live.file, OnDisk::Unchanged)) {
            warn_of(place.settle());
        }
        Err(HaProxyError::NotTaken { file: self.options.config_file.clone(), why: Box::new(why), live })
    }

    /// Changes the servers of the worker, and looks whether it has the wanted ones afterwards.
    async fn at_run_time(
        &self,
        worker: &Worker,
        steps: &[Step],
        wanted: &[Wanted],
        strictness: Strictness,
    ) -> Result<Counts, ReloadError> {
        let socket = self.stats_socket();
        let counts = at_run_time::carry_out(&socket, steps).await?;
        let now = around_async("look at the changed worker", reload::worker(&socket)).await?;
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
    async fn end_sessions_of_before(&self, gone: &[String]) {
        let Reload::MasterSocket(path) = &self.options.reload else { return };
        if gone.is_empty() {
            return;
        }
        let deadline = self.options.deadlines.answer;
        let master = Socket::new(path, deadline);
        let end = async {
            for pid in reload::processes(&master, Instant::now() + deadline).await?.old_workers {
                // Its servers cannot be named any more, since its proxies have stopped.
                let dump = master.ask_master(Command::ShowSessionsOf(pid)).await?;
                for id in sessions_with(&dump, gone) {
                    let order = Order::ShutDownSession(id);
                    around_async("end a session in a worker of before", master.order_of(pid, &order)).await?;
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
    fn settle(place: &Place, memory: &mut Memory, worker: &Worker, text: &str) {
        note(place, memory, Taken::new(worker, text));
        warn_of(place.settle());
    }

    /// Reloads, and holds the new worker against what is wanted. It is told of the health of the servers, where the
    /// present worker answers: as strictly as `carried` says.
    async fn take(
        &self,
        wanted: &[Wanted],
        carried: Option<Strictness>,
        memory: &mut Memory,
    ) -> Result<Worker, ReloadError> {
        memory.gap.wait(self.options.reload_gap).await;
        memory.gap.begin();
        if let Some(strictness) = carried
            && let Ok(Worker { state: Ok(state), .. }) = reload::worker(&self.stats_socket()).await
        {
            let carried = state::carried_over(&state, wanted, strictness);
            // Without it the health of the servers is found out anew.
            warn_of(install::write_state(&self.options.state_file, &carried));
        }
        let taken = reload::reload(&self.options).await;
        self.forget_state();
        self.tally.reload();
        let mut worker = taken?;
        let state = std::mem::replace(&mut worker.state, Ok(String::new()))?;
        match difference(&state, wanted, Strictness::Lenient) {
            None => Ok(worker),
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
    async fn reload_reachable(&self) -> Result<Worker, ReloadError> {
        reload::is_possible(&self.options).await?;
        reload::reload(&self.options).await
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
        match now.state.map(|state| difference(&state, wanted, Strictness::Lenient)) {
            Ok(None) => Running::New,
            Ok(Some(difference)) => Running::Other(difference),
            Err(why) => Running::Other(why.to_string()),
        }
    }
}

/// Whether the worker is one that has `text`, as far as this process can know: a worker that came up since it looked
/// last was started by somebody else, and maybe with another file.
fn has_taken(worker: &Worker, text: &str, memory: &mut Memory, place: &Place) -> bool {
    if memory.taken.as_ref().is_none_or(|taken| taken.is_of(worker)) {
        return true;
    }
    let has = taken::by(worker, None, place).is_ok_and(|taken| taken == text);
    if has {
        note(place, memory, Taken::new(worker, text));
    }
    has
}

/// In what a worker that says `state` differs from the wanted one.
fn difference(state: &str, wanted: &[Wanted], strictness: Strictness) -> Option<String> {
    match Seen::all(state) {
        Some(seen) => state::difference(&seen, wanted, strictness),
        None => Some("its state cannot be read".to_owned()),
    }
}

/// Notes what the worker has, for this process and for the next.
fn note(place: &Place, memory: &mut Memory, taken: Taken) {
    warn_of(place.note_taken(&taken.written()));
    memory.taken = Some(taken);
}

/// Says what went wrong beside the change and does not undo it.
fn warn_of(result: Result<(), HaProxyError>) {
    if let Err(error) = result {
        tracing::warn!("{error}");
    }
}
