//! Signatures and trust rules.

use doproxy_plugin_registry::Digest;

use crate::assert_registry_output;
use crate::workspace::{Workspace, component};
use doproxy_test_support::registry::Registry;

/// Returns the rule that trusts a registry's plugins with these keys.
fn trust(registry: &Registry, keys: &str) -> String {
    format!("plugins: {{trust: [{{repository: \"{}/acme/*\", keys: [{keys}]}}]}}\n", registry.address())
}

/// Creates a workspace with a key pair, `plugin.key` and `plugin.pub`.
async fn with_keys() -> Workspace {
    let workspace = Workspace::new();
    workspace.run_ok(&["plugin", "keygen"]).await;
    workspace
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_plugin_is_accepted_and_unsigned_explains_how() {
    let registry = Registry::start().await;
    let workspace = with_keys().await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.configure(&tag, &trust(&registry, "plugin.pub"));
    let pushed = workspace.push("queue.wasm", &tag).await;

    let unsigned = workspace.run_err(2, &["plugin", "pull"]).await;
    let nothing_stored = workspace.stored_files().iter().all(|path| !path.parent().unwrap().ends_with("sha256"));
    let signed = workspace.run_ok(&["plugin", "sign", &pushed, "--key", "plugin.key"]).await;
    let again = workspace.run_ok(&["plugin", "sign", &pushed, "--key", "plugin.key"]).await;
    let pulled = workspace.run_ok(&["plugin", "pull"]).await;
    let verified = workspace.run_ok(&["plugin", "verify", &tag]).await;

    assert_registry_output!(workspace, registry, unsigned, @"error: plugin oci://REGISTRY/acme/queue:1: the plugin is not signed, but plugins.trust requires a signature for REGISTRY/acme/*; to allow it, sign it (`doproxy plugin sign oci://REGISTRY/acme/queue:1@sha256:DIGEST --key FILE`) or set `allow_unsigned: true` in that rule");
    assert!(nothing_stored && !unsigned.contains("pinned oci"));
    assert_registry_output!(workspace, registry, signed + &again, @"
    signed oci://REGISTRY/acme/queue:1@sha256:DIGEST with key SHORT
    oci://REGISTRY/acme/queue:1@sha256:DIGEST is already signed with key SHORT
    ");
    assert_registry_output!(workspace, registry, pulled + &verified, @"
    oci://REGISTRY/acme/queue:1@sha256:DIGEST
      stored  DIR/home/.local/share/doproxy/plugins/sha256/DIGEST
      trust   signed by DIR/plugin.pub, trusted for REGISTRY/acme/*
    oci://REGISTRY/acme/queue:1@sha256:DIGEST
      component  sha256:DIGEST
      trust      signed by DIR/plugin.pub, trusted for REGISTRY/acme/*
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejection_names_the_rule_and_the_remedy() {
    let registry = Registry::start().await;
    let workspace = with_keys().await;
    workspace.run_ok(&["plugin", "keygen", "--out", "other"]).await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "other.key"]).await;
    let refused = async |more: &str| {
        workspace.configure(&tag, more);
        workspace.run_err(2, &["plugin", "inspect", &tag]).await
    };

    let other_key = refused(&trust(&registry, "plugin.pub")).await;
    let no_rule = refused("plugins: {trust: [{repository: registry.example.com/acme/*, keys: [plugin.pub]}]}\n").await;
    let nobody = refused("plugins: {trust: []}\n").await;
    let no_key = refused("plugins: {trust: [{repository: registry.example.com/acme/*}]}\n").await;
    let no_file = refused(&trust(&registry, "missing.pub")).await;
    let private = refused(&trust(&registry, "plugin.key")).await;
    let no_pattern =
        refused("plugins: {trust: [{repository: \"registry.example.com/acme*\", keys: [plugin.pub]}]}\n").await;

    assert_registry_output!(workspace, registry, [other_key, no_rule, nobody, no_key, no_file, private, no_pattern].concat(), @r#"
    error: plugin oci://REGISTRY/acme/queue:1: no valid signature: plugins.trust requires one for REGISTRY/acme/* by DIR/plugin.pub; to allow the plugin, sign it with that key, or add the key of its signer
      signature 1: made with another key, or modified
    error: plugin oci://REGISTRY/acme/queue:1: plugins.trust has no rule for REGISTRY/acme/queue; to allow it, add `- {repository: REGISTRY/acme/queue, keys: [FILE]}` with the key of its signer
    error: plugin oci://REGISTRY/acme/queue:1: plugins.trust has no rule for REGISTRY/acme/queue; to allow it, add `- {repository: REGISTRY/acme/queue, keys: [FILE]}` with the key of its signer
    error: doproxy.yml:3:18: plugins.trust: the rule for registry.example.com/acme/* has no keys and would reject every plugin; list one under `keys` (`doproxy plugin keygen` generates a pair), or set `allow_unsigned: true`
    error: plugin oci://REGISTRY/acme/queue:1: plugins.trust: rule for REGISTRY/acme/*: the key DIR/missing.pub: No such file or directory (os error 2)
    error: plugin oci://REGISTRY/acme/queue:1: plugins.trust: rule for REGISTRY/acme/*: DIR/plugin.key is not a P-256 public key in PEM: it is a private key; use its public key; create a key pair with `doproxy plugin keygen`
    error: doproxy.yml:3:20: plugins.trust[0]: "registry.example.com/acme*" is not a repository pattern; write registry.example.com/acme/queue for one repository, registry.example.com/acme/* for all below, or * for all
    "#);
    workspace
        .configure(&tag, &trust(&registry, "plugin.pub").replace("plugin.pub]", "plugin.pub], allow_unsigned: true"));
    assert!(workspace.run_ok(&["plugin", "inspect", &tag]).await.contains("not signed, which is allowed"));
    let builtin = "plugins: {trust: []}\n";
    workspace.configure("builtin:target-tracking", builtin);
    workspace.run_ok(&["plugin", "inspect", "builtin:target-tracking"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_rotation_never_interrupts_trust() {
    let registry = Registry::start().await;
    let workspace = with_keys().await;
    workspace.run_ok(&["plugin", "keygen", "--out", "next"]).await;
    let tag = registry.oci_reference("acme/queue:1");
    let with = async |keys: &str| {
        workspace.configure(&tag, &trust(&registry, keys));
        workspace.doproxy(&["plugin", "inspect", &tag]).await
    };
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;

    let old = with("plugin.pub").await;
    let both = with("next.pub, plugin.pub").await;
    let too_early = with("next.pub").await;
    workspace.run_ok(&["plugin", "sign", &tag, "--key", "next.key"]).await;
    let new = with("next.pub").await;

    assert!(
        old.stdout.contains("plugin.pub, trusted") && both.stdout.contains("plugin.pub, trusted"),
        "{old:?} {both:?}"
    );
    assert_eq!(too_early.code, 2);
    assert!(new.stdout.contains("next.pub, trusted") && new.stdout.contains("2 signatures"), "{new:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_stored_and_checked_offline() {
    let mut registry = Registry::start().await;
    let workspace = with_keys().await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.configure(&tag, &trust(&registry, "plugin.pub"));
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    workspace.run_ok(&["plugin", "pull"]).await;
    registry.stop().await;

    let verified = workspace.run_ok(&["plugin", "verify", &tag, "--key", "plugin.pub"]).await;
    let file =
        workspace.stored_files().into_iter().find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 8) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let ended = workspace.doproxy(&["plugin", "inspect", &tag]).await;
        assert_ne!(ended.code, 0, "byte {at}: {ended:?}");
    }

    assert!(verified.contains("signed by plugin.pub"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modified_signature_does_not_count() {
    let registry = Registry::start().await;
    let workspace = with_keys().await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.configure(&tag, &trust(&registry, "plugin.pub"));
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    let pushed = Digest::of(registry.manifest("acme/queue", "1").await.as_bytes());
    let signatures = registry.manifest("acme/queue", &format!("sha256-{}.sig", pushed.hex())).await;
    let parsed: serde_json::Value = serde_json::from_str(&signatures).unwrap();
    let payload = registry.blob_path(parsed["layers"][0]["digest"].as_str().unwrap());
    let manifest = registry.blob_path(Digest::of(signatures.as_bytes()).to_string().as_str());

    let mut tried = 0;
    for file in [payload, manifest] {
        let whole = std::fs::read(&file).unwrap();
        for at in
            (0..whole.len()).step_by(if std::env::var_os("DOPROXY_EVERY").is_some() { 1 } else { whole.len() / 12 })
        {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&file, changed).unwrap();
            // Use a new workspace each time, so that nothing is cached.
            let newcomer = Workspace::new();
            newcomer.write("plugin.pub", &std::fs::read(workspace.path("plugin.pub")).unwrap());
            newcomer.configure(&tag, &trust(&registry, "plugin.pub"));
            let ended = newcomer.doproxy(&["plugin", "pull"]).await;
            // Many bytes of the signature list are not part of a signature, such as the size of a configuration.
            if ended.code == 0 {
                assert!(ended.stdout.contains("signed by"), "byte {at} of {}: {ended:?}", file.display());
            } else {
                tried += 1;
            }
        }
        std::fs::write(&file, whole).unwrap();
    }

    assert!(tried > 12, "{tried}");
    workspace.run_ok(&["plugin", "pull"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn modified_component_is_rejected_despite_a_signed_manifest() {
    let registry = Registry::start().await;
    let workspace = with_keys().await;
    let tag = registry.oci_reference("acme/queue:1");
    workspace.configure(&tag, &trust(&registry, "plugin.pub"));
    workspace.run_ok(&["plugin", "push", "queue.wasm", &tag, "--key", "plugin.key"]).await;
    let blob = registry.blob_path(&Digest::of(&component()).to_string());
    let whole = component();

    for at in (0..whole.len()).step_by(whole.len() / 10) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&blob, changed).unwrap();
        let messages = workspace.run_err(1, &["plugin", "pull"]).await;
        assert!(messages.contains("was damaged or tampered with"), "byte {at}: {messages}");
    }
}
