//! Push, pull, the local store, and the lock file.

use std::os::unix::fs::PermissionsExt as _;

use crate::assert_registry_output;
use crate::workspace::{Workspace, component, digest_of};
use doproxy_test_support::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn pulled_plugin_is_identical_to_the_pushed_one() {
    let registry = Registry::start().await;
    let (author, operator) = (Workspace::new(), Workspace::new());
    let tag = registry.oci_reference("acme/queue:1.2");

    let pushed = author.push("queue.wasm", &tag).await;
    let output = operator.run_ok(&["plugin", "pull", &tag]).await;

    assert_registry_output!(operator, registry, output, @"
    oci://REGISTRY/acme/queue:1.2@sha256:DIGEST
      stored  DIR/home/.local/share/doproxy/plugins/sha256/DIGEST
      trust   no signature required because plugins.trust is not set
    ");
    assert!(output.starts_with(&pushed), "{output}");
    let stored = operator.stored_files().into_iter().find(|path| std::fs::read(path).unwrap() == component()).unwrap();
    assert_eq!(std::fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    let inspected = operator.run_ok(&["plugin", "inspect", &pushed]).await;
    let of_origin = ["manifest ", "stored ", "signatures ", "trust "];
    let shown: Vec<&str> =
        inspected.lines().filter(|line| of_origin.iter().any(|begin| line.starts_with(begin))).collect();
    assert_registry_output!(operator, registry, shown.join("\n"), @"
    manifest   sha256:DIGEST
    stored     DIR/home/.local/share/doproxy/plugins/sha256/DIGEST
    signatures 0 signatures
    trust      no signature required because plugins.trust is not set
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_push_has_the_same_digest() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();

    let first = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let again = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let arguments = ["plugin", "push", "queue.wasm", &registry.oci_reference("acme/queue:1")];
    let dated =
        doproxy_test_support::environment::run(workspace.command(&arguments).env("SOURCE_DATE_EPOCH", "1700000000"))
            .await;

    assert_eq!(first, again);
    assert_eq!(dated.code, 0, "{}", dated.stderr);
    let dated = dated.stdout.trim().strip_prefix("pushed ").unwrap();
    assert_ne!(digest_of(dated), digest_of(&first));
    assert!(registry.manifest("acme/queue", "1").await.contains("\"mediaType\":\"application/wasm\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn non_plugin_is_not_pushed() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    workspace.write("notes.txt", b"no component");
    let tag = registry.oci_reference("acme/queue:1");

    let text = workspace.run_err(2, &["plugin", "push", "notes.txt", &tag]).await;
    let digest = format!("{}@sha256:{}", registry.oci_reference("acme/queue"), "0".repeat(64));
    let by_digest = workspace.run_err(2, &["plugin", "push", "queue.wasm", &digest]).await;

    assert_registry_output!(workspace, registry, text + &by_digest, @"
    error: plugin file:notes.txt: not a WebAssembly file; a plugin is a WebAssembly component
    error: plugin oci://REGISTRY/acme/queue@sha256:DIGEST: cannot push to a digest; push to a tag instead: oci://REGISTRY/acme/queue:TAG
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_tag_has_no_effect_until_update() {
    let registry = Registry::start().await;
    let (author, operator) = (Workspace::new(), Workspace::new());
    let tag = registry.oci_reference("acme/queue:1");
    operator.configure(&tag, "");
    let first = author.push("queue.wasm", &tag).await;

    let locked = operator.doproxy(&["plugin", "list"]).await;
    let lock = std::fs::read_to_string(operator.path("doproxy.lock")).unwrap();
    let second = author.push("queue2.wasm", &tag).await;
    let again = operator.doproxy(&["plugin", "inspect", &tag]).await;
    let updated = operator.run_ok(&["plugin", "update"]).await;
    let unchanged = operator.run_ok(&["plugin", "update", &tag]).await;
    let after = operator.run_ok(&["plugin", "inspect", &tag]).await;

    assert_registry_output!(operator, registry, locked.stderr, @"
    pulled oci://REGISTRY/acme/queue:1@sha256:DIGEST
    pinned oci://REGISTRY/acme/queue:1 to sha256:DIGEST in DIR/doproxy.lock
    ");
    assert_registry_output!(operator, registry, lock, @r#"
    # Digests of the plugin tags in doproxy.yml. Managed by doproxy; keep this file together with doproxy.yml.
    # Only `doproxy plugin update` changes an entry, even if the tag moves in its registry.
    version: 1
    plugins:
      "oci://REGISTRY/acme/queue:1": sha256:DIGEST
    "#);
    assert_ne!(first, second);
    assert!(again.stdout.contains(digest_of(&first)) && again.stderr.is_empty(), "{again:?}");
    assert!(updated.contains(&format!("{} → {}", digest_of(&first), digest_of(&second))), "{updated}");
    assert!(unchanged.contains("unchanged"), "{unchanged}");
    assert!(after.contains(digest_of(&second)) && after.contains(", locked"), "{after}");
    assert!(std::fs::read_to_string(operator.path("doproxy.lock")).unwrap().contains(digest_of(&second)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_plugin_works_without_its_registry() {
    let mut registry = Registry::start().await;
    let (author, operator) = (Workspace::new(), Workspace::new());
    let tag = registry.oci_reference("acme/queue:1");
    operator.configure(&tag, "");
    let pushed = author.push("queue.wasm", &tag).await;
    operator.run_ok(&["plugin", "pull"]).await;
    registry.stop().await;

    let by_tag = operator.run_ok(&["plugin", "inspect", &tag]).await;
    let by_digest = operator.run_ok(&["plugin", "inspect", &pushed]).await;
    let newcomer = Workspace::new();
    let never_seen = newcomer.run_err(1, &["plugin", "inspect", &tag]).await;
    let not_stored = newcomer.run_err(1, &["plugin", "inspect", &pushed]).await;
    let update = operator.run_err(1, &["plugin", "update"]).await;

    assert!(by_tag.contains(digest_of(&pushed)) && by_digest.contains(digest_of(&pushed)));
    assert_registry_output!(newcomer, registry, never_seen, @"error: plugin oci://REGISTRY/acme/queue:1: connecting to the registry: REGISTRY is unreachable: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)");
    assert_registry_output!(newcomer, registry, not_stored, @"error: plugin oci://REGISTRY/acme/queue:1@sha256:DIGEST: connecting to the registry: REGISTRY is unreachable: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); no intact copy at DIR/home/.local/share/doproxy/plugins/sha256/DIGEST, so the plugin cannot be used without the registry");
    assert!(update.contains("is unreachable"), "{update}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modified_stored_component_is_never_run() {
    let mut registry = Registry::start().await;
    let workspace = Workspace::new();
    let pushed = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    workspace.run_ok(&["plugin", "pull", &pushed]).await;
    let stored = workspace.stored_files().into_iter().find(|path| std::fs::read(path).unwrap() == component()).unwrap();
    let mut changed = component();
    changed[1000] ^= 1;
    std::fs::write(&stored, &changed).unwrap();

    let mended = workspace.doproxy(&["plugin", "inspect", &pushed]).await;
    let whole_again = std::fs::read(&stored).unwrap() == component();
    std::fs::write(&stored, &changed).unwrap();
    registry.stop().await;
    let refused = workspace.run_err(1, &["plugin", "inspect", &pushed]).await;

    assert_eq!(mended.code, 0, "{}", mended.stderr);
    assert!(whole_again);
    assert_registry_output!(workspace, registry, refused, @"
     WARN DIR/home/.local/share/doproxy/plugins/sha256/DIGEST was damaged or tampered with; run `doproxy plugin pull` to fetch it again
    error: plugin oci://REGISTRY/acme/queue:1@sha256:DIGEST: connecting to the registry: REGISTRY is unreachable: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); no intact copy at DIR/home/.local/share/doproxy/plugins/sha256/DIGEST, so the plugin cannot be used without the registry
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritable_lock_error_includes_a_remedy() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let tag = registry.oci_reference("acme/queue:1");
    workspace.push("queue.wasm", &tag).await;
    workspace.configure(&tag, "");
    // This also works for root: a file cannot replace a directory.
    std::fs::create_dir(workspace.path("doproxy.lock")).unwrap();

    let output = workspace.run_err(2, &["plugin", "list"]).await;

    assert_registry_output!(workspace, registry, output, @"error: plugin oci://REGISTRY/acme/queue:1: failed to read DIR/doproxy.lock: Is a directory (os error 21)");
}
