//! A create request, and the checks that the API performs before it accepts one.

use doproxy_core::domain::{DropletName, MAX_BYTES, Tag};

use crate::cloud::catalog::{Image, Region, Size, SshKey};
use crate::cloud::{ApiError, Faults, catalog};

/// Maximum number of names in one request.
const MAX_NAMES: usize = 10;

/// An unvalidated create request.
#[expect(clippy::struct_excessive_bools, reason = "these are the options of the API")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewDroplets {
    /// Names; one droplet is created for each.
    pub names: Vec<String>,
    /// Region slug, or a slug prefix such as `nyc`. `None` allows any region.
    pub region: Option<String>,
    /// Size slug.
    pub size: String,
    /// Image slug or ID.
    pub image: String,
    /// Key IDs or fingerprints.
    pub ssh_keys: Vec<String>,
    /// Tags; missing ones are created.
    pub tags: Vec<String>,
    /// User data.
    pub user_data: Option<String>,
    /// VPC; `None` selects the region's default.
    pub vpc_uuid: Option<String>,
    /// True to install the metrics agent.
    pub monitoring: bool,
    /// True to enable backups.
    pub backups: bool,
    /// True to assign IPv6 addresses.
    pub ipv6: bool,
    /// True to omit public addresses.
    pub private_only: bool,
}

/// The resolved values of a validated request.
#[derive(Debug)]
pub(super) struct ValidatedRequest {
    pub(super) size: &'static Size,
    pub(super) region: &'static Region,
    pub(super) image: &'static Image,
}

impl NewDroplets {
    /// Validates the request and returns the first error in the API's order. The droplet limit is checked separately.
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
