use super::*;
use crate::signatures::PrivateKey;

fn plugin() -> OciReference {
    "oci://registry.example.com/acme/queue:1".parse().unwrap()
}

fn manifest() -> Digest {
    Digest::of(b"manifest")
}

fn rule(repository: &str, keys: &[&PrivateKey], allow_unsigned: bool) -> Rule {
    let keys = keys.iter().map(|key| KeySource::Pem(key.public().to_pem())).collect();
    Rule { repository: repository.parse().unwrap(), keys, allow_unsigned }
}

fn signature(key: &PrivateKey) -> Signature {
    Signature::new("registry.example.com/acme/queue", manifest(), key)
}

#[test]
fn pattern_matches_whole_path_components() {
    for (pattern, matches, does_not) in [
        ("registry.example.com/*", "registry.example.com/acme/queue", "registry.example.com.evil.example/acme/queue"),
        ("registry.example.com/acme/*", "registry.example.com/acme/queue", "registry.example.com/acme-evil/queue"),
        ("registry.example.com/acme/queue", "registry.example.com/acme/queue", "registry.example.com/acme/queue/x"),
        ("127.0.0.1:5000/*", "127.0.0.1:5000/a/b", "127.0.0.1:50001/a"),
    ] {
        let pattern: RepositoryPattern = pattern.parse().unwrap();
        assert!(pattern.matches(matches) && !pattern.matches(does_not), "{pattern}");
    }
    assert!(
        RepositoryPattern::any().matches("registry.example.com/acme/queue")
            && "*".parse() == Ok(RepositoryPattern::any())
    );
    for none in [
        "",
        "/*",
        "registry.example.com",
        "registry.example.com/acme*",
        "*/queue",
        "registry.example.com/*/queue",
        "registry.example.com/acme/queue:1",
        "oci://registry.example.com/*",
    ] {
        assert_eq!(none.parse::<RepositoryPattern>(), Err(InvalidRepositoryPattern(none.to_owned())));
    }
}

#[test]
fn any_key_suffices_for_key_rotation() {
    let (old, new) = (PrivateKey::generate(), PrivateKey::generate());
    let rules = [rule("registry.example.com/acme/*", &[&old, &new], false)];

    for key in [&old, &new] {
        let trusted = evaluate(Some(&rules), &plugin(), manifest(), &[signature(key)]).unwrap();
        assert_eq!(
            trusted.to_string(),
            format!("signed by the key {}, trusted for registry.example.com/acme/*", key.public().fingerprint())
        );
    }
}

#[test]
fn first_matching_rule_applies() {
    let (ours, theirs) = (PrivateKey::generate(), PrivateKey::generate());
    let rules = [rule("registry.example.com/acme/queue", &[&ours], false), rule("*", &[&theirs], true)];

    assert!(evaluate(Some(&rules), &plugin(), manifest(), &[signature(&theirs)]).is_err());
    let elsewhere = "oci://quay.example.com/other/thing:1".parse().unwrap();
    let trusted = evaluate(Some(&rules), &elsewhere, manifest(), &[]).unwrap();
    assert_eq!(trusted, TrustDecision::Unsigned { rule: "*".to_owned() });
    assert_eq!(evaluate(None, &plugin(), manifest(), &[]).unwrap(), TrustDecision::NotConfigured);
}

#[test]
fn error_names_rule_and_remedy() {
    let (ours, theirs) = (PrivateKey::generate(), PrivateKey::generate());
    let rules = [rule("registry.example.com/acme/*", &[&ours], false)];
    let elsewhere = Signature::new("registry.example.com/acme/queue", Digest::of(b"other"), &ours);
    let missing = Rule { keys: vec![KeySource::File("/nowhere/release.pub".into())], ..rules[0].clone() };
    let messages: Vec<String> = [
        evaluate(Some(&[]), &plugin(), manifest(), &[]),
        evaluate(Some(&rules), &plugin(), manifest(), &[]),
        evaluate(Some(&rules), &plugin(), manifest(), &[signature(&theirs), elsewhere]),
        evaluate(Some(&[missing]), &plugin(), manifest(), &[]),
    ]
    .into_iter()
    .map(|judged| judged.unwrap_err().to_string())
    .collect();

    let messages = messages.join("\n").replace(&ours.public().fingerprint(), "OURS");
    insta::assert_snapshot!(messages, @"
        plugins.trust has no rule for registry.example.com/acme/queue; to allow it, add `- {repository: registry.example.com/acme/queue, keys: [FILE]}` with the key of its signer
        the plugin is not signed, but plugins.trust requires a signature for registry.example.com/acme/*; to allow it, sign it (`doproxy plugin sign oci://registry.example.com/acme/queue:1@sha256:05b3abf2579a5eb66403cd78be557fd860633a1fe2103c7642030defe32c657f --key FILE`) or set `allow_unsigned: true` in that rule
        no valid signature: plugins.trust requires one for registry.example.com/acme/* by the key OURS; to allow the plugin, sign it with that key, or add the key of its signer
          signature 1: made with another key, or modified
          signature 2: made for sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa instead of this plugin
        plugins.trust: rule for registry.example.com/acme/*: the key /nowhere/release.pub: No such file or directory (os error 2)
        ");
}
