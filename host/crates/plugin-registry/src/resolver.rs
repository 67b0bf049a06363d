//! Resolution of plugins from registries, from the reference to trusted bytes: the lock file provides the digest, the
//! store or else the registry provides the content, and the trust rules accept or reject it. Pushing and signing are in
//! `publish`.
//!
//! Plugins in the local store are used without contacting the registry, which is therefore only needed when a new
//! version is adopted.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use doproxy_support::ByteSize;

use crate::digest::Digest;
use crate::lockfile::{LockError, LockFile};
use crate::oci::manifest::Descriptor;
use crate::oci::{Access, Login, NotAPlugin, OciReference, Registry, RegistryError, manifest};
use crate::signatures::{KeyError, Signature};
use crate::store::{Store, StoreError};
use crate::trust::{Rule, TrustDecision, TrustError};
use crate::{signatures, trust};

/// Settings for fetching plugins from registries and verifying them.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// The local store.
    pub store: Option<PathBuf>,
    /// The lock file; `None` without a `doproxy.yml`.
    pub lock: Option<LockFile>,
    /// The trust rules; `None` requires no signatures.
    pub trust: Option<Vec<Rule>>,
    /// The registry logins.
    pub login: Login,
    /// The recipient of progress messages about pulled and pinned plugins.
    pub progress: ProgressSink,
}

/// Errors about plugins from registries.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry request failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The registry request failed, and the plugin is not in the local store.
    #[error("{source}; no intact copy at {path}, so the plugin cannot be used without the registry", path = .path.display())]
    NotStored {
        /// The registry error.
        source: Box<RegistryError>,
        /// The expected path in the store.
        path: PathBuf,
    },
    /// The local store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock file failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The plugin is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The artifact is not a plugin.
    #[error(transparent)]
    NotAPlugin(#[from] NotAPlugin),
    /// The component is not a plugin component.
    #[error(transparent)]
    Component(Box<dyn std::error::Error + Send + Sync>),
    /// A key is invalid.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The component exceeds the size limit.
    #[error("the component has {size} bytes, which exceeds the component limit of {} (plugins.limits.component_bytes)", ByteSize(*.limit))]
    TooLarge {
        /// Actual size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The operation requires a tag, or does not accept a digest.
    #[error("{0}")]
    Usage(String),
}

impl ResolveError {
    /// Reports whether the error is caused by the user's configuration rather than by a failure at run time.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Registry(source) => source.is_configuration(),
            Self::NotStored { source, .. } => source.is_configuration(),
            Self::Store(StoreError::Damaged { .. } | StoreError::File { .. }) => false,
            _ => true,
        }
    }
}

/// The provenance of a plugin from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The digest of the manifest, which references and signatures refer to.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// Path of the component in the store.
    pub path: PathBuf,
    /// The trust decision.
    pub trust: TrustDecision,
    /// Number of signatures found on the manifest, by any key.
    pub signatures: usize,
    /// True if the lock file pins the tag.
    pub is_locked: bool,
}

/// The result of updating a reference.
#[derive(Debug, Clone)]
pub struct Update {
    /// The previous digest.
    pub previous: Option<Digest>,
    /// The provenance of the current version.
    pub current: Provenance,
}

/// Resolves plugin references to components.
#[derive(Debug)]
pub struct PluginResolver {
    /// Settings for fetching and verifying.
    pub settings: RegistrySettings,
    /// Maximum size of a component in bytes.
    pub max_component_bytes: usize,
    /// Rejects bytes that are not a plugin.
    pub validate: Validate,
}

/// Checks whether bytes are a plugin; the reason if they are not.
pub type Validate = fn(&[u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A registry connection that is established on first use.
pub(super) struct LazyRegistry<'a> {
    resolver: &'a PluginResolver,
    reference: &'a OciReference,
    access: Access,
    connection: Option<Registry>,
}

impl<'a> LazyRegistry<'a> {
    pub(super) fn new(shared: &'a PluginResolver, reference: &'a OciReference, access: Access) -> Self {
        Self { resolver: shared, reference, access, connection: None }
    }

    pub(super) async fn registry(&mut self) -> Result<&mut Registry, RegistryError> {
        let open = match self.connection.take() {
            Some(open) => open,
            None => Registry::open(self.reference, self.access, &self.resolver.settings.login).await?,
        };
        Ok(self.connection.insert(open))
    }

    /// Fetches a manifest; fails if it does not exist.
    pub(super) async fn manifest(&mut self, version: &str) -> Result<Vec<u8>, RegistryError> {
        let missing = RegistryError::NotFound { what: self.reference.to_string() };
        self.registry().await?.manifest(version).await?.ok_or(missing)
    }
}

/// A parsed manifest.
struct ResolvedManifest {
    digest: Digest,
    manifest: Vec<u8>,
    layer: Descriptor,
    /// The component, if both it and the manifest are in the store.
    component: Option<Vec<u8>>,
}

impl PluginResolver {
    /// Returns the component that a reference resolves to, and its provenance. If the digest is not known yet, resolves
    /// the tag at the registry and pins the result.
    pub async fn fetch(&self, reference: &OciReference) -> Result<(Vec<u8>, Provenance), ResolveError> {
        let meant = self.pinned_digest(reference)?;
        let (component, origin) = self.fetch_digest(reference, meant, self.settings.trust.as_deref()).await?;
        Ok((component, self.pin(reference, meant, origin)?))
    }

    /// Fetches a component like `fetch`, but verifies it with other rules and pins nothing.
    pub async fn fetch_verified(
        &self,
        reference: &OciReference,
        rules: Option<&[Rule]>,
    ) -> Result<(Vec<u8>, Provenance), ResolveError> {
        self.fetch_digest(reference, self.pinned_digest(reference)?, rules).await
    }

    /// Resolves a tag at the registry and pins the result.
    pub async fn update(&self, reference: &OciReference) -> Result<Update, ResolveError> {
        let before = self.pinned_digest(reference)?;
        // A reference with a digest is always up to date.
        let meant = reference.digest();
        let (_, origin) = self.fetch_digest(reference, meant, self.settings.trust.as_deref()).await?;
        let now = self.pin(reference, meant, origin)?;
        Ok(Update { previous: before, current: now })
    }

    /// Returns the digest of a reference if it is known without contacting the registry.
    pub(super) fn pinned_digest(&self, reference: &OciReference) -> Result<Option<Digest>, LockError> {
        match (reference.digest(), &self.settings.lock) {
            (None, Some(lock)) if lock.manages(reference) => lock.get(reference),
            (digest, _) => Ok(digest),
        }
    }

    pub(super) fn store(&self) -> Result<Store, StoreError> {
        Store::open(self.settings.store.as_ref().ok_or(StoreError::NoDirectory)?)
    }

    /// Pins a reference to its digest, unless it is pinned already or has a digest of its own.
    fn pin(
        &self,
        reference: &OciReference,
        meant: Option<Digest>,
        origin: Provenance,
    ) -> Result<Provenance, LockError> {
        let Some(lock) = self.settings.lock.as_ref().filter(|lock| lock.manages(reference)) else { return Ok(origin) };
        if meant.is_none() && lock.get(reference)? != Some(origin.manifest) {
            lock.set(reference, origin.manifest)?;
            let path = lock.path.display();
            self.settings.progress.report(format_args!("pinned {reference} to {} in {path}", origin.manifest));
        }
        Ok(Provenance { is_locked: true, ..origin })
    }

    async fn fetch_digest(
        &self,
        reference: &OciReference,
        meant: Option<Digest>,
        rules: Option<&[Rule]>,
    ) -> Result<(Vec<u8>, Provenance), ResolveError> {
        let store = self.store()?;
        let mut line = LazyRegistry::new(self, reference, Access::Pull);
        let stored = match meant {
            Some(digest) => self.load_stored(&store, digest).await?,
            None => None,
        };
        let found = match (stored, meant) {
            (Some(found), _) => found,
            (None, Some(digest)) => {
                self.parse_manifest(line.manifest(&digest.to_string()).await.map_err(|source| {
                    ResolveError::NotStored { source: Box::new(source), path: store.path(digest) }
                })?)?
            }
            // Every reference has a tag or a digest.
            (None, None) => self.parse_manifest(line.manifest(reference.tag().unwrap_or_default()).await?)?,
        };
        let (trusted, signatures) = self.verify_trust(&mut line, &store, reference, found.digest, rules).await?;
        let component = match found.component {
            Some(component) => component,
            None => self.pull(&mut line, &store, reference, &found).await?,
        };
        let origin = Provenance {
            manifest: found.digest,
            component: found.layer.digest,
            path: store.path(found.layer.digest),
            trust: trusted,
            signatures,
            is_locked: false,
        };
        Ok((component, origin))
    }

    /// Loads a manifest and its component from the store; returns `None` if one of them is missing or damaged.
    async fn load_stored(&self, store: &Store, digest: Digest) -> Result<Option<ResolvedManifest>, ResolveError> {
        let Some(manifest) = damaged_as_missing(store.get(digest, MANIFEST_BYTES))? else { return Ok(None) };
        let found = self.parse_manifest(manifest)?;
        let component = self.load_stored_component(store, &found).await?;
        Ok(component.map(|component| ResolvedManifest { component: Some(component), ..found }))
    }

    async fn load_stored_component(
        &self,
        store: &Store,
        found: &ResolvedManifest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (store, most, digest) = (store.clone(), self.max_component_bytes, found.layer.digest);
        match tokio::task::spawn_blocking(move || store.get(digest, most)).await {
            Ok(read) => damaged_as_missing(read),
            Err(_) => Ok(None),
        }
    }

    /// Parses a manifest; fails if it is not that of a plugin.
    fn parse_manifest(&self, manifest: Vec<u8>) -> Result<ResolvedManifest, ResolveError> {
        let layer = manifest::component_layer(&manifest)?;
        if layer.size > self.max_component_bytes as u64 {
            return Err(ResolveError::TooLarge { size: layer.size, limit: self.max_component_bytes });
        }
        Ok(ResolvedManifest { digest: Digest::of(&manifest), manifest, layer, component: None })
    }

    /// Verifies a manifest with the stored signatures, or else with those in the registry.
    async fn verify_trust(
        &self,
        line: &mut LazyRegistry<'_>,
        store: &Store,
        reference: &OciReference,
        digest: Digest,
        rules: Option<&[Rule]>,
    ) -> Result<(TrustDecision, usize), ResolveError> {
        let kept = damaged_as_missing(store.signatures(digest))?;
        let judged = kept
            .as_ref()
            .map(|kept| trust::evaluate(rules, reference, digest, kept).map(|trusted| (trusted, kept.len())));
        let refused = match judged {
            Some(Ok(trusted)) => return Ok(trusted),
            // No signature can fix this.
            Some(Err(error @ (TrustError::NoRule { .. } | TrustError::Key { .. }))) => return Err(error.into()),
            Some(Err(error)) => Some(error),
            None => None,
        };
        match self.fetch_signatures(line, digest).await {
            Ok(found) => {
                let trusted = trust::evaluate(rules, reference, digest, &found)?;
                store.put_signatures(digest, &found)?;
                Ok((trusted, found.len()))
            }
            Err(error) => match (refused, rules) {
                // The plugin may have been signed since, but the registry is unreachable.
                (Some(refused), _) => {
                    tracing::warn!("{reference}: failed to fetch newer signatures: {error}");
                    Err(refused.into())
                }
                (None, Some(_)) => Err(error.into()),
                (None, None) => {
                    tracing::debug!("{reference}: failed to fetch signatures: {error}");
                    Ok((TrustDecision::NotConfigured, 0))
                }
            },
        }
    }

    async fn fetch_signatures(
        &self,
        line: &mut LazyRegistry<'_>,
        digest: Digest,
    ) -> Result<Vec<Signature>, RegistryError> {
        signatures::fetch(line.registry().await?, digest).await
    }

    /// Stores a component and then its manifest, so that a stored manifest implies a complete plugin.
    async fn pull(
        &self,
        line: &mut LazyRegistry<'_>,
        store: &Store,
        reference: &OciReference,
        found: &ResolvedManifest,
    ) -> Result<Vec<u8>, ResolveError> {
        // Another tag may have the same component.
        if let Some(component) = self.load_stored_component(store, found).await? {
            store.put(&found.manifest)?;
            return Ok(component);
        }
        let what = format!("the component of {reference}");
        let component = line.registry().await?.blob(&found.layer, self.max_component_bytes as u64, &what).await?;
        // Anything that is not a plugin is neither stored nor pinned.
        (self.validate)(&component).map_err(ResolveError::Component)?;
        store.put(&component)?;
        store.put(&found.manifest)?;
        self.settings.progress.report(format_args!("pulled {}", reference.with_digest(found.digest)));
        Ok(component)
    }
}

/// Maximum size of a manifest in bytes.
const MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// Treats damaged files in the store as missing: the registry has the original, and its digest is verified.
fn damaged_as_missing<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        read => read,
    }
}

/// A callback for progress messages.
type ProgressFn = dyn Fn(fmt::Arguments<'_>) + Send + Sync;

/// The recipient of progress messages about plugins from registries.
#[derive(Clone, Default)]
pub struct ProgressSink(Option<Arc<ProgressFn>>);

impl ProgressSink {
    /// Creates a sink that forwards messages to `listener`.
    pub fn new(listener: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(super) fn report(&self, what: fmt::Arguments<'_>) {
        if let Some(listener) = &self.0 {
            listener(what);
        }
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}
