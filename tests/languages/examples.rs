//! The example plugins that are not starters.

use std::path::Path;

use super::toolchains::{Toolchains, copy_sources};

#[test]
fn business_hours_passes_its_tests() {
    let toolchains = Toolchains::shared();
    let project = toolchains.empty_dir("business-hours").join("business-hours");
    copy_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/business-hours"), &project).unwrap();

    let output = toolchains.doproxy(&project, &["plugin", "test", "--properties", "--cases", "500"]);

    assert!(output.ends_with(" passed, 0 failed\n"), "{output}");
}
