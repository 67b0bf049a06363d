//! Plugins from registries, from the reference to bytes that may be run: what it means (the lock), where it is (the store,
//! else the registry), whether it is taken (trust). Sharing ones own is in [`super::publish`].
//!
//! What is in the store is used without a word to the registry, so a fleet depends on no registry but on the day that it
//! takes a new plugin.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::digest::Digest;
use super::lock::{Lock, LockError};
use super::oci::manifest::{self, Descriptor};
use super::oci::{Access, Login, NotAPlugin, OciReference, Registry, RegistryError};
use super::shape::Shape;
use super::signatures::{self, KeyError, Signature};
use super::store::{Store, StoreError};
use super::trust::{self, Rule, TrustError, Trusted};
use super::{Limit, LoadError};

/// How plugins from registries are got and judged.
#[derive(Debug, Clone, Default)]
pub struct SharingSettings {
    /// Where they are kept.
    pub store: Option<PathBuf>,
    /// What their tags mean; `None` where there is no `doproxy.yml`.
    pub lock: Option<Lock>,
    /// Whom they are taken from; `None` asks for no signature.
    pub trust: Option<Vec<Rule>>,
    /// Who is asking.
    pub login: Login,
    /// Who is told what was pulled and locked.
    pub told: Tell,
}

/// What can go wrong with a plugin from a registry, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
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
    #[error("the component has {is} bytes, which goes over {most}")]
    TooLarge {
        /// Bytes.
        is: u64,
        /// The limit.
        most: Limit,
    },
    /// What is done needs a tag, or must not have a digest.
    #[error("{0}")]
    Usage(String),
}

impl ShareError {
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
pub struct Origin {
    /// The digest of its manifest, which is what references and signatures name.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// Where the component is kept.
    pub path: PathBuf,
    /// What it was taken for.
    pub trusted: Trusted,
    /// How many signatures were found on it, whoever made them.
    pub signatures: usize,
    /// Whether the lock says what its tag means.
    pub is_locked: bool,
}

/// What became of a reference that was updated.
#[derive(Debug, Clone)]
pub struct Updated {
    /// What it meant.
    pub before: Option<Digest>,
    /// What it means now.
    pub now: Origin,
}

/// Plugins from registries.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: SharingSettings,
    /// Most bytes of a component.
    pub(super) most: usize,
}

/// A connection that is made when it is needed.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    reference: &'a OciReference,
    access: Access,
    open: Option<Registry>,
}

impl<'a> Line<'a> {
    pub(super) fn new(shared: &'a Shared, reference: &'a OciReference, access: Access) -> Self {
        Self { shared, reference, access, open: None }
    }

    pub(super) async fn registry(&mut self) -> Result<&mut Registry, RegistryError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Registry::open(self.reference, self.access, &self.shared.settings.login).await?,
        };
        Ok(self.open.insert(open))
    }

    /// A manifest that has to be there.
    pub(super) async fn manifest(&mut self, version: &str) -> Result<Vec<u8>, RegistryError> {
        let missing = RegistryError::Missing { what: self.reference.to_string() };
        self.registry().await?.manifest(version).await?.ok_or(missing)
    }
}

/// A manifest, and what it says.
struct Found {
    digest: Digest,
    manifest: Vec<u8>,
    layer: Descriptor,
    /// Whether it is in the store, with its component.
    component: Option<Vec<u8>>,
}

impl Shared {
    /// The component that a reference means, and what is known of it. Where nothing says yet what the reference means, the
    /// registry is asked, and its answer is locked.
    pub(super) async fn get(&self, reference: &OciReference) -> Result<(Vec<u8>, Origin), ShareError> {
        let meant = self.meant(reference)?;
        let (component, origin) = self.get_as(reference, meant, self.settings.trust.as_deref()).await?;
        Ok((component, self.lock(reference, meant, origin)?))
    }

    /// The same, judged by other rules; nothing is locked.
    pub(super) async fn get_judged(
        &self,
        reference: &OciReference,
        rules: Option<&[Rule]>,
    ) -> Result<(Vec<u8>, Origin), ShareError> {
        self.get_as(reference, self.meant(reference)?, rules).await
    }

    /// Asks the registry what a tag means now, and locks that.
    pub(super) async fn update(&self, reference: &OciReference) -> Result<Updated, ShareError> {
        let before = self.meant(reference)?;
        // What says itself what it means is as new as it gets.
        let meant = reference.digest();
        let (_, origin) = self.get_as(reference, meant, self.settings.trust.as_deref()).await?;
        let now = self.lock(reference, meant, origin)?;
        Ok(Updated { before, now })
    }

    /// The digest that a reference means, where that is known without asking the registry.
    pub(super) fn meant(&self, reference: &OciReference) -> Result<Option<Digest>, LockError> {
        match (reference.digest(), &self.settings.lock) {
            (None, Some(lock)) if lock.concerns(reference) => lock.get(reference),
            (digest, _) => Ok(digest),
        }
    }

    pub(super) fn store(&self) -> Result<Store, StoreError> {
        Store::open(self.settings.store.as_ref().ok_or(StoreError::NoPlace)?)
    }

    /// Writes down what a reference means, unless that is written or it says so itself.
    fn lock(&self, reference: &OciReference, meant: Option<Digest>, origin: Origin) -> Result<Origin, LockError> {
        let Some(lock) = self.settings.lock.as_ref().filter(|lock| lock.concerns(reference)) else { return Ok(origin) };
        if meant.is_none() && lock.get(reference)? != Some(origin.manifest) {
            lock.set(reference, origin.manifest)?;
            let path = lock.path.display();
            self.settings.told.say(format_args!("{reference} is {} from now on; {path} says so", origin.manifest));
        }
        Ok(Origin { is_locked: true, ..origin })
    }

    async fn get_as(
        &self,
        reference: &OciReference,
        meant: Option<Digest>,
        rules: Option<&[Rule]>,
    ) -> Result<(Vec<u8>, Origin), ShareError> {
        let store = self.store()?;
        let mut line = Line::new(self, reference, Access::Pull);
        let stored = match meant {
            Some(digest) => self.stored(&store, digest).await?,
            None => None,
        };
        let found =
            match (stored, meant) {
                (Some(found), _) => found,
                (None, Some(digest)) => self.found(line.manifest(&digest.to_string()).await.map_err(|source| {
                    ShareError::NotStored { source: Box::new(source), path: store.path(digest) }
                })?)?,
                // A reference has a tag or a digest.
                (None, None) => self.found(line.manifest(reference.tag().unwrap_or_default()).await?)?,
            };
        let (trusted, signatures) = self.judge(&mut line, &store, reference, found.digest, rules).await?;
        let component = match found.component {
            Some(component) => component,
            None => self.pull(&mut line, &store, reference, &found).await?,
        };
        let origin = Origin {
            manifest: found.digest,
            component: found.layer.digest,
            path: store.path(found.layer.digest),
            trusted,
            signatures,
            is_locked: false,
        };
        Ok((component, origin))
    }

    /// A manifest with its component from the store; nothing where one of them is not there or not whole.
    async fn stored(&self, store: &Store, digest: Digest) -> Result<Option<Found>, ShareError> {
        let Some(manifest) = whole(store.get(digest, MANIFEST_BYTES))? else { return Ok(None) };
        let found = self.found(manifest)?;
        let component = self.stored_component(store, &found).await?;
        Ok(component.map(|component| Found { component: Some(component), ..found }))
    }

    async fn stored_component(&self, store: &Store, found: &Found) -> Result<Option<Vec<u8>>, StoreError> {
        let (store, most, digest) = (store.clone(), self.most, found.layer.digest);
        match tokio::task::spawn_blocking(move || store.get(digest, most)).await {
            Ok(read) => whole(read),
            Err(_) => Ok(None),
        }
    }

    /// What a manifest says, where it is that of a plugin.
    fn found(&self, manifest: Vec<u8>) -> Result<Found, ShareError> {
        let layer = manifest::component_layer(&manifest)?;
        if layer.size > self.most as u64 {
            return Err(ShareError::TooLarge { is: layer.size, most: Limit::Component(self.most) });
        }
        Ok(Found { digest: Digest::of(&manifest), manifest, layer, component: None })
    }

    /// Judges a manifest by the signatures that are kept on it, else by those that the registry has.
    async fn judge(
        &self,
        line: &mut Line<'_>,
        store: &Store,
        reference: &OciReference,
        digest: Digest,
        rules: Option<&[Rule]>,
    ) -> Result<(Trusted, usize), ShareError> {
        let kept = whole(store.signatures(digest))?;
        let judged =
            kept.as_ref().map(|kept| trust::judge(rules, reference, digest, kept).map(|trusted| (trusted, kept.len())));
        let refused = match judged {
            Some(Ok(trusted)) => return Ok(trusted),
            // No signature can mend that.
            Some(Err(error @ (TrustError::NoRule { .. } | TrustError::Key { .. }))) => return Err(error.into()),
            Some(Err(error)) => Some(error),
            None => None,
        };
        match self.signatures(line, digest).await {
            Ok(found) => {
                let trusted = trust::judge(rules, reference, digest, &found)?;
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
                    Ok((Trusted::NoRules, 0))
                }
            },
        }
    }

    async fn signatures(&self, line: &mut Line<'_>, digest: Digest) -> Result<Vec<Signature>, RegistryError> {
        signatures::fetch(line.registry().await?, digest).await
    }

    /// Brings a component into the store, and its manifest after it: what has a manifest there is whole.
    async fn pull(
        &self,
        line: &mut Line<'_>,
        store: &Store,
        reference: &OciReference,
        found: &Found,
    ) -> Result<Vec<u8>, ShareError> {
        // Another tag may have brought it.
        if let Some(component) = self.stored_component(store, found).await? {
            store.put(&found.manifest)?;
            return Ok(component);
        }
        let what = format!("the component of {reference}");
        let component = line.registry().await?.blob(&found.layer, self.most as u64, &what).await?;
        // What is no plugin is neither kept nor locked.
        Shape::of(&component).map_err(|error| ShareError::Component(Box::new(error)))?;
        store.put(&component)?;
        store.put(&found.manifest)?;
        self.settings.told.say(format_args!("pulled {}", reference.at(found.digest)));
        Ok(component)
    }
}

/// Most bytes of a manifest.
const MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// What the store has. What is damaged there is as good as missing: the registry has it, and its digest is checked.
fn whole<T>(read: Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{error}");
            Ok(None)
        }
        read => read,
    }
}

/// Whoever listens.
type Listener = dyn Fn(fmt::Arguments<'_>) + Send + Sync;

/// Who is told what happens with plugins from registries.
#[derive(Clone, Default)]
pub struct Tell(Option<Arc<Listener>>);

impl Tell {
    /// Tells `listener`.
    pub fn new(listener: impl Fn(fmt::Arguments<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    pub(super) fn say(&self, what: fmt::Arguments<'_>) {
        if let Some(listener) = &self.0 {
            listener(what);
        }
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}
