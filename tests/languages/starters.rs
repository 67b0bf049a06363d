//! Every starter, from `plugin new` to a plugin that passes its tests.

use std::fs;
use std::time::Instant;

use super::toolchains::Toolchains;

/// Builds a starter, runs its fixtures and some property test cases.
fn check_starter(language: &str, kind: &str) {
    let toolchains = Toolchains::shared();
    let started = Instant::now();
    let project = match kind {
        "policy" => toolchains.policy(language).ancestors().nth(2).unwrap().to_owned(),
        _ => toolchains.project(&format!("starters-{language}"), "hello", language, kind),
    };

    let output = toolchains
        .doproxy(&project, &["plugin", "test", "--properties", "--cases", "60", "--junit", "build/report.xml"]);

    println!("{language} {kind}: {:.1?} from `plugin new` to\n{output}", started.elapsed());
    assert!(output.ends_with(" passed, 0 failed\n"), "{output}");
    let report = fs::read_to_string(project.join("build/report.xml")).unwrap();
    assert!(report.contains(r#"failures="0""#), "{report}");

    let inspected = toolchains.doproxy(&project, &["plugin", "build", "--json"]);
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["up_to_date"], true, "unchanged since the test");
    assert_eq!(inspected["metadata"]["version"], "0.1.0", "{inspected}");
    assert_eq!(inspected["metadata"]["licenses"], "MIT", "{inspected}");
    // No starter imports anything beyond the contract, in any language.
    let foreign = |import: &serde_json::Value| import["verdict"] != "contract";
    assert!(!inspected["imports"].as_array().unwrap().iter().any(foreign), "{inspected}");
}

macro_rules! starters {
    ($($name:ident: $language:literal $kind:literal,)+) => {
        $(#[test] fn $name() { check_starter($language, $kind); })+
    };
}

starters! {
    a_policy_in_rust: "rust" "policy",
    a_policy_in_python: "python" "policy",
    a_policy_in_javascript: "js" "policy",
    a_policy_in_c: "c" "policy",
    user_data_in_rust: "rust" "user-data",
    user_data_in_python: "python" "user-data",
    user_data_in_javascript: "js" "user-data",
    user_data_in_c: "c" "user-data",
}

#[test]
fn missing_toolchain_error_includes_its_install_command() {
    let toolchains = Toolchains::shared();
    for (language, tool, hint) in [
        ("python", "componentize-py", ".venv/bin/pip install -r requirements.txt"),
        ("js", "@bytecodealliance/componentize-js", "npm ci"),
        ("c", "zig", ".venv/bin/pip install ziglang==0.17.1"),
    ] {
        let folder = toolchains.empty_dir(&format!("bare-{language}"));
        toolchains.doproxy(&folder, &["plugin", "new", "bare", "--lang", language, "--kind", "policy"]);
        // Node is installed, but its package is not.
        let bin = toolchains.empty_dir(&format!("bare-{language}/bin"));
        if language == "js" {
            fs::write(bin.join("node"), "").unwrap();
        }

        let output = toolchains
            .command(env!("CARGO_BIN_EXE_doproxy"), &folder.join("bare"))
            .env("PATH", &bin)
            .args(["plugin", "build"])
            .output()
            .unwrap();

        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            message.contains(&format!("{tool} not found; install it with:")) && message.contains(hint),
            "{message}"
        );
    }
}

#[test]
fn violated_property_is_shrunk_and_saved_as_a_fixture() {
    let toolchains = Toolchains::shared();
    let project = toolchains.project("hasty", "hasty", "c", "policy");
    let source = project.join("policy.c");
    // A bug: it trusts a stale metric.
    let hasty = fs::read_to_string(&source).unwrap().replace("stale = stale || series->stale;", "");
    fs::write(&source, hasty).unwrap();
    fs::remove_file(project.join("fixtures/holds_when_blind.yaml")).unwrap();
    let test = |arguments: &[&str]| {
        let doproxy = env!("CARGO_BIN_EXE_doproxy");
        let output = toolchains.command(doproxy, &project).args(["plugin", "test"]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };

    // One tick of patience, so that a single evaluation is enough.
    fs::write(project.join("with.yaml"), "{ target_per_droplet: 10, patience: 1 }").unwrap();
    let (code, message) = test(&["--properties", "--cases", "300", "--with", "with.yaml"]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("✗ calm-when-blind"), "{message}");

    let kept = fs::read_to_string(project.join("fixtures/found_calm_when_blind.yaml")).unwrap();
    assert!(kept.contains("property: calm-when-blind") && kept.lines().count() < 20, "{kept}");
    let (code, message) = test(&[]);
    assert_eq!(code, Some(1), "{message}");
    assert!(message.contains("✗ found_calm_when_blind"), "{message}");
}
