//! Loading plugins: from a reference to a callable policy or generator.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use doproxy_core::domain::{Manifest, PluginKind};
use doproxy_plugin_registry::{
    Digest, Metadata, OciReference, PluginResolver, PrivateKey, Provenance, PublishRequest, Pushed, Reference,
    RegistrySettings, ResolveError, Rule, Signed, Update, component_metadata,
};
use doproxy_support::sanitize;
use wasmtime::component::{Component, InstancePre};

use crate::call::CallableComponent;
use crate::compile::Compiler;
use crate::compile::cache::Cache;
use crate::component_info::{ComponentInterface, Import};
use crate::contract::{PreparedWorld, ScalingPolicy, UserDataGenerator, World};
use crate::engine::Engine;
use crate::error::{Limit, LoadError, PluginError};
use crate::generator::Generator;
use crate::limits::Limits;
use crate::loaded_plugin::LoadedPlugin;
use crate::policy::Policy;
use crate::store_data::StoreData;
use crate::{component_info, source};

/// Settings of the plugin host.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// Resource limits of each plugin.
    pub limits: Limits,
    /// Cache directory for compiled plugins; `None` disables the cache, so that plugins are compiled on every load.
    pub cache_dir: Option<PathBuf>,
    /// The `doproxy` program, which compiles plugins in a separate process: only a separate process can enforce limits
    /// of CPU time and memory, and be killed if compilation takes too long. `None` compiles in this process, for
    /// programs that use doproxy as a library with plugins that they trust: their own executable has no compile
    /// subcommand.
    pub compiler: Option<PathBuf>,
    /// Settings for fetching plugins from registries and verifying them.
    pub registry: RegistrySettings,
}

/// A description of a plugin, including its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// The world that the component implements.
    pub kind: PluginKind,
    /// The manifest.
    pub manifest: Manifest,
    /// The SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Size of the component in bytes.
    pub size: usize,
    /// The imported interfaces.
    pub imports: Vec<String>,
    /// The provenance of a plugin from a registry.
    pub provenance: Option<Provenance>,
}

/// A static description of a component, obtained without running any of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInfo {
    /// The SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Size of the component in bytes.
    pub size: usize,
    /// The imports, and whether the host provides them.
    pub imports: Vec<Import>,
    /// The metadata embedded by the author.
    pub metadata: Metadata,
}

/// Loads and runs plugins. Cheap to clone: clones share one engine.
#[derive(Clone)]
pub struct PluginHost {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    cache: Option<Cache>,
    limits: Limits,
    compiler: Compiler,
    resolver: PluginResolver,
}

impl fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginHost")
            .field("cache", &self.inner.cache)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// A compiled component of one of the two worlds, not instantiated yet.
struct PreparedPlugin {
    component: CallableComponent,
    interface: ComponentInterface,
    size: usize,
    provenance: Option<Provenance>,
    pre: InstancePre<StoreData>,
}

impl PluginHost {
    /// Starts the engine and opens the cache.
    pub fn new(settings: PluginSettings) -> Result<Self, PluginError> {
        let PluginSettings { limits, cache_dir, compiler, registry: sharing } = settings;
        let shared = PluginResolver {
            settings: sharing,
            max_component_bytes: limits.component_bytes,
            validate: |bytes| ComponentInterface::parse(bytes).map(drop).map_err(Into::into),
        };
        let engine = Engine::start().map_err(|error| PluginError::Engine(format!("{error:#}")))?;
        let cache = cache_dir.map(Cache::open).transpose()?;
        Ok(Self {
            inner: Arc::new(Inner { engine, cache, limits, compiler: Compiler::new(compiler), resolver: shared }),
        })
    }

    /// Loads a plugin of either kind and describes it.
    pub async fn inspect(&self, reference: &Reference) -> Result<PluginInfo, PluginError> {
        let opened = self.load(reference).await?;
        let (kind, size, imports) = (opened.interface.kind, opened.size, opened.interface.imports.clone());
        let (digest, origin) = (opened.component.digest.clone(), opened.provenance.clone());
        let manifest = match kind {
            PluginKind::ScalingPolicy => opened.into_plugin::<ScalingPolicy>().await?.manifest().clone(),
            PluginKind::UserDataGenerator => opened.into_plugin::<UserDataGenerator>().await?.manifest().clone(),
        };
        Ok(PluginInfo { kind, manifest, digest, size, imports, provenance: origin })
    }

    /// Describes a component without running it, even if it is not a plugin.
    pub async fn component_info(&self, reference: &Reference) -> Result<ComponentInfo, PluginError> {
        let (bytes, _) = self.raw_bytes(reference).await?;
        Ok(ComponentInfo {
            digest: Digest::of(&bytes).hex(),
            size: bytes.len(),
            imports: component_info::imports(&bytes),
            metadata: component_metadata::read(&bytes),
        })
    }

    /// Loads a scaling policy.
    pub async fn policy(&self, reference: &Reference) -> Result<Policy, PluginError> {
        self.load(reference).await?.into_plugin().await
    }

    /// Loads a user-data generator.
    pub async fn generator(&self, reference: &Reference) -> Result<Generator, PluginError> {
        self.load(reference).await?.into_plugin().await
    }

    /// Returns the bytes of the component behind a reference, for callers that archive components.
    pub async fn component_bytes(&self, reference: &Reference) -> Result<Vec<u8>, PluginError> {
        Ok(self.bytes(reference).await?.0)
    }

    /// Pulls a plugin from its registry into the store, unless it is already stored.
    pub async fn pull(&self, reference: &OciReference) -> Result<Provenance, PluginError> {
        let got = self.inner.resolver.fetch(reference).await;
        got.map(|(_, origin)| origin).map_err(|error| resolve_error(reference, error))
    }

    /// Resolves a tag at the registry again, pulls the plugin and updates the lock file.
    pub async fn update(&self, reference: &OciReference) -> Result<Update, PluginError> {
        self.inner.resolver.update(reference).await.map_err(|error| resolve_error(reference, error))
    }

    /// Pushes a plugin to a registry, and signs it if `key` is set. `created` is the creation time in the image
    /// configuration, in seconds since 1970; with the same value, the same component has the same digest.
    pub async fn push(
        &self,
        plugin: &Reference,
        to: &OciReference,
        key: Option<&PrivateKey>,
        created: i64,
    ) -> Result<Pushed, PluginError> {
        // A plugin that does not load here would not load anywhere.
        let inspected = self.inspect(plugin).await?;
        let (component, interface, _, _) = self.bytes(plugin).await?;
        let published = PublishRequest {
            component: &component,
            imports: &interface.imports,
            exports: &interface.exports,
            plugin: &inspected.manifest,
            created,
        };
        self.inner.resolver.push(to, published, key).await.map_err(|error| resolve_error(to, error))
    }

    /// Signs the manifest that a reference resolves to, and attaches the signature to it.
    pub async fn sign(&self, reference: &OciReference, key: &PrivateKey) -> Result<Signed, PluginError> {
        self.inner.resolver.sign(reference, key).await.map_err(|error| resolve_error(reference, error))
    }

    /// Fetches a plugin and verifies it with `rules` instead of the configured ones.
    pub async fn verify(&self, reference: &OciReference, rules: &[Rule]) -> Result<Provenance, PluginError> {
        let got = self.inner.resolver.fetch_verified(reference, Some(rules)).await;
        got.map(|(_, origin)| origin).map_err(|error| resolve_error(reference, error))
    }

    /// Loads a scaling policy from archived bytes, which `reference` pointed to when they were archived.
    pub async fn policy_from_bytes(&self, reference: &Reference, bytes: Vec<u8>) -> Result<Policy, PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let most = self.inner.limits.component_bytes;
        let info = spawn_blocking(move || parse_interface(bytes, most)).await;
        let (bytes, interface, digest) = info.map_err(failed)?;
        self.prepare(reference, bytes, interface, digest, None).await?.into_plugin().await
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    async fn load(&self, reference: &Reference) -> Result<PreparedPlugin, PluginError> {
        let (bytes, interface, digest, origin) = self.bytes(reference).await?;
        self.prepare(reference, bytes, interface, digest, origin).await
    }

    async fn prepare(
        &self,
        reference: &Reference,
        bytes: Vec<u8>,
        interface: ComponentInterface,
        digest: String,
        origin: Option<Provenance>,
    ) -> Result<PreparedPlugin, PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let size = bytes.len();
        let component = self.component(bytes, &digest).await.map_err(failed)?;
        let pre = self
            .engine()
            .linker()
            .instantiate_pre(&component)
            .map_err(|error| failed(LoadError::Contract(sanitize::sanitize_line(&format!("{error:#}"), 500))))?;
        let loaded = CallableComponent { host: self.clone(), reference: reference.clone(), digest };
        Ok(PreparedPlugin { component: loaded, interface, size, provenance: origin, pre })
    }

    /// Returns the bytes behind a reference, their component interface, their SHA-256 in hexadecimal and their
    /// provenance. Fails if they are not a plugin.
    async fn bytes(
        &self,
        reference: &Reference,
    ) -> Result<(Vec<u8>, ComponentInterface, String, Option<Provenance>), PluginError> {
        let (bytes, origin) = self.raw_bytes(reference).await?;
        let most = self.inner.limits.component_bytes;
        let (bytes, interface, digest) = spawn_blocking(move || parse_interface(bytes, most))
            .await
            .map_err(|source| PluginError::Load { reference: reference.clone(), source })?;
        Ok((bytes, interface, digest, origin))
    }

    /// Returns the bytes behind a reference, even if they are not a plugin.
    async fn raw_bytes(&self, reference: &Reference) -> Result<(Vec<u8>, Option<Provenance>), PluginError> {
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let most = self.inner.limits.component_bytes;
        let (bytes, origin) = match reference {
            Reference::Oci(shared) => {
                let (bytes, origin) =
                    self.inner.resolver.fetch(shared).await.map_err(|error| resolve_error(shared, error))?;
                (bytes, Some(origin))
            }
            Reference::Builtin(_) | Reference::File(_) => {
                let from = reference.clone();
                let read = move || source::read(&from, most).map(std::borrow::Cow::into_owned);
                (spawn_blocking(read).await.map_err(failed)?, None)
            }
        };
        Ok((bytes, origin))
    }

    /// Returns the component, ready to be linked: from the cache or else from the compiler.
    async fn component(&self, bytes: Vec<u8>, digest: &str) -> Result<Component, LoadError> {
        let (inner, key) = (self.inner.clone(), digest.to_owned());
        let cached = spawn_blocking(move || {
            let most = inner.limits.artifact_bytes();
            let compiled = inner.cache.as_ref().and_then(|cache| cache.get(&inner.engine, &key, most));
            Ok(compiled.and_then(|compiled| compiled.load(inner.engine.wasmtime()).ok()))
        })
        .await?;
        if let Some(component) = cached {
            return Ok(component);
        }
        let compiled = self.inner.compiler.compile(bytes, &self.inner.limits).await?;
        let (inner, key) = (self.inner.clone(), digest.to_owned());
        spawn_blocking(move || {
            let component = compiled
                .load(inner.engine.wasmtime())
                .map_err(|error| LoadError::TooManyParts(sanitize::sanitize_line(&format!("{error:#}"), 500)))?;
            if let Some(cache) = &inner.cache {
                cache.put(&inner.engine, &key, &compiled);
            }
            Ok(component)
        })
        .await
    }
}

impl PreparedPlugin {
    /// Reads the manifest of a plugin of this world.
    async fn into_plugin<W: World>(self) -> Result<LoadedPlugin<W>, PluginError> {
        let reference = &self.component.reference;
        let failed = |source| PluginError::Load { reference: reference.clone(), source };
        let actual = self.interface.kind;
        if actual != W::KIND {
            return Err(failed(LoadError::KindMismatch { actual, expected: W::KIND }));
        }
        let prepared = PreparedWorld::new(self.interface.version, self.pre)
            .map_err(|error| failed(LoadError::Contract(sanitize::sanitize_line(&format!("{error:#}"), 500))))?;
        LoadedPlugin::instantiate_and_describe(self.component, prepared).await
    }
}

fn resolve_error(reference: &OciReference, error: ResolveError) -> PluginError {
    PluginError::Load {
        reference: Reference::Oci(Box::new(reference.clone())),
        source: LoadError::Resolve(Box::new(error)),
    }
}

/// Parses the component interface of `bytes` and computes their SHA-256 in hexadecimal; fails if there are more than
/// `most` bytes.
fn parse_interface(bytes: Vec<u8>, most: usize) -> Result<(Vec<u8>, ComponentInterface, String), LoadError> {
    if bytes.len() > most {
        return Err(LoadError::TooLarge(Limit::Component(most)));
    }
    let interface = ComponentInterface::parse(&bytes)?;
    let digest = Digest::of(&bytes).hex();
    Ok((bytes, interface, digest))
}

/// Runs file access or long computations on a blocking thread.
async fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoadError::Malformed(format!("reading the component was aborted: {error}"))),
    }
}
