use insta::assert_snapshot;

use super::*;

fn read(file: &str, text: &str) -> Result<Project, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(file), text).unwrap();
    Project::read(folder.path())
        .map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "HERE"))
}

#[test]
fn manifests_of_all_languages_are_equivalent() {
    for (file, text) in [
        (
            "Cargo.toml",
            "[package]\nname = 'calm'\nversion = '1.2.3'\nauthors = ['Ada <ada@example.com>']\nlicense = 'MIT'\n[package.metadata.doproxy]\nkind = 'policy'\n",
        ),
        (
            "pyproject.toml",
            "[project]\nname = 'calm'\nversion = '1.2.3'\nauthors = [{ name = 'Ada', email = 'ada@example.com' }]\nlicense = 'MIT'\n[tool.doproxy]\nkind = 'policy'\nmodule = 'policy'\n",
        ),
        (
            "package.json",
            r#"{"name": "@team/calm", "version": "1.2.3", "author": "Ada <ada@example.com>", "license": "MIT", "main": "policy.js", "doproxy": {"kind": "policy"}}"#,
        ),
        (
            "plugin.toml",
            "[plugin]\nname = 'calm'\nversion = '1.2.3'\nauthors = ['Ada <ada@example.com>']\nlicense = 'MIT'\nkind = 'policy'\n",
        ),
    ] {
        let project = read(file, text).unwrap();

        assert_eq!(project.language.manifest(), file);
        assert_eq!(project.kind, PluginKind::ScalingPolicy);
        let wanted = PackageMetadata {
            name: "calm".to_owned(),
            version: "1.2.3".to_owned(),
            description: None,
            authors: vec!["Ada <ada@example.com>".to_owned()],
            license: Some("MIT".to_owned()),
        };
        assert_eq!(project.metadata, wanted, "{file}");
    }
}

#[test]
fn crate_inherits_workspace_fields() {
    let folder = tempfile::tempdir().unwrap();
    let member = folder.path().join("calm");
    fs::create_dir(&member).unwrap();
    let workspace = "[workspace]\nmembers = ['calm']\n[workspace.package]\nversion = '1.2.3'\nlicense = 'MIT'\n";
    fs::write(folder.path().join("Cargo.toml"), workspace).unwrap();
    let crate_with = |fields: &str| {
        let kind = "[package.metadata.doproxy]\nkind = 'policy'\n";
        fs::write(member.join("Cargo.toml"), format!("[package]\nname = 'calm'\n{fields}{kind}")).unwrap();
        Project::read(&member).map_err(|error| error.to_string().replace(&member.display().to_string(), "HERE"))
    };

    let about = crate_with("version.workspace = true\nlicense = { workspace = true }\n").unwrap().metadata;
    let missing = crate_with("authors.workspace = true\n").unwrap_err();

    assert_eq!((about.version.as_str(), about.license.as_deref()), ("1.2.3", Some("MIT")));
    assert_snapshot!(missing, @"HERE/Cargo.toml: authors.workspace is true, but no Cargo.toml in a parent directory sets authors in [workspace.package]");
}

#[test]
fn incomplete_manifest_is_reported_with_remedy() {
    assert_snapshot!(read("Cargo.toml", "[package]\nname = 'calm'\n").unwrap_err(), @r#"HERE/Cargo.toml: missing kind of plugin; add [package.metadata.doproxy] with kind = "policy""#);
    assert_snapshot!(read("notes.txt", "").unwrap_err(), @"HERE is not a plugin project: no Cargo.toml, pyproject.toml, package.json or plugin.toml found; create one with `doproxy plugin new NAME --lang rust --kind policy`");
    assert_snapshot!(read("plugin.toml", "[plugin]\nname = '../calm'\nversion = '1'\nkind = 'policy'\n").unwrap_err(), @r#"HERE/plugin.toml: the name "../calm" may contain only letters, digits, `-` and `_`"#);
}
