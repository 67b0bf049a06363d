//! The simulated cloud and balancer with recording: an invariant violation is recorded as soon as it occurs.
//!
//! If a folder is given, the effects of each call are saved there before the response is delivered, so that they
//! outlive a child process.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use doproxy_core::domain::{DropletId, Tag, Timestamp};
use doproxy_core::seams::{
    Account, ApplyResult, CloudError, CloudInstance, CloudProvider, CreateRequest, Filter, Image, LoadBalancer, Region,
    Server, ServerState, Size, SshKey, Stats,
};
use doproxy_emulator::{Faults, Selection};
use doproxy_support::failpoint;
use doproxy_test_support::{SimulatedBalancer, SimulatedCloud};

/// The recorded violations.
#[derive(Debug, Clone, Default)]
pub struct Violations(Arc<Mutex<Vec<String>>>);

impl Violations {
    pub fn record(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The load balancer.
#[derive(Debug, Clone)]
pub struct RecordingBalancer {
    pub inner: SimulatedBalancer,
    saved_in: Option<PathBuf>,
    served: Arc<Mutex<HashSet<DropletId>>>,
    drained: Arc<Mutex<HashSet<DropletId>>>,
}

impl RecordingBalancer {
    pub fn new(saved_in: Option<PathBuf>) -> Self {
        let inner = SimulatedBalancer::default();
        Self { inner, saved_in, served: Arc::default(), drained: Arc::default() }
    }

    /// Returns the servers that HAProxy had when a child process ended.
    pub fn saved(folder: &Path) -> Vec<(DropletId, ServerState)> {
        let text = std::fs::read_to_string(folder.join("servers")).unwrap_or_default();
        let state = |word: &str| match word {
            "Serving" => ServerState::Serving,
            "Draining" => ServerState::Draining,
            _ => ServerState::Warming,
        };
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(id, word)| (DropletId(id.parse().unwrap()), state(word)))
            .collect()
    }

    pub fn serves(&self, id: DropletId) -> bool {
        self.inner.servers().iter().any(|server| server.id == id && server.state == ServerState::Serving)
    }
}

impl LoadBalancer for RecordingBalancer {
    type Error = Infallible;

    async fn apply(&self, servers: &[Server]) -> Result<ApplyResult, Infallible> {
        for server in servers {
            match server.state {
                ServerState::Serving => drop(self.served.lock().unwrap().insert(server.id)),
                ServerState::Draining => drop(self.drained.lock().unwrap().insert(server.id)),
                ServerState::Warming => {}
            }
        }
        failpoint::failpoint_async("HAProxy", async {
            let applied = self.inner.apply(servers).await;
            if let Some(folder) = &self.saved_in {
                let lines: String =
                    servers.iter().map(|server| format!("{} {:?}\n", server.id, server.state)).collect();
                std::fs::write(folder.join("servers"), lines).unwrap();
            }
            applied
        })
        .await
    }

    async fn stats(&self) -> Result<Stats, Infallible> {
        failpoint::failpoint_async("HAProxy", self.inner.stats()).await
    }
}

/// The cloud.
#[derive(Debug, Clone)]
pub struct RecordingCloud {
    pub inner: SimulatedCloud,
    balancer: RecordingBalancer,
    tag: Tag,
    saved_in: Option<PathBuf>,
    created: Arc<Mutex<HashSet<DropletId>>>,
    pub violations: Violations,
}

impl RecordingCloud {
    pub fn new(inner: SimulatedCloud, balancer: RecordingBalancer, tag: Tag, saved_in: Option<PathBuf>) -> Self {
        Self { inner, balancer, tag, saved_in, created: Arc::default(), violations: Violations::default() }
    }

    /// Returns the saved cloud state and its time.
    pub fn saved(folder: &Path) -> Option<(Timestamp, doproxy_emulator::PersistedState)> {
        let text = std::fs::read_to_string(folder.join("world")).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    pub fn save(&self) {
        let Some(folder) = &self.saved_in else { return };
        let text = self.inner.with_state(|cloud, now| serde_json::to_string(&(now, cloud.persisted())).unwrap());
        std::fs::write(folder.join("world"), text).unwrap();
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        failpoint::failpoint_async("the API's side", async {
            let response = call.await;
            self.save();
            response
        })
        .await
    }

    /// Returns the droplets with this name and the fleet's tag: the true state, without list lag.
    fn tagged_droplets(&self, name: &str) -> HashSet<DropletId> {
        self.inner.with_state(|cloud, now| {
            let faults = cloud.faults().clone();
            cloud.set_faults(Faults::default());
            let there = cloud.list(now, Selection::Name(name)).droplets;
            let alive = there.iter().filter(|one| one.has_tag(self.tag.as_str())).map(|one| one.id).collect();
            cloud.set_faults(faults);
            alive
        })
    }

    /// Returns the droplets created by the fleet's requests.
    pub fn created(&self) -> HashSet<DropletId> {
        self.created.lock().unwrap().clone()
    }
}

impl CloudProvider for RecordingCloud {
    async fn create(&self, request: &CreateRequest) -> Result<Vec<CloudInstance>, CloudError> {
        let before: Vec<_> = request.names.iter().map(|name| self.tagged_droplets(name.as_str())).collect();
        self.call(async {
            let response = self.inner.create(request).await;
            for (name, before) in request.names.iter().zip(&before) {
                let new: Vec<DropletId> = self.tagged_droplets(name.as_str()).difference(before).copied().collect();
                if !new.is_empty() && before.iter().any(|id| self.created().contains(id)) {
                    self.violations.record(format!("{name} was created twice"));
                }
                self.created.lock().unwrap().extend(new);
            }
            response
        })
        .await
    }

    async fn get(&self, id: DropletId) -> Result<CloudInstance, CloudError> {
        self.call(self.inner.get(id)).await
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<CloudInstance>, CloudError> {
        self.call(self.inner.list(filter)).await
    }

    async fn delete(&self, id: DropletId) -> Result<(), CloudError> {
        let foreign = self.inner.with_state(|cloud, now| {
            cloud.droplet_itself(now, id).is_ok_and(|droplet| !droplet.has_tag(self.tag.as_str()))
        });
        if foreign {
            self.violations.record(format!("delete of droplet {id}, which does not have the fleet's tag"));
        }
        if self.balancer.serves(id) {
            self.violations.record(format!("delete of droplet {id} while HAProxy sends it new sessions"));
        }
        if self.balancer.served.lock().unwrap().contains(&id) && !self.balancer.drained.lock().unwrap().contains(&id) {
            self.violations.record(format!("delete of droplet {id} without a drain"));
        }
        self.call(self.inner.delete(id)).await
    }

    async fn tag(&self, id: DropletId, tag: &Tag) -> Result<(), CloudError> {
        self.call(self.inner.tag(id, tag)).await
    }

    async fn account(&self) -> Result<Account, CloudError> {
        self.call(self.inner.account()).await
    }

    async fn count(&self) -> Result<u32, CloudError> {
        self.call(self.inner.count()).await
    }

    async fn sizes(&self) -> Result<Vec<Size>, CloudError> {
        self.call(self.inner.sizes()).await
    }

    async fn regions(&self) -> Result<Vec<Region>, CloudError> {
        self.call(self.inner.regions()).await
    }

    async fn image(&self, slug_or_id: &str) -> Result<Image, CloudError> {
        self.call(self.inner.image(slug_or_id)).await
    }

    async fn ssh_keys(&self) -> Result<Vec<SshKey>, CloudError> {
        self.call(self.inner.ssh_keys()).await
    }
}
