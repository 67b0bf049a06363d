//! The import rule of ARCHITECTURE.md, checked against the manifests of the crates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use regex::Regex;
use toml::Table;

use super::repository;

/// Helps the tests of every layer, and appears only in `[dev-dependencies]`.
const TEST_SUPPORT: &str = "test-support";

/// The command line, the package in `host/`.
const COMMAND_LINE: &str = "doproxy";

/// Dependencies for which ARCHITECTURE.md names the crates that may have them.
const HEAVY: [(&str, &[&str]); 4] = [
    ("wasmtime", &["plugin-host"]),
    ("reqwest", &["digitalocean", "doproxy", "metrics", "plugin-registry"]),
    ("rusqlite", &["decision-log", "inventory-sqlite", "metrics"]),
    ("clap", &["doproxy"]),
];

/// Returns the manifest of each crate of the host, by its short name.
fn manifests() -> BTreeMap<String, Table> {
    let read = |path| fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
    let crates = fs::read_dir(repository("host/crates")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), read(entry.path().join("Cargo.toml")))
    });
    crates.chain([(COMMAND_LINE.to_owned(), read(repository("host/Cargo.toml")))]).collect()
}

/// Returns the names under `[dependencies]`.
fn dependencies(manifest: &Table) -> BTreeSet<String> {
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

/// Reads the layer of each crate from the picture: a crate belongs to the label at its height.
fn layers() -> BTreeMap<String, u32> {
    let picture = fs::read_to_string(repository("docs/images/crates.svg")).unwrap();
    let text = Regex::new(r#"<text x="\d+" y="(\d+)"[^>]*>([^<:]+)"#).unwrap();
    let texts = text.captures_iter(&picture).map(|found| {
        let [height, words] = found.extract().1;
        (height.parse::<i32>().unwrap(), words.to_owned())
    });
    let level = |words: &str| words.strip_prefix('L').and_then(|digits| digits.parse::<u32>().ok());
    let (labels, names): (Vec<_>, Vec<_>) = texts.partition(|(_, words)| level(words).is_some());
    let of = |height: i32| labels.iter().find(|(label, _)| label.abs_diff(height) < 10).and_then(|(_, it)| level(it));
    let is_name = |words: &str| words.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
    let crates = names.into_iter().filter(|(_, words)| is_name(words));
    crates.filter_map(|(height, name)| Some((name, of(height)?))).collect()
}

#[test]
fn picture_shows_every_crate() {
    let expected: BTreeSet<String> = manifests().into_keys().filter(|name| name != TEST_SUPPORT).collect();
    assert_eq!(layers().into_keys().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn crates_depend_on_lower_layers_only() {
    let (layers, manifests) = (layers(), manifests());
    for (name, manifest) in manifests.iter().filter(|(name, _)| *name != TEST_SUPPORT) {
        for dependency in dependencies(manifest) {
            let Some(dependency) = dependency.strip_prefix("doproxy-") else { continue };
            assert_ne!(dependency, TEST_SUPPORT, "{name}");
            // Crates outside host/crates, such as the embedded plugins, have no layer.
            let Some(below) = manifests.contains_key(dependency).then(|| layers[dependency]) else { continue };
            assert!(below < layers[name], "{name} (L{}) depends on {dependency} (L{below})", layers[name]);
        }
    }
}

#[test]
fn heavy_dependencies_appear_where_allowed() {
    let manifests = manifests();
    for (heavy, expected) in HEAVY {
        let having = manifests
            .iter()
            .filter(|(name, manifest)| *name != TEST_SUPPORT && dependencies(manifest).contains(heavy))
            .map(|(name, _)| name.as_str());
        assert_eq!(having.collect::<Vec<_>>(), expected, "{heavy}");
    }
}

#[test]
fn architecture_describes_every_crate() {
    let page = fs::read_to_string(repository("docs/explanation/architecture.md")).unwrap();
    let row = Regex::new(r"(?m)^\| `([a-z-]+)` \|").unwrap();
    let described: BTreeSet<&str> = row.captures_iter(&page).map(|found| found.extract::<1>().1[0]).collect();
    let manifests = manifests();
    let expected = manifests.keys().map(String::as_str).filter(|name| ![TEST_SUPPORT, COMMAND_LINE].contains(name));
    assert_eq!(described, expected.collect());
}
