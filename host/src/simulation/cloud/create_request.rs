//! A request for droplets, and the checks that the API makes before it takes one.

use super::catalog::{self, Image, Region, Size, SshKey};
use super::{ApiError, Faults};
use crate::model::user_data::MAX_BYTES;
use crate::model::{DropletName, Tag};

/// Most names in one request.
const MAX_NAMES: usize = 10;

/// A request for droplets, as it comes: nothing in it has been checked.
#[expect(clippy::struct_excessive_bools, reason = "they are the switches that the API has")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDroplets {
    /// One droplet each.
    pub names: Vec<String>,
    /// A slug, or how slugs begin, such as `nyc`; any region where it is `None`.
    pub region: Option<String>,
    /// A slug.
    pub size: String,
    /// A slug or an id.
    pub image: String,
    /// Ids or fingerprints.
    pub ssh_keys: Vec<String>,
    /// Made where they do not exist.
    pub tags: Vec<String>,
    /// What they boot with.
    pub user_data: Option<String>,
    /// The region's default where it is `None`.
    pub vpc_uuid: Option<String>,
    /// Whether the metrics agent is installed.
    pub monitoring: bool,
    /// Whether they are backed up.
    pub backups: bool,
    /// Whether they have IPv6 addresses.
    pub ipv6: bool,
    /// Whether they have no public address.
    pub private_only: bool,
}

/// What is left to know when all checks have passed.
#[derive(Debug)]
pub(super) struct ValidatedRequest {
    pub(super) size: &'static Size,
    pub(super) region: &'static Region,
    pub(super) image: &'static Image,
}

impl NewDroplets {
    /// The checks, in the order in which the first that fails is reported; the droplet limit is not among them.
    pub(super) fn validate(&self, ssh_keys: &[SshKey], faults: &Faults) -> Result<ValidatedRequest, ApiError> {
        self.check_names()?;
        let size = catalog::size_by_slug(&self.size)
            .ok_or_else(|| invalid("You specified an invalid size for Droplet creation."))?;
        let image = catalog::image_by_slug_or_id(&self.image)
            .ok_or_else(|| invalid("You specified an invalid image for Droplet creation."))?;
        let sold_out = faults.sold_out_sizes.iter().any(|slug| slug == size.slug);
        let region = self.choose_region(size, sold_out)?;
        self.check_ssh_keys(ssh_keys)?;
        if self.user_data.as_ref().is_some_and(|data| data.len() > MAX_BYTES) {
            return Err(invalid("User data may not exceed 64 KiB."));
        }
        if let Some(tag) = self.tags.iter().find(|tag| Tag::parse(tag.as_str()).is_err()) {
            return Err(invalid(&format!("Tag {tag:?} contains invalid characters.")));
        }
        if self.private_only && self.ipv6 {
            return Err(invalid("IPv6 needs public networking."));
        }
        Ok(ValidatedRequest { size, region, image })
    }

    fn check_names(&self) -> Result<(), ApiError> {
        if self.names.is_empty() || self.names.iter().any(String::is_empty) {
            return Err(invalid("Name can't be blank."));
        }
        if self.names.len() > MAX_NAMES {
            return Err(invalid("At most 10 Droplets can be created at once."));
        }
        if self.names.iter().any(|name| DropletName::parse(name.as_str()).is_err()) {
            return Err(invalid("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"));
        }
        Ok(())
    }

    fn check_ssh_keys(&self, known: &[SshKey]) -> Result<(), ApiError> {
        let is_known =
            |key: &String| known.iter().any(|known| *key == known.fingerprint || *key == known.id.to_string());
        let unknown: Vec<&str> = self.ssh_keys.iter().filter(|key| !is_known(key)).map(String::as_str).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(invalid(&format!("{} are invalid key identifiers for Droplet creation.", unknown.join(", "))))
    }

    fn choose_region(&self, size: &Size, sold_out: bool) -> Result<&'static Region, ApiError> {
        let wanted = self.region.as_deref().unwrap_or_default();
        let mut matching: Vec<&'static Region> =
            catalog::REGIONS.iter().filter(|region| region.slug.starts_with(wanted)).collect();
        if matching.is_empty() {
            return Err(invalid("You specified an invalid region for Droplet creation."));
        }
        matching.retain(|region| region.available);
        if matching.is_empty() {
            return Err(ApiError::Unavailable("Region is not available"));
        }
        matching
            .into_iter()
            .find(|region| !sold_out && size.regions.contains(&region.slug))
            .ok_or(ApiError::Unavailable("Size is not available in this region."))
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::Invalid(message.to_owned())
}
