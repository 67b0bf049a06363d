//! Interoperability in both directions: with skopeo, which has its own registry implementation; openssl, with its own
//! ECDSA; the Sigstore project's library, with its own implementation of cosign signatures (`tests/sigstore`); and with
//! cosign 3 bundles, built according to their specifications.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::process::Command;

use crate::workspace::{Workspace, component, digest_of};
use doproxy_test_support::environment::{self, Output};
use doproxy_test_support::registry::{Registry, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Runs a program that must succeed.
async fn run(workspace: &Workspace, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace.path(".")).env("HOME", workspace.path("home"));
    let output =
        command.output().await.unwrap_or_else(|error| panic!("{program}: {error}; see tests/prerequisites.sh"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn plugin_copied_by_skopeo_is_unchanged() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let pushed = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let (from, to) = (registry.oci_reference("acme/queue:1"), registry.oci_reference("mirror/queue:1"));
    let (from, to) = (from.replace("oci://", "docker://"), to.replace("oci://", "docker://"));
    let plain = ["--insecure-policy", "copy", "--src-tls-verify=false"];

    run(
        &workspace,
        "skopeo",
        &[plain.as_slice(), &["--dest-tls-verify=false", "--preserve-digests", &from, &to]].concat(),
    )
    .await;
    run(&workspace, "skopeo", &[plain.as_slice(), &[&from, "dir:copy"]].concat()).await;
    let pulled = workspace.run_ok(&["plugin", "pull", &registry.oci_reference("mirror/queue:1")]).await;

    assert!(pulled.contains(digest_of(&pushed)), "{pulled}");
    let layer = workspace.path("copy").join(digest(&component()).trim_start_matches("sha256:"));
    assert_eq!(std::fs::read(layer).unwrap(), component());
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_verifies_a_stored_signature() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    workspace.run_ok(&["plugin", "keygen"]).await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    let pushed = digest(registry.manifest("acme/queue", "1").await.as_bytes());

    let signatures = registry.manifest("acme/queue", &format!("{}.sig", pushed.replace(':', "-"))).await;
    let layer = &serde_json::from_str::<serde_json::Value>(&signatures).unwrap()["layers"][0];
    let payload = std::fs::read(registry.blob_path(layer["digest"].as_str().unwrap())).unwrap();
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    workspace.write("payload", &payload);
    workspace.write("signature", &BASE64_STANDARD.decode(signature).unwrap());
    let output =
        run(&workspace, "openssl", &["dgst", "-sha256", "-verify", "plugin.pub", "-signature", "signature", "payload"])
            .await;

    assert_eq!(output.trim(), "Verified OK");
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["critical"]["image"]["docker-manifest-digest"], pushed.as_str());
}

/// Runs the wrapper of the Sigstore project's library.
async fn sigstore(workspace: &Workspace, arguments: &[&str]) -> Output {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("sigstore/debug/doproxy-sigstore");
    assert!(program.exists(), "{} is missing; get it with: tests/prerequisites.sh sigstore", program.display());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(workspace.path(".")).env("COSIGN_PASSWORD", "for a key of a test");
    environment::run(&mut command).await
}

fn image(oci: &str) -> &str {
    oci.strip_prefix("oci://").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigstore_verifies_our_signature_until_tampered_with() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    workspace.run_ok(&["plugin", "keygen"]).await;
    workspace.run_ok(&["plugin", "keygen", "--out", "other"]).await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    let pushed = digest(registry.manifest("acme/queue", "1").await.as_bytes());

    let verified = sigstore(&workspace, &["verify", image(&tag), "plugin.pub"]).await;
    let with_another = sigstore(&workspace, &["verify", image(&tag), "other.pub"]).await;
    let name = format!("{}.sig", pushed.replace(':', "-"));
    let manifest = registry.manifest("acme/queue", &name).await;
    let listed: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let signature = listed["layers"][0]["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    let mut changed = BASE64_STANDARD.decode(signature).unwrap();
    *changed.last_mut().unwrap() ^= 1;
    let changed = manifest.replace(signature, &BASE64_STANDARD.encode(changed));
    registry.put_manifest("acme/queue", &name, MANIFEST, &changed).await;
    let tampered = sigstore(&workspace, &["verify", image(&tag), "plugin.pub"]).await;

    assert_eq!((verified.code, verified.stdout), (0, format!("verified {pushed}\n")), "{}", verified.stderr);
    for refused in [with_another, tampered] {
        assert!(refused.code == 1 && refused.stderr.contains("none of 1 signatures is by this key"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigstore_signature_is_accepted_with_its_key_only() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    workspace.run_ok(&["plugin", "keygen"]).await;
    let tag = registry.oci_reference("acme/queue:1");
    let pushed = workspace.push("queue.wasm", &tag).await;
    let trusted = |key: &str| {
        let rule = format!("{{repository: \"{}/acme/*\", keys: [{key}]}}", registry.address());
        workspace.configure(&tag, &format!("plugins: {{trust: [{rule}]}}\n"));
    };
    for arguments in [&["keygen", "cosign"][..], &["sign", image(&tag), "cosign.key"]] {
        let ended = sigstore(&workspace, arguments).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
    }

    let verified = workspace.run_ok(&["plugin", "verify", &pushed, "--key", "cosign.pub"]).await;
    let refused = workspace.run_err(2, &["plugin", "verify", &pushed, "--key", "plugin.pub"]).await;
    trusted("plugin.pub");
    let not_pulled = workspace.run_err(2, &["plugin", "pull"]).await;
    trusted("cosign.pub");
    let pulled = workspace.run_ok(&["plugin", "pull"]).await;
    workspace.run_ok(&["plugin", "sign", &pushed, "--key", "plugin.key"]).await;

    assert!(verified.contains("signed by cosign.pub"), "{verified}");
    for output in [refused, not_pulled] {
        assert!(output.contains("signature 1: made with another key, or modified"), "{output}");
    }
    assert!(pulled.contains("trusted for"), "{pulled}");
    // Both tools now find both signatures.
    for key in ["cosign.pub", "plugin.pub"] {
        workspace.run_ok(&["plugin", "verify", &pushed, "--key", key]).await;
        let ended = sigstore(&workspace, &["verify", image(&tag), key]).await;
        assert_eq!(ended.code, 0, "{key}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cosign_3_bundle_is_accepted() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let tag = registry.oci_reference("acme/queue:1");
    let pushed = workspace.push("queue.wasm", &tag).await;
    run(&workspace, "openssl", &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "cosign.key"]).await;
    run(&workspace, "openssl", &["ec", "-in", "cosign.key", "-pubout", "-out", "cosign.pub"]).await;
    let kind = "application/vnd.in-toto+json";
    let statement = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{}"}},"annotations":{{}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#,
        digest_of(&pushed).trim_start_matches("sha256:")
    );
    workspace.write("signed", format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len()).as_bytes());
    run(&workspace, "openssl", &["dgst", "-sha256", "-sign", "cosign.key", "-out", "signature", "signed"]).await;
    let signature = std::fs::read(workspace.path("signature")).unwrap();
    let bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let bundle = serde_json::json!({
        "mediaType": bundle_type,
        "verificationMaterial": {"publicKey": {"hint": "test"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": BASE64_STANDARD.encode(&statement),
            "payloadType": kind,
            "signatures": [{"sig": BASE64_STANDARD.encode(signature)}],
        },
    });
    attach_referrer(&registry, &pushed, bundle_type, bundle.to_string().as_bytes()).await;

    let verified = workspace.run_ok(&["plugin", "verify", &pushed, "--key", "cosign.pub"]).await;
    workspace.run_ok(&["plugin", "keygen"]).await;
    let refused = workspace.run_err(2, &["plugin", "verify", &pushed, "--key", "plugin.pub"]).await;

    assert!(verified.contains("signed by cosign.pub"), "{verified}");
    assert!(refused.contains("made with another key, or modified"), "{refused}");
}

/// Pushes an artifact that refers to a manifest, and adds it to the list under the fallback tag for registries without
/// a referrers API.
async fn attach_referrer(registry: &Registry, to: &str, kind: &str, content: &[u8]) {
    let empty = "application/vnd.oci.empty.v1+json";
    let config = registry.put_blob("acme/queue", b"{}").await;
    let layer = registry.put_blob("acme/queue", content).await;
    let subject = registry.manifest("acme/queue", digest_of(to)).await;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": empty, "digest": config, "size": 2},
        "layers": [{"mediaType": kind, "digest": layer, "size": content.len()}],
        "subject": {"mediaType": MANIFEST, "digest": digest_of(to), "size": subject.len()},
    })
    .to_string();
    let referrer = registry.put_manifest("acme/queue", "bundle", MANIFEST, &manifest).await;
    let index = "application/vnd.oci.image.index.v1+json";
    let listed = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": index,
        "manifests": [{"mediaType": MANIFEST, "artifactType": kind, "digest": referrer, "size": manifest.len()}],
    });
    registry.put_manifest("acme/queue", &digest_of(to).replace(':', "-"), index, &listed.to_string()).await;
}
