//! Runs every shell block of the plugin author's guide in order, unmodified.

use std::fs;
use std::path::Path;

use super::toolchains::{Toolchains, copy_sources, stdout_of};
use doproxy_test_support::registry::Registry;

fn example(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

/// Returns the shell blocks of a Markdown text.
fn shell(markdown: &str) -> Vec<&str> {
    markdown.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn guide_works_as_written() {
    let guide = fs::read_to_string(example("README.md")).unwrap();
    let blocks = shell(&guide);
    assert!(blocks.len() >= 5, "{blocks:?}");
    let registry = Registry::start().await;
    let toolchains = Toolchains::shared();
    let folder = toolchains.empty_dir("guide");

    let script = format!("set -eu\n{}", blocks.join("\n"));
    let mut bash = toolchains.command("bash", &folder);
    bash.args(["-c", &script]).env("REGISTRY", registry.address()).env("XDG_DATA_HOME", folder.join("data"));
    let output = bash.output().unwrap();

    let message = stdout_of("the guide", &output);
    assert!(message.contains("0 failed"), "{message}");
    assert!(message.contains("another-team/release.pub, trusted for"), "{message}");
    assert!(message.contains(&format!("\"oci://{}/policies/calm:1.0.0\": sha256:", registry.address())), "{message}");
    assert!(folder.join("calm/build/calm.wasm").is_file());
}

#[test]
fn business_hours_example_passes_its_tests() {
    let toolchains = Toolchains::shared();
    let project = toolchains.empty_dir("business-hours").join("business-hours");
    copy_sources(&example("business-hours"), &project).unwrap();

    let output = toolchains.doproxy(&project, &["plugin", "test", "--properties", "--cases", "500"]);

    assert!(output.ends_with(" passed, 0 failed\n"), "{output}");
}
