//! Builds of the same project are byte-identical, independent of the folder.

use std::fs;

use super::toolchains::{Toolchains, copy_sources};

fn assert_reproducible(language: &str) {
    let toolchains = Toolchains::shared();
    let component = toolchains.policy(language);
    let elsewhere = toolchains.empty_dir(&format!("elsewhere-{language}")).join("in a folder with another name");
    copy_sources(component.ancestors().nth(2).unwrap(), &elsewhere).unwrap();
    toolchains.link_node_modules(&elsewhere);

    let output = toolchains.doproxy(&elsewhere, &["plugin", "build", "--json"]);

    assert!(output.contains(r#""reproducible": true"#) && output.contains(r#""up_to_date": false"#), "{output}");
    let (one, other) = (fs::read(&component).unwrap(), fs::read(elsewhere.join("build/per-droplet.wasm")).unwrap());
    assert!(one == other, "{} bytes, but {}", one.len(), other.len());
}

#[test]
fn rust_build_is_reproducible() {
    assert_reproducible("rust");
}

#[test]
fn c_build_is_reproducible() {
    assert_reproducible("c");
}

#[test]
fn javascript_build_is_reproducible() {
    assert_reproducible("js");
}
