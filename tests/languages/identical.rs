//! The same policy in four languages makes the same decisions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doproxy_plugin_devkit::observations;
use doproxy_plugin_host::{Limits, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;

use super::toolchains::{LANGUAGES, Toolchains};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/policies")
}

/// Returns the files of a project by name, without build output and dependencies.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_owned();
            if path.is_dir()
                && !["build", "target", "node_modules", "__pycache__"].iter().any(|skipped| name == *skipped)
            {
                collect(root, &path, found);
            } else if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

#[tokio::test]
async fn four_languages_make_identical_decisions() {
    let toolchains = Toolchains::shared();
    let components = LANGUAGES.map(|language| toolchains.policy(language));
    let host = PluginHost::new(PluginSettings {
        limits: Limits { call_timeout: Duration::from_secs(10), ..Limits::default() },
        cache_dir: Some(toolchains.cache_dir()),
        ..PluginSettings::default()
    })
    .unwrap();
    let mut policies = Vec::new();
    for component in components {
        policies.push(host.policy(&Reference::File(component)).await.unwrap());
    }
    let config = serde_json::json!({ "metric": "custom.queue", "target_per_droplet": 12.5, "patience": 2 });
    let text = config.to_string();
    let mut taken = vec![Duration::ZERO; LANGUAGES.len()];

    let mut state = Vec::new();
    let mut outcomes = BTreeMap::new();
    for (number, fixture) in observations(policies[0].manifest(), &config, 7, 200).into_iter().enumerate() {
        let observation = fixture.observation(Path::new(".")).unwrap();
        let mut decisions = Vec::new();
        for (policy, taken) in policies.iter().zip(&mut taken) {
            let started = Instant::now();
            decisions.push(policy.decide(&text, &observation, &state).await.unwrap().value);
            *taken += started.elapsed();
        }
        for (language, decision) in LANGUAGES.iter().zip(&decisions).skip(1) {
            assert_eq!(decision, &decisions[0], "situation {number}: {language}, and {}: {fixture:#?}", LANGUAGES[0]);
        }
        state.clone_from(&decisions[0].state);
        let kind = std::mem::discriminant(&decisions[0].outcome);
        *outcomes.entry(format!("{kind:?}")).or_insert(0) += 1;
    }

    for (language, taken) in LANGUAGES.iter().zip(taken) {
        println!("{language}: {:.0?} per decision", taken / 200);
    }
    // Both holding and scaling occurred many times.
    assert!(outcomes.len() == 2 && outcomes.values().all(|count| *count > 20), "{outcomes:?}");
}

#[test]
fn examples_match_the_starters() {
    for language in LANGUAGES {
        let toolchains = Toolchains::shared();
        let folder = toolchains.empty_dir(&format!("written-{language}"));
        toolchains.doproxy(&folder, &["plugin", "new", "per-droplet", "--lang", language, "--kind", "policy"]);

        let (written, example) = (files(&folder.join("per-droplet")), files(&examples().join(language)));

        let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&written), names(&example), "{language}; regenerate it with `doproxy plugin new`");
        for (name, text) in &written {
            assert!(example[name] == *text, "examples/policies/{language}/{} is not the starter's", name.display());
        }
    }
}
