//! Loading plugins: from a reference to something that can be called.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use super::building::{Metadata, metadata};
use super::cache::Cache;
use super::compiler::Compiler;
use super::contract::{GeneratorPre, PolicyPre};
use super::digest::Digest;
use super::engine::Engine;
use super::guest::Guest;
use super::loaded::Loaded;
use super::oci::OciReference;
use super::publish::{Published, Pushed, Signed};
use super::shape::Shape;
use super::shared::{Origin, ShareError, Shared, SharingSettings, Updated};
use super::signatures::PrivateKey;
use super::trust::Rule;
use super::{Generator, Import, Limit, Limits, LoadError, PluginError, Policy, Reference, shape, source, text};
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
    /// How plugins from registries are got and judged.
    pub sharing: SharingSettings,
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
    /// What is known of one from a registry.
    pub origin: Option<Origin>,
}

/// What can be seen of a component without running any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// Its bytes.
    pub size: usize,
    /// What it imports, and what the host thinks of that.
    pub imports: Vec<Import>,
    /// What its author wrote into it.
    pub metadata: Metadata,
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
    shared: Shared,
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
    origin: Option<Origin>,
    pre: InstancePre<Guest>,
}

impl PluginHost {
    /// Starts the engine and opens the cache.
    pub fn new(settings: PluginSettings) -> Result<Self, PluginError> {
        let PluginSettings { limits, cache_dir, compiler, sharing } = settings;
        let shared = Shared { settings: sharing, most: limits.component_bytes };
        let engine = Engine::start().map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = cache_dir.map(Cache::open).transpose()?;
        Ok(Self { inner: Arc::new(Inner { engine, cache, limits, compiler: Compiler::new(compiler), shared }) })
    }

    /// Loads a plugin of either kind, and says what it is.
    pub async fn inspect(&self, reference: &Reference) -> Result<Inspected, PluginError> {
        let opened = self.open(reference).await?;
        let (kind, size, imports) = (opened.shape.kind, opened.size, opened.shape.imports.clone());
        let (digest, origin) = (opened.loaded.digest.clone(), opened.origin.clone());
        let manifest = match kind {
            PluginKind::ScalingPolicy => opened.into_policy().await?.manifest().clone(),
            PluginKind::UserDataGenerator => opened.into_generator().await?.manifest().clone(),
        };
        Ok(Inspected { kind, manifest, digest, size, imports, origin })
    }

    /// Looks at a component, whether it is a plugin or not.
    pub async fn look(&self, reference: &Reference) -> Result<Looked, PluginError> {
        let (bytes, _) = self.raw(reference).await?;
        Ok(Looked {
            digest: Digest::of(&bytes).hex(),
            size: bytes.len(),
            imports: shape::imports(&bytes),
            metadata: metadata::read(&bytes),
        })
    }

    /// Loads a scaling policy.
    pub async fn policy(&self, reference: &Reference) -> Result<Policy, PluginError> {
        self.open(reference).await?.must_be(PluginKind::ScalingPolicy)?.into_policy().await
    }

    /// Loads a user-data generator.
    pub async fn generator(&self, reference: &Reference) -> Result<Generator, PluginError> {
        self.open(reference).await?.must_be(PluginKind::UserDataGenerator)?.into_generator().await
    }

    /// The bytes of the component behind a reference, for whoever keeps them.
    pub async fn component_of(&self, reference: &Reference) -> Result<Vec<u8>, PluginError> {
        Ok(self.bytes(reference).await?.0)
    }

    /// Brings a plugin from its registry into the store, unless it is there.
    pub async fn pull(&self, reference: &OciReference) -> Result<Origin, PluginError> {
        let got = self.inner.shared.get(reference).await;
        got.map(|(_, origin)| origin).map_err(|error| shared_error(reference, error))
    }

    /// Asks the registry what a tag means now, brings that, and locks it.
    pub async fn update(&self, reference: &OciReference) -> Result<Updated, PluginError> {
        self.inner.shared.update(reference).await.map_err(|error| shared_error(reference, error))
    }

    /// Brings a plugin to a registry, and signs it where there is a key. `created` is what its configuration says, in
    /// seconds since 1970; with the same one, the same component gives the same digest.
    pub async fn push(
        &self,
        plugin: &Reference,
        to: &OciReference,
        key: Option<&PrivateKey>,
        created: i64,
    ) -> Result<Pushed, PluginError> {
        // What does not load here loads nowhere.
        let inspected = self.inspect(plugin).await?;
        let (component, shape, _, _) = self.bytes(plugin).await?;
        let published = Published {
            component: &component,
            imports: &shape.imports,
            exports: &shape.exports,
            says: &inspected.manifest,
            created,
        };
        self.inner.shared.push(to, published, key).await.map_err(|error| shared_error(to, error))
    }

    /// Signs what a reference means, and puts the signature beside it.
    pub async fn sign(&self, reference: &OciReference, key: &PrivateKey) -> Result<Signed, PluginError> {
        self.inner.shared.sign(reference, key).await.map_err(|error| shared_error(reference, error))
    }

    /// Brings a plugin and judges it by `rules`, whatever the settings say.
    pub async fn verify(&self, reference: &OciReference, rules: &[Rule]) -> Result<Origin, PluginError> {
        let got = self.inner.shared.get_judged(reference, Some(rules)).await;
        got.map(|(_, origin)| origin).map_err(|error| shared_error(reference, error))
    }

    /// Loads a scaling policy whose bytes are at hand: what `reference` pointed to when they were kept.
    pub async fn policy_of(&self, reference: &Reference, bytes: Vec<u8>) -> Result<Policy, PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let most = self.inner.limits.component_bytes;
        let looked = blocking(move || looked_at(bytes, most)).await;
        let (bytes, shape, digest) = looked.map_err(failed)?;
        self.opened(reference, bytes, shape, digest, None)
            .await?
            .must_be(PluginKind::ScalingPolicy)?
            .into_policy()
            .await
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    async fn open(&self, reference: &Reference) -> Result<Opened, PluginError> {
        let (bytes, shape, digest, origin) = self.bytes(reference).await?;
        self.opened(reference, bytes, shape, digest, origin).await
    }

    async fn opened(
        &self,
        reference: &Reference,
        bytes: Vec<u8>,
        shape: Shape,
        digest: String,
        origin: Option<Origin>,
    ) -> Result<Opened, PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let size = bytes.len();
        let component = self.component(bytes, &digest).await.map_err(failed)?;
        let pre = self
            .engine()
            .linker()
            .instantiate_pre(&component)
            .map_err(|error| failed(LoadError::Contract(text::line(&format!("{error:#}"), 500))))?;
        let loaded = Loaded { host: self.clone(), reference: reference.clone(), digest };
        Ok(Opened { loaded, shape, size, origin, pre })
    }

    /// The bytes behind a reference, what they are, and their SHA-256 in hexadecimal.
    async fn bytes(&self, reference: &Reference) -> Result<(Vec<u8>, Shape, String, Option<Origin>), PluginError> {
        let (bytes, origin) = self.raw(reference).await?;
        let most = self.inner.limits.component_bytes;
        let (bytes, shape, digest) = blocking(move || looked_at(bytes, most))
            .await
            .map_err(|source| PluginError::Load { reference: reference.clone(), source })?;
        Ok((bytes, shape, digest, origin))
    }

    /// The bytes behind a reference, whatever they are.
    async fn raw(&self, reference: &Reference) -> Result<(Vec<u8>, Option<Origin>), PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let most = self.inner.limits.component_bytes;
        let (bytes, origin) = match reference {
            Reference::Oci(shared) => {
                let (bytes, origin) =
                    self.inner.shared.get(shared).await.map_err(|error| shared_error(shared, error))?;
                (bytes, Some(origin))
            }
            Reference::Builtin(_) | Reference::File(_) => {
                let from = reference.clone();
                let read = move || source::read(&from, most).map(std::borrow::Cow::into_owned);
                (blocking(read).await.map_err(failed)?, None)
            }
        };
        Ok((bytes, origin))
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
        match PolicyPre::new(self.shape.version, self.pre) {
            Ok(pre) => Policy::introduce(self.loaded, pre).await,
            Err(error) => Err(misfit(self.loaded.reference, &error)),
        }
    }

    async fn into_generator(self) -> Result<Generator, PluginError> {
        match GeneratorPre::new(self.shape.version, self.pre) {
            Ok(pre) => Generator::introduce(self.loaded, pre).await,
            Err(error) => Err(misfit(self.loaded.reference, &error)),
        }
    }
}

fn misfit(reference: Reference, error: &wasmtime::Error) -> PluginError {
    PluginError::Load { reference, source: LoadError::Contract(text::line(&format!("{error:#}"), 500)) }
}

fn shared_error(reference: &OciReference, error: ShareError) -> PluginError {
    PluginError::Load {
        reference: Reference::Oci(Box::new(reference.clone())),
        source: LoadError::Shared(Box::new(error)),
    }
}

/// What bytes are, and their SHA-256 in hexadecimal; refused where they are too many.
fn looked_at(bytes: Vec<u8>, most: usize) -> Result<(Vec<u8>, Shape, String), LoadError> {
    if bytes.len() > most {
        return Err(LoadError::TooLarge(Limit::Component(most)));
    }
    let shape = Shape::of(&bytes)?;
    let digest = Digest::of(&bytes).hex();
    Ok((bytes, shape, digest))
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
