//! Loading plugins: from a reference to something that can be called.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, InstancePre};

use super::bindings::{ScalingPolicyPre, UserDataGeneratorPre};
use super::cache::Cache;
use super::compiler::Compiler;
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
    /// The `doproxy` program, which compiles plugins in a process of its own: only so do the limits of CPU and memory
    /// hold, and what is compiled for too long can be ended. `None` compiles in this process, for a program that has
    /// doproxy as a library and knows its plugins: its own executable has no subcommand that could be started.
    pub compiler: Option<PathBuf>,
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
    compiler: Compiler,
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
        let PluginSettings { limits, cache_dir, compiler } = settings;
        let engine = Engine::start().map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = cache_dir.map(Cache::open).transpose()?;
        Ok(Self { inner: Arc::new(Inner { engine, cache, limits, compiler: Compiler::new(compiler) }) })
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

    /// The component, ready to be linked: from the cache, else from the compiler.
    async fn component(&self, bytes: Vec<u8>, digest: &str) -> Result<Component, LoadError> {
        let (inner, key) = (self.inner.clone(), digest.to_owned());
        let cached = blocking(move || {
            let most = inner.limits.artefact_bytes();
            let compiled = inner.cache.as_ref().and_then(|cache| cache.get(&inner.engine, &key, most));
            Ok(compiled.and_then(|compiled| compiled.load(inner.engine.wasmtime()).ok()))
        })
        .await?;
        if let Some(component) = cached {
            return Ok(component);
        }
        let compiled = self.inner.compiler.compile(bytes, &self.inner.limits).await?;
        let (inner, key) = (self.inner.clone(), digest.to_owned());
        blocking(move || {
            let component = compiled
                .load(inner.engine.wasmtime())
                .map_err(|error| LoadError::TooManyParts(text::line(&format!("{error:#}"), 500)))?;
            if let Some(cache) = &inner.cache {
                cache.put(&inner.engine, &key, &compiled);
            }
            Ok(component)
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
