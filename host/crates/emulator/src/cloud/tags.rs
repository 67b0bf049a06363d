//! Tags of droplets. A tag keeps the letter case of its first use.

use doproxy_core::domain::{DropletId, Tag, Timestamp};

use crate::cloud::{ApiError, CloudState};

/// A tag and the droplets that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSummary {
    /// Name.
    pub name: String,
    /// Number of droplets with the tag.
    pub droplets: usize,
    /// The newest of them.
    pub last: Option<DropletId>,
}

impl CloudState {
    /// Creates a tag if it does not exist yet.
    pub fn create_tag(&mut self, now: Timestamp, name: &str) -> Result<TagSummary, ApiError> {
        if Tag::parse(name).is_err() {
            return Err(ApiError::InvalidTag(name.to_owned()));
        }
        let name = self.ensure_tag(name);
        self.touch();
        self.tag(now, &name)
    }

    /// Returns the tag with this name.
    pub fn tag(&self, now: Timestamp, name: &str) -> Result<TagSummary, ApiError> {
        let name = self.canonical_tag(name)?;
        let bearers = || self.persisted.droplets.values().filter(|one| one.exists_at(now) && one.has_tag(&name));
        Ok(TagSummary { droplets: bearers().count(), last: bearers().map(|one| one.id).max(), name: name.clone() })
    }

    /// Returns all tags, ordered by name.
    pub fn tags(&self, now: Timestamp) -> Vec<TagSummary> {
        self.persisted.tags.values().filter_map(|name| self.tag(now, name).ok()).collect()
    }

    /// Deletes a tag; the droplets remain.
    pub fn delete_tag(&mut self, name: &str) -> Result<(), ApiError> {
        let name = self.canonical_tag(name)?;
        for droplet in self.persisted.droplets.values_mut() {
            droplet.tags.retain(|own| *own != name);
        }
        self.persisted.tags.remove(&name.to_ascii_lowercase());
        self.touch();
        Ok(())
    }

    /// Adds a tag to all of the droplets or, on error, to none.
    pub fn tag_droplets(&mut self, now: Timestamp, name: &str, ids: &[DropletId]) -> Result<(), ApiError> {
        self.change_tag(now, name, ids, |tags, name| {
            if !tags.contains(&name) {
                tags.push(name);
            }
        })
    }

    /// Removes a tag from all of the droplets or, on error, from none.
    pub fn untag_droplets(&mut self, now: Timestamp, name: &str, ids: &[DropletId]) -> Result<(), ApiError> {
        self.change_tag(now, name, ids, |tags, name| tags.retain(|own| *own != name))
    }

    fn change_tag(
        &mut self,
        now: Timestamp,
        name: &str,
        ids: &[DropletId],
        change: impl Fn(&mut Vec<String>, String),
    ) -> Result<(), ApiError> {
        let name = self.canonical_tag(name)?;
        for id in ids {
            self.live_droplet(now, *id)?;
        }
        for id in ids {
            if let Some(droplet) = self.persisted.droplets.get_mut(id) {
                change(&mut droplet.tags, name.clone());
            }
        }
        self.touch();
        Ok(())
    }

    /// Returns the tag's name in its canonical letter case, creating the tag if necessary. The caller has validated the
    /// name.
    pub(super) fn ensure_tag(&mut self, name: &str) -> String {
        self.persisted.tags.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_owned()).clone()
    }

    fn canonical_tag(&self, name: &str) -> Result<String, ApiError> {
        self.persisted.tags.get(&name.to_ascii_lowercase()).cloned().ok_or(ApiError::NotFound)
    }
}
