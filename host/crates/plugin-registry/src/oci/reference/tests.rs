use proptest::prelude::*;

use super::*;
use crate::plugin_ref::Reference;

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn reference_round_trips() {
    for text in [
        "oci://registry.example.com/acme/queue:1.2".to_owned(),
        "oci://localhost/queue:1".to_owned(),
        "oci://127.0.0.1:5000/a/b__c/d-e--f.g:v1.2-rc_3".to_owned(),
        "oci://[::1]:5000/queue:1".to_owned(),
        "oci://registry:5000/queue:1".to_owned(),
        format!("oci://registry.example.com/acme/queue@{DIGEST}"),
        format!("oci://registry.example.com/acme/queue:1.2@{DIGEST}"),
    ] {
        assert_eq!(text.parse::<Reference>().map(|reference| reference.to_string()).as_ref(), Ok(&text));
    }
}

#[test]
fn each_invalid_part_is_reported() {
    let refused: Vec<String> = [
        "registry.example.com",
        "acme/queue:1",
        "registry.example.com/:1",
        "REGISTRY.example.com/acme/queue:1",
        "registry.example.com:0/acme/queue:1",
        "user@registry.example.com/acme/queue:1",
        "127.1/queue:1",
        "registry.example.com/Acme/queue:1",
        "registry.example.com/acme//queue:1",
        "registry.example.com/acme/que..ue:1",
        "registry.example.com/acme/../queue:1",
        "registry.example.com/acme/queue",
        "registry.example.com/acme/queue:",
        "registry.example.com/acme/queue:-1",
        "registry.example.com/acme/queue:1?x=y",
        "registry.example.com/acme/queue:1@sha256:12",
        "registry.example.com/acme/queue@sha512:12",
    ]
    .iter()
    .map(|text| format!("{text}\n  {}", OciReference::parse(text).unwrap_err()))
    .collect();

    insta::assert_snapshot!(refused.join("\n"), @r#"
        registry.example.com
          no repository; write REGISTRY/REPOSITORY
        acme/queue:1
          "acme" is not a registry; put its host name first, such as registry.example.com/acme/…
        registry.example.com/:1
          no repository; write REGISTRY/REPOSITORY
        REGISTRY.example.com/acme/queue:1
          the registry "REGISTRY.example.com" is not a lower-case host name with an optional port
        registry.example.com:0/acme/queue:1
          the registry "registry.example.com:0" is not a lower-case host name with an optional port
        user@registry.example.com/acme/queue:1
          the registry "user@registry.example.com" is not a lower-case host name with an optional port
        127.1/queue:1
          the registry "127.1" is not a lower-case host name with an optional port
        registry.example.com/Acme/queue:1
          the repository "Acme/queue" is invalid; use lower-case letters and digits, with single `.` or `_`, `__` or `-` between them, and `/` between components
        registry.example.com/acme//queue:1
          the repository "acme//queue" is invalid; use lower-case letters and digits, with single `.` or `_`, `__` or `-` between them, and `/` between components
        registry.example.com/acme/que..ue:1
          the repository "acme/que..ue" is invalid; use lower-case letters and digits, with single `.` or `_`, `__` or `-` between them, and `/` between components
        registry.example.com/acme/../queue:1
          the repository "acme/../queue" is invalid; use lower-case letters and digits, with single `.` or `_`, `__` or `-` between them, and `/` between components
        registry.example.com/acme/queue
          no tag or digest; there is no default tag
        registry.example.com/acme/queue:
          the tag "" is invalid; use at most 128 letters, digits, `_`, `.` and `-` (the latter two not first)
        registry.example.com/acme/queue:-1
          the tag "-1" is invalid; use at most 128 letters, digits, `_`, `.` and `-` (the latter two not first)
        registry.example.com/acme/queue:1?x=y
          the tag "1?x=y" is invalid; use at most 128 letters, digits, `_`, `.` and `-` (the latter two not first)
        registry.example.com/acme/queue:1@sha256:12
          "sha256:12" is not a digest; write sha256: followed by 64 lower-case hexadecimal digits
        registry.example.com/acme/queue@sha512:12
          "sha512:12" is not a digest; write sha256: followed by 64 lower-case hexadecimal digits
        "#);
}

#[test]
fn loopback_hosts_are_recognized() {
    for (registry, is_own) in [
        ("localhost:5000", true),
        ("127.9.9.9:5000", true),
        ("[::1]", true),
        ("registry.example.com", false),
        ("127.0.0.1.example.com", false),
        ("localhost.example.com:5000", false),
        ("10.0.0.1:5000", false),
    ] {
        let reference = OciReference::parse(&format!("{registry}/queue:1")).unwrap();
        assert_eq!(reference.is_loopback(), is_own, "{registry}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_round_trips_or_is_rejected(text in "[a-zA-Z0-9:/@._\\[\\]%é -]{0,60}") {
        if let Ok(reference) = OciReference::parse(&text) {
            prop_assert_eq!(reference.to_string(), format!("oci://{text}"));
            let url = url::Url::parse(&format!("https://{}/v2/{}/manifests/x", reference.registry(), reference.repository())).unwrap();
            prop_assert_eq!(url.path(), format!("/v2/{}/manifests/x", reference.repository()));
            prop_assert!(url.username().is_empty() && url.query().is_none());
        }
    }
}
