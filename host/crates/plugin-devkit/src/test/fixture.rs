//! Fixtures: YAML files with the input of a plugin and the expected result.

use std::path::{Path, PathBuf};
use std::{fs, io};

use doproxy_core::domain::UserDataRequest;
use serde::{Deserialize, Serialize};

use crate::test::expectation::Expectation;
use crate::test::observation_builder::ObservationFixture;
use crate::test::properties::Property;
use crate::test::values::{Base64Bytes, FixtureDuration};

/// The reason why a fixture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// A file or directory cannot be read.
    #[error("failed to read {}: {source}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a valid fixture.
    #[error("{}: {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The problem; with line and column if known.
        message: String,
    },
}

/// The content of a fixture. Missing fields default to those of an ordinary small fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fixture {
    /// A description for readers.
    pub description: Option<String>,
    /// The plugin's configuration.
    pub config: Option<serde_json::Value>,
    /// The state before the first tick.
    pub state: Option<Base64Bytes>,
    /// The observation of the policy; with `ticks`, the part common to all of them.
    pub observation: Option<ObservationFixture>,
    /// The droplet, for a generator.
    pub request: Option<RequestFixture>,
    /// The expected result.
    pub expect: Option<Expectation>,
    /// A property that must hold for this observation, instead of a specific result.
    pub property: Option<Property>,
    /// Several consecutive ticks: each receives the state returned by the previous one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<TickFixture>,
}

/// One of several ticks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TickFixture {
    /// Time since the previous tick; defaults to one minute.
    pub after: Option<FixtureDuration>,
    /// The differences from the fixture's own observation.
    pub observation: Option<ObservationFixture>,
    /// The expected result.
    pub expect: Option<Expectation>,
}

/// Serializes a fixture, or a part of one, without the fields that have no value.
pub fn to_yaml(part: &impl Serialize) -> Result<String, serde_yaml::Error> {
    fn drop_nulls(value: &mut serde_yaml::Value) {
        match value {
            serde_yaml::Value::Mapping(fields) => {
                fields.retain(|_, value| !value.is_null());
                // The plugin's own JSON is preserved.
                let fields = fields.iter_mut().filter(|(name, _)| *name != "config" && *name != "params");
                fields.for_each(|(_, value)| drop_nulls(value));
            }
            serde_yaml::Value::Sequence(values) => values.iter_mut().for_each(drop_nulls),
            _ => {}
        }
    }
    let mut value = serde_yaml::to_value(part)?;
    drop_nulls(&mut value);
    serde_yaml::to_string(&value)
}

/// The droplet that the user data is generated for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestFixture {
    /// The fleet's name.
    pub fleet_name: String,
    /// The droplet's name.
    pub hostname: String,
    /// The droplet's number in the fleet.
    pub index: u32,
    /// Size slug.
    pub size: String,
    /// Region slug.
    pub region: String,
    /// Image slug.
    pub image: String,
    /// The droplet's tags.
    pub tags: Vec<String>,
    /// Parameters provided by the policy.
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
    /// Returns the configuration as passed to a plugin.
    pub fn config_text(&self) -> String {
        self.config.as_ref().map_or_else(|| "{}".to_owned(), ToString::to_string)
    }
}

/// A fixture and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureFile {
    /// The file.
    pub path: PathBuf,
    /// The name of the file, without its extension.
    pub name: String,
    /// The content.
    pub fixture: Fixture,
}

impl FixtureFile {
    /// Reads a fixture.
    pub fn read(path: &Path) -> Result<Self, FixtureError> {
        let text = fs::read_to_string(path).map_err(|source| FixtureError::Read { path: path.to_owned(), source })?;
        let fixture: Fixture = serde_yaml::from_str(&text)
            .map_err(|error| FixtureError::Invalid { path: path.to_owned(), message: error.to_string() })?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { path: path.to_owned(), name, fixture })
    }

    /// Reads all fixtures of a directory, in order of their names. A missing directory contains none.
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

    /// Returns the directory of the fixture, which relative paths in it refer to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}
