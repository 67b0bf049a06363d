use strum::VariantArray as _;

use super::*;
use crate::build::Project;

#[test]
fn starter_is_a_project_of_its_language_and_kind() {
    let folder = tempfile::tempdir().unwrap();
    for language in Language::VARIANTS.iter().copied() {
        for kind in [Kind::ScalingPolicy, Kind::UserDataGenerator] {
            let directory = folder.path().join(format!("{language}-{kind}"));

            let files = scaffold(&directory, "calm-fleet", language, kind).unwrap();
            let project = Project::read(&directory).unwrap();

            assert_eq!((project.language, project.kind), (language, kind));
            assert_eq!((project.metadata.name.as_str(), project.metadata.version.as_str()), ("calm-fleet", "0.1.0"));
            assert!(files.contains(&PathBuf::from("wit/worlds.wit")));
            for file in files {
                let text = fs::read_to_string(directory.join(&file)).unwrap();
                assert!(!text.contains("{{name"), "{language}: {} has a placeholder", file.display());
            }
        }
    }
}

#[test]
fn c_bindings_match_the_bundled_contract() {
    for (kind, export) in [(Kind::ScalingPolicy, "policy@0.1.0#decide"), (Kind::UserDataGenerator, "generate")] {
        let [_, (_, source), (name, header)] = generated_bindings(Language::C, kind) else { panic!("three files") };

        assert!(source.contains(export) && source.contains("doproxy:plugin/log@0.1.0"), "{source}");
        assert!(header.contains(&kind.world().replace('-', "_")), "{name}: {header}");
    }
}

#[test]
fn existing_files_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();

    let error = scaffold(folder.path(), "calm", Language::C, Kind::ScalingPolicy).unwrap_err();

    assert!(error.to_string().ends_with("already exists; nothing was written"), "{error}");
    assert!(matches!(
        scaffold(&folder.path().join("x"), "../x", Language::C, Kind::ScalingPolicy),
        Err(ScaffoldError::Name(_))
    ));
}
