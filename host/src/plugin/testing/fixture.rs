//! A fixture: one YAML file with what goes into a plugin and what is to come out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::expectation::Expectation;
use super::observation_builder::ObservationFixture;
use super::properties::Property;
use super::values::{Base64Bytes, FixtureDuration};
use crate::model::UserDataRequest;

/// Why fixtures cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no fixture.
    #[error("{}: {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; with line and column where they are known.
        message: String,
    },
}

/// What a fixture says. What is left out is as in an ordinary small fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fixture {
    /// What it shows, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The plugin's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
    /// The state before the first tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Base64Bytes>,
    /// What the policy sees; with `ticks`, what of it stays the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<ObservationFixture>,
    /// For a generator: the droplet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestFixture>,
    /// What is to come out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// A rule that is to hold in this situation, in place of one answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<Property>,
    /// Several ticks, one after the other: each gets the state that the one before gave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<TickFixture>,
}

/// One tick of several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TickFixture {
    /// The time since the tick before; a minute where it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<FixtureDuration>,
    /// What differs from the fixture's own observation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<ObservationFixture>,
    /// What is to come out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// The droplet that user data is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestFixture {
    /// The fleet.
    pub fleet_name: String,
    /// Its name.
    pub hostname: String,
    /// Its number in the fleet.
    pub index: u32,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug.
    pub image: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// What the policy gave along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Value>,
}

impl Default for RequestFixture {
    fn default() -> Self {
        Self {
            fleet_name: "www".to_owned(),
            hostname: "web-7".to_owned(),
            index: 7,
            size: "s-1vcpu-1gb".to_owned(),
            region: "nyc3".to_owned(),
            image: "ubuntu-24-04-x64".to_owned(),
            tags: vec!["doproxy:www".to_owned()],
            params: None,
        }
    }
}

impl From<&RequestFixture> for UserDataRequest {
    fn from(text: &RequestFixture) -> Self {
        Self {
            fleet_name: text.fleet_name.clone(),
            hostname: text.hostname.clone(),
            index: text.index,
            size: text.size.clone(),
            region: text.region.clone(),
            image: text.image.clone(),
            tags: text.tags.clone(),
            params: text.params.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}

impl Fixture {
    /// The configuration as a plugin gets it.
    pub fn config_text(&self) -> String {
        self.config.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
    }
}

/// A fixture and where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureFile {
    /// The file.
    pub path: PathBuf,
    /// The name of the file, without its ending.
    pub name: String,
    /// What it says.
    pub fixture: Fixture,
}

impl FixtureFile {
    /// Reads one.
    pub fn read(path: &Path) -> Result<Self, FixtureError> {
        let text = fs::read_to_string(path).map_err(|source| FixtureError::Read { path: path.to_owned(), source })?;
        let fixture: Fixture = serde_yaml::from_str(&text)
            .map_err(|error| FixtureError::Invalid { path: path.to_owned(), message: error.to_string() })?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: path.to_owned(), name, fixture })
    }

    /// Reads all of a folder, in the order of their names. A folder that is not there has none.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, FixtureError> {
        let unreadable = |source| FixtureError::Read { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The folder that it lies in, where files lie that it names.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}
