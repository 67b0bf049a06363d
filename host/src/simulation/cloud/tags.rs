//! Tags: names that keep the capitals of their first use, on droplets only.

use super::{ApiError, CloudState};
use crate::model::{DropletId, Tag, Timestamp};

/// A tag, and what bears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSummary {
    /// Its name.
    pub name: String,
    /// How many droplets bear it.
    pub droplets: usize,
    /// The youngest of them.
    pub last: Option<DropletId>,
}

impl CloudState {
    /// Makes a tag, where there is none of that name yet.
    pub fn create_tag(&mut self, now: Timestamp, name: &str) -> Result<TagSummary, ApiError> {
        if Tag::parse(name).is_err() {
            return Err(ApiError::InvalidTag(name.to_owned()));
        }
        let name = self.ensure_tag(name);
        self.touch();
        self.tag(now, &name)
    }

    /// One tag.
    pub fn tag(&self, now: Timestamp, name: &str) -> Result<TagSummary, ApiError> {
        let name = self.canonical_tag(name)?;
        let bearers = || self.persisted.droplets.values().filter(|one| one.exists_at(now) && one.has_tag(&name));
        Ok(TagSummary { droplets: bearers().count(), last: bearers().map(|one| one.id).max(), name: name.clone() })
    }

    /// All tags, by name.
    pub fn tags(&self, now: Timestamp) -> Vec<TagSummary> {
        self.persisted.tags.values().filter_map(|name| self.tag(now, name).ok()).collect()
    }

    /// Deletes a tag; the droplets stay.
    pub fn delete_tag(&mut self, name: &str) -> Result<(), ApiError> {
        let name = self.canonical_tag(name)?;
        for droplet in self.persisted.droplets.values_mut() {
            droplet.tags.retain(|own| *own != name);
        }
        self.persisted.tags.remove(&name.to_ascii_lowercase());
        self.touch();
        Ok(())
    }

    /// Puts a tag on droplets, all of them or none.
    pub fn tag_droplets(&mut self, now: Timestamp, name: &str, ids: &[DropletId]) -> Result<(), ApiError> {
        self.change_tag(now, name, ids, |tags, name| {
            if !tags.contains(&name) {
                tags.push(name);
            }
        })
    }

    /// Takes a tag off droplets, all of them or none.
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

    /// The name with the capitals that it has, made where it does not exist. The name has been checked.
    pub(super) fn ensure_tag(&mut self, name: &str) -> String {
        self.persisted.tags.entry(name.to_ascii_lowercase()).or_insert_with(|| name.to_owned()).clone()
    }

    fn canonical_tag(&self, name: &str) -> Result<String, ApiError> {
        self.persisted.tags.get(&name.to_ascii_lowercase()).cloned().ok_or(ApiError::NotFound)
    }
}
