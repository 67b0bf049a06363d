//! Publishing plugins: pushing a component to a registry, and signing a published plugin.

use std::collections::BTreeMap;

use doproxy_core::domain::Manifest;

use crate::digest::Digest;
use crate::oci::manifest::Description;
use crate::oci::{Access, OciReference, Registry, manifest};
use crate::resolver::{LazyRegistry, PluginResolver, ResolveError};
use crate::signatures;
use crate::signatures::{PrivateKey, Signature};

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest, which identifies the published plugin permanently.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
    /// True if the plugin was signed.
    pub signed: bool,
}

/// The result of signing a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The digest of the signed manifest.
    pub manifest: Digest,
    /// True if the signature is new, false if an identical one existed.
    pub is_new: bool,
}

/// A component to publish.
#[derive(Debug)]
pub struct PublishRequest<'a> {
    /// The bytes of the component.
    pub component: &'a [u8],
    /// The interfaces that it imports.
    pub imports: &'a [String],
    /// The interfaces that it exports.
    pub exports: &'a [String],
    /// The plugin's manifest.
    pub plugin: &'a Manifest,
    /// Creation time, in seconds since 1970.
    pub created: i64,
}

impl PluginResolver {
    /// Pushes a component to a registry under a tag.
    pub async fn push(
        &self,
        to: &OciReference,
        published: PublishRequest<'_>,
        key: Option<&PrivateKey>,
    ) -> Result<Pushed, ResolveError> {
        let (Some(tag), None) = (to.tag(), to.digest()) else {
            return Err(ResolveError::Usage(format!(
                "cannot push to a digest; push to a tag instead: oci://{}:TAG",
                to.name()
            )));
        };
        let PublishRequest { component, imports, exports, plugin: says, created } = published;
        let annotations = BTreeMap::from(
            [
                ("org.opencontainers.image.title", &says.name),
                ("org.opencontainers.image.version", &says.version),
                ("org.opencontainers.image.description", &says.description),
            ]
            .map(|(key, value)| (key.to_owned(), value.clone())),
        );
        let packed = manifest::pack(component, Description { imports, exports, annotations, created })
            .map_err(|error| ResolveError::Usage(format!("failed to write the manifest: {error}")))?;
        let mut registry = Registry::open(to, Access::Push, &self.settings.login).await?;
        registry.put_blob(component, "the component").await?;
        registry.put_blob(&packed.config, "the configuration").await?;
        registry.put_manifest(tag, &packed.manifest).await?;
        let manifest = Digest::of(&packed.manifest);
        if let Some(key) = key {
            signatures::attach(&mut registry, manifest, &Signature::new(&to.name(), manifest, key)).await?;
        }
        Ok(Pushed { manifest, component: Digest::of(component), signed: key.is_some() })
    }

    /// Signs the plugin manifest that a reference resolves to, and attaches the signature to it.
    pub async fn sign(&self, reference: &OciReference, key: &PrivateKey) -> Result<Signed, ResolveError> {
        let mut line = LazyRegistry::new(self, reference, Access::Push);
        let version = match self.pinned_digest(reference)? {
            Some(digest) => digest.to_string(),
            None => reference.tag().unwrap_or_default().to_owned(),
        };
        let manifest = line.manifest(&version).await?;
        manifest::component_layer(&manifest)?;
        let digest = Digest::of(&manifest);
        let registry = line.registry().await?;
        let is_new = signatures::attach(registry, digest, &Signature::new(&reference.name(), digest, key)).await?;
        // Update the stored signatures too; otherwise the new one would be unknown until a verification fails.
        if let Ok(store) = self.store()
            && store.signatures(digest)?.is_some()
        {
            store.put_signatures(digest, &signatures::fetch(registry, digest).await?)?;
        }
        Ok(Signed { manifest: digest, is_new })
    }
}
