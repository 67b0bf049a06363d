use super::*;

#[test]
fn reference_round_trips() {
    for text in ["builtin:target-tracking", "file:/opt/policy.wasm", "file:my policy.wasm"] {
        assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
    }
}

#[test]
fn invalid_reference_has_suggestion() {
    for (text, hint) in [
        ("target-tracking", "write builtin:target-tracking"),
        ("./policy.wasm", "write file:./policy.wasm"),
        ("policy", "write builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG"),
        ("builtin:", "write builtin:NAME, file:PATH or oci://REGISTRY/REPOSITORY:TAG"),
        ("oci:registry.example.com/me/policy", "write oci://registry.example.com/me/policy:TAG"),
        ("docker://registry.example.com/me/policy:1", "write oci://registry.example.com/me/policy:1"),
        ("registry.example.com/me/policy:1", "write oci://registry.example.com/me/policy:1"),
        (
            "oci://registry.example.com/me/policy",
            "there is no default tag; write oci://REGISTRY/REPOSITORY:TAG, or …@sha256:DIGEST",
        ),
    ] {
        let error = text.parse::<Reference>().unwrap_err().to_string();

        assert!(error.ends_with(hint), "{error}");
    }
}
