//! Loading plugins: from a reference to something that can be called.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, InstancePre};

use super::bindings::{ScalingPolicyPre, UserDataGeneratorPre};
use super::cache::Cache;
use super::engine::Engine;
use super::guest::Guest;
use super::loaded::Loaded;
use super::shape::Shape;
use super::{Generator, Limit, Limits, LoadError, PluginError, Policy, Reference, source, text};
use crate::model::{Manifest, PluginKind};

/// How plugins are run.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// What each may use up.
    pub limits: Limits,
    /// Where compiled plugins are kept; `None` to compile them every time.
    pub cache_dir: Option<PathBuf>,
}

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// The world that it is of.
    pub kind: PluginKind,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// Its bytes.
    pub size: usize,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
}

/// Loads plugins and runs them. Cheap to clone: clones share one engine.
#[derive(Clone)]
pub struct PluginHost {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    cache: Option<Cache>,
    limits: Limits,
    /// One compilation at a time: it uses every processor by itself.
    compiler: Arc<Semaphore>,
}

impl fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginHost")
            .field("cache", &self.inner.cache)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// A component that was opened: of one of the two worlds, and not instantiated yet.
struct Opened {
    loaded: Loaded,
    shape: Shape,
    size: usize,
    pre: InstancePre<Guest>,
}

impl PluginHost {
    /// Starts the engine and opens the cache.
    pub fn new(settings: PluginSettings) -> Result<Self, PluginError> {
        let PluginSettings { limits, cache_dir } = settings;
        let engine = Engine::start().map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = cache_dir.map(Cache::open).transpose()?;
        Ok(Self { inner: Arc::new(Inner { engine, cache, limits, compiler: Arc::new(Semaphore::new(1)) }) })
    }

    /// Loads a plugin of either kind, and says what it is.
    pub async fn inspect(&self, reference: &Reference) -> Result<Inspected, PluginError> {
        let opened = self.open(reference).await?;
        let (kind, size, imports) = (opened.shape.kind, opened.size, opened.shape.imports.clone());
        let digest = opened.loaded.digest.clone();
        let manifest = match kind {
            PluginKind::ScalingPolicy => opened.into_policy().await?.manifest().clone(),
            PluginKind::UserDataGenerator => opened.into_generator().await?.manifest().clone(),
        };
        Ok(Inspected { kind, manifest, digest, size, imports })
    }

    /// Loads a scaling policy.
    pub async fn policy(&self, reference: &Reference) -> Result<Policy, PluginError> {
        self.open(reference).await?.must_be(PluginKind::ScalingPolicy)?.into_policy().await
    }

    /// Loads a user-data generator.
    pub async fn generator(&self, reference: &Reference) -> Result<Generator, PluginError> {
        self.open(reference).await?.must_be(PluginKind::UserDataGenerator)?.into_generator().await
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    async fn open(&self, reference: &Reference) -> Result<Opened, PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let most = self.inner.limits.component_bytes;
        let from = reference.clone();
        let (bytes, shape, digest) = blocking(move || {
            let bytes = source::read(&from, most)?;
            if bytes.len() > most {
                return Err(LoadError::TooLarge(Limit::Component(most)));
            }
            let shape = Shape::of(&bytes)?;
            let digest = hexadecimal(&Sha256::digest(&bytes));
            Ok((bytes, shape, digest))
        })
        .await
        .map_err(failed)?;
        let size = bytes.len();
        let component = self.component(bytes.into_owned(), &digest).await.map_err(failed)?;
        let pre = self
            .engine()
            .linker()
            .instantiate_pre(&component)
            .map_err(|error| failed(LoadError::Contract(text::line(&format!("{error:#}"), 500))))?;
        let loaded = Loaded { host: self.clone(), reference: reference.clone(), digest };
        Ok(Opened { loaded, shape, size, pre })
    }

    /// The compiled component: from the cache, else from the compiler.
    async fn component(&self, bytes: Vec<u8>, digest: &str) -> Result<Component, LoadError> {
        let (inner, key) = (self.inner.clone(), digest.to_owned());
        let cached =
            blocking(move || Ok(inner.cache.as_ref().and_then(|cache| cache.get(&inner.engine, &key)))).await?;
        if let Some(component) = cached {
            return Ok(component);
        }
        let limit = self.inner.limits.compile_time;
        // One that took too long holds the permit until it ends, and must not keep the others waiting without a word.
        let turn = tokio::time::timeout(limit, self.inner.compiler.clone().acquire_owned()).await;
        let permit = match turn {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(LoadError::Compile("the compiler is gone".to_owned())),
            Err(_) => return Err(LoadError::CompileTime(Limit::CompileTime(limit))),
        };
        let inner = self.inner.clone();
        let digest = digest.to_owned();
        blocking(move || {
            let (compiled, waiting) = mpsc::sync_channel(1);
            // A thread of its own, since a compilation cannot be stopped: one that takes too long is left to itself,
            // and holds the permit until it ends.
            thread::Builder::new().name("plugin-compiler".to_owned()).spawn(move || {
                let component = Component::from_binary(inner.engine.wasmtime(), &bytes);
                if let (Ok(component), Some(cache)) = (&component, &inner.cache) {
                    cache.put(&inner.engine, &digest, component);
                }
                drop(permit);
                // Nobody waits for one that took too long.
                let _ = compiled.send(component);
            })?;
            match waiting.recv_timeout(limit) {
                Ok(Ok(component)) => Ok(component),
                Ok(Err(error)) => Err(LoadError::Compile(text::line(&format!("{error:#}"), 500))),
                Err(mpsc::RecvTimeoutError::Timeout) => Err(LoadError::CompileTime(Limit::CompileTime(limit))),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    Err(LoadError::Compile("the compiler panicked over it".to_owned()))
                }
            }
        })
        .await
    }
}

impl Opened {
    fn must_be(self, wanted: PluginKind) -> Result<Self, PluginError> {
        let is = self.shape.kind;
        if is == wanted {
            return Ok(self);
        }
        Err(PluginError::Load { reference: self.loaded.reference, source: LoadError::OtherKind { is, wanted } })
    }

    async fn into_policy(self) -> Result<Policy, PluginError> {
        match ScalingPolicyPre::new(self.pre) {
            Ok(pre) => Policy::introduce(self.loaded, pre).await,
            Err(error) => Err(misfit(self.loaded.reference, &error)),
        }
    }

    async fn into_generator(self) -> Result<Generator, PluginError> {
        match UserDataGeneratorPre::new(self.pre) {
            Ok(pre) => Generator::introduce(self.loaded, pre).await,
            Err(error) => Err(misfit(self.loaded.reference, &error)),
        }
    }
}

fn misfit(reference: Reference, error: &wasmtime::Error) -> PluginError {
    PluginError::Load { reference, source: LoadError::Contract(text::line(&format!("{error:#}"), 500)) }
}

/// Runs what reads files or computes for long, off the threads that serve everything else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoadError::Malformed(format!("reading it broke off: {error}"))),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}
