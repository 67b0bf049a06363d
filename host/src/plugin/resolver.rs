//! Plugins from registries, from the reference to bytes that may be run: what it means (the lock), where it is (the store,
//! else the registry), whether it is taken (trust). Sharing ones own is in [`super::publish`].
//!
//! What is in the store is used without a word to the registry, so a fleet depends on no registry but on the day that it
//! takes a new plugin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::component_info::ComponentInterface;
use super::digest::Digest;
use super::lockfile::{LockError, LockFile};
use super::oci::manifest::{self, Descriptor};
use super::oci::{Access, Login, NotAPlugin, OciReference, Registry, RegistryError};
use super::signatures::{self, KeyError, Signature};
use super::store::{Store, StoreError};
use super::trust::{self, Rule, TrustDecision, TrustError};
use super::{Limit, LoadError};

/// How plugins from registries are got and judged.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// Where they are kept.
    pub store: Option<PathBuf>,
    /// What their tags mean; `None` where there is no `doproxy.yml`.
    pub lock: Option<LockFile>,
    /// Whom they are taken from; `None` asks for no signature.
    pub trust: Option<Vec<Rule>>,
    /// Who is asking.
    pub login: Login,
    /// Who is told what was pulled and locked.
    pub progress: ProgressSink,
}

/// What can go wrong with a plugin from a registry, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It is with the registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It is with the registry, and the store does not have it.
    #[error("{source}; and {path} does not hold it, so it cannot be used without the registry", path = .path.display())]
    NotStored {
        /// What is with the registry.
        source: Box<RegistryError>,
        /// Where it would be.
        path: PathBuf,
    },
    /// It is with the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is with the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It is something else.
    #[error(transparent)]
    NotAPlugin(#[from] NotAPlugin),
    /// The component is none of a plugin.
    #[error(transparent)]
    Component(Box<LoadError>),
    /// It is with a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The component is larger than allowed.
    #[error("the component has {size} bytes, which goes over {limit}")]
    TooLarge {
        /// Bytes.
        size: u64,
        /// The limit.
        limit: Limit,
    },
    /// What is done needs a tag, or must not have a digest.
    #[error("{0}")]
    Usage(String),
}

impl ResolveError {
    /// Whether it is about what the user wrote, and not about how things went.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Registry(source) => source.is_configuration(),
            Self::NotStored { source, .. } => source.is_configuration(),
            Self::Store(StoreError::Damaged { .. } | StoreError::File { .. }) => false,
            _ => true,
        }
    }
}

/// What is known of a plugin from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The digest of its manifest, which is what references and signatures name.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// Where the component is kept.
    pub path: PathBuf,
    /// What it was taken for.
    pub trust: TrustDecision,
    /// How many signatures were found on it, whoever made them.
    pub signatures: usize,
    /// Whether the lock says what its tag means.
    pub is_locked: bool,
}

/// What became of a reference that was updated.
#[derive(Debug, Clone)]
pub struct Update {
    /// What it meant.
    pub previous: Option<Digest>,
    /// What it means now.
    pub current: Provenance,
}

/// Plugins from registries.
#[derive(Debug)]
pub(super) struct PluginResolver {
    pub(super) settings: RegistrySettings,
    /// Most bytes of a component.
    pub(super) max_component_bytes: usize,
}

/// A connection that is made when it is needed.
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

    /// A manifest that has to be there.
    pub(super) async fn manifest(&mut self, version: &str) -> Result<Vec<u8>, RegistryError> {
        let missing = RegistryError::NotFound { what: self.reference.to_string() };
        self.registry().await?.manifest(version).await?.ok_or(missing)
    }
}

/// A manifest, and what it says.
struct ResolvedManifest {
    digest: Digest,
    manifest: Vec<u8>,
    layer: Descriptor,
    /// Whether it is in the store, with its component.
    component: Option<Vec<u8>>,
}

impl PluginResolver {
    /// The component that a reference means, and what is known of it. Where nothing says yet what the reference means, the
    /// registry is asked, and its answer is locked.
    pub(super) async fn fetch(&self, reference: &OciReference) -> Result<(Vec<u8>, Provenance), ResolveError> {
        let meant = self.pinned_digest(reference)?;
        let (component, origin) = self.fetch_digest(reference, meant, self.settings.trust.as_deref()).await?;
        Ok((component, self.pin(reference, meant, origin)?))
    }

    /// The same, judged by other rules; nothing is locked.
    pub(super) async fn fetch_verified(
        &self,
        reference: &OciReference,
        rules: Option<&[Rule]>,
    ) -> Result<(Vec<u8>, Provenance), ResolveError> {
        self.fetch_digest(reference, self.pinned_digest(reference)?, rules).await
    }

    /// Asks the registry what a tag means now, and locks that.
    pub(super) async fn update(&self, reference: &OciReference) -> Result<Update, ResolveError> {
        let before = self.pinned_digest(reference)?;
        // What says itself what it means is as new as it gets.
        let meant = reference.digest();
        let (_, origin) = self.fetch_digest(reference, meant, self.settings.trust.as_deref()).await?;
        let now = self.pin(reference, meant, origin)?;
        Ok(Update { previous: before, current: now })
    }

    /// The digest that a reference means, where that is known without asking the registry.
    pub(super) fn pinned_digest(&self, reference: &OciReference) -> Result<Option<Digest>, LockError> {
        match (reference.digest(), &self.settings.lock) {
            (None, Some(lock)) if lock.manages(reference) => lock.get(reference),
            (digest, _) => Ok(digest),
        }
    }

    pub(super) fn store(&self) -> Result<Store, StoreError> {
        Store::open(self.settings.store.as_ref().ok_or(StoreError::NoDirectory)?)
    }

    /// Writes down what a reference means, unless that is written or it says so itself.
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
            self.settings
                .progress
                .report(format_args!("{reference} is {} from now on; {path} says so", origin.manifest));
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
            // A reference has a tag or a digest.
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

    /// A manifest with its component from the store; nothing where one of them is not there or not whole.
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

    /// What a manifest says, where it is that of a plugin.
    fn parse_manifest(&self, manifest: Vec<u8>) -> Result<ResolvedManifest, ResolveError> {
        let layer = manifest::component_layer(&manifest)?;
        if layer.size > self.max_component_bytes as u64 {
            return Err(ResolveError::TooLarge { size: layer.size, limit: Limit::Component(self.max_component_bytes) });
        }
        Ok(ResolvedManifest { digest: Digest::of(&manifest), manifest, layer, component: None })
    }

    /// Judges a manifest by the signatures that are kept on it, else by those that the registry has.
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
            // No signature can mend that.
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
                // Others may have signed it since; but nobody can be asked.
                (Some(refused), _) => {
                    tracing::warn!("{reference}: newer signatures cannot be looked for: {error}");
                    Err(refused.into())
                }
                (None, Some(_)) => Err(error.into()),
                (None, None) => {
                    tracing::debug!("{reference}: signatures cannot be looked for: {error}");
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

    /// Brings a component into the store, and its manifest after it: what has a manifest there is whole.
    async fn pull(
        &self,
        line: &mut LazyRegistry<'_>,
        store: &Store,
        reference: &OciReference,
        found: &ResolvedManifest,
    ) -> Result<Vec<u8>, ResolveError> {
        // Another tag may have brought it.
        if let Some(component) = self.load_stored_component(store, found).await? {
            store.put(&found.manifest)?;
            return Ok(component);
        }
        let what = format!("the component of {reference}");
        let component = line.registry().await?.blob(&found.layer, self.max_component_bytes as u64, &what).await?;
        // What is no plugin is neither kept nor locked.
        ComponentInterface::parse(&component).map_err(|error| ResolveError::Component(Box::new(error)))?;
        store.put(&component)?;
        store.put(&found.manifest)?;
        self.settings.progress.report(format_args!("pulled {}", reference.with_digest(found.digest)));
        Ok(component)
    }
}

/// Most bytes of a manifest.
const MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// What the store has. What is damaged there is as good as missing: the registry has it, and its digest is checked.
fn damaged_as_missing<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        read => read,
    }
}

/// Whoever listens.
type ProgressFn = dyn Fn(fmt::Arguments<'_>) + Send + Sync;

/// Who is told what happens with plugins from registries.
#[derive(Clone, Default)]
pub struct ProgressSink(Option<Arc<ProgressFn>>);

impl ProgressSink {
    /// Tells `listener`.
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
