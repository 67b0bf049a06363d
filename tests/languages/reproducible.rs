//! Builds of the same project are byte-identical, independent of the folder.

use std::fs;

use super::workshop::{Toolchains, copy_sources};

fn assert_reproducible(language: &str) {
    let workshop = Toolchains::shared();
    let component = workshop.policy(language);
    let elsewhere = workshop.empty_dir(&format!("elsewhere-{language}")).join("in a folder with another name");
    copy_sources(component.ancestors().nth(2).unwrap(), &elsewhere).unwrap();
    workshop.link_node_modules(&elsewhere);

    let told = workshop.doproxy(&elsewhere, &["plugin", "build", "--json"]);

    assert!(told.contains(r#""reproducible": true"#) && told.contains(r#""up_to_date": false"#), "{told}");
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
