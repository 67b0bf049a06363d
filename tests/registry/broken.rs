//! Damaged and truncated artifacts, and artifacts that are not plugins.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::assert_registry_output;
use crate::workspace::{Workspace, component, digest_of};
use doproxy_test_support::registry::{Registry, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test(flavor = "multi_thread")]
async fn modified_blob_is_rejected_and_not_stored() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let pushed = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let blob = registry.blob_path(&digest(&component()));
    let mut changed = component();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&blob, &changed).unwrap();

    let of_component = workspace.run_err(1, &["plugin", "pull", &pushed]).await;
    std::fs::write(&blob, &component()[..1000]).unwrap();
    let too_short = workspace.run_err(1, &["plugin", "pull", &pushed]).await;
    std::fs::write(&blob, [component(), component()].concat()).unwrap();
    let too_long = workspace.run_err(1, &["plugin", "pull", &pushed]).await;

    assert_registry_output!(workspace, registry, of_component, @"error: plugin oci://REGISTRY/acme/queue:1@sha256:DIGEST: the component of oci://REGISTRY/acme/queue:1@sha256:DIGEST has the wrong digest: expected sha256:DIGEST, got sha256:DIGEST; it was damaged or tampered with, in the registry or in transit");
    assert!(
        too_short.contains("was damaged or tampered with") || too_short.contains("response was truncated"),
        "{too_short}"
    );
    assert!(too_long.contains("exceeds the limit of"), "{too_long}");
    assert!(
        workspace.stored_files().iter().all(|path| !path.parent().unwrap().ends_with("sha256")),
        "{:?}",
        workspace.stored_files()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn modified_manifest_is_rejected() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let pushed = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let file = registry.blob_path(digest_of(&pushed));
    let whole = std::fs::read(&file).unwrap();

    for at in (0..whole.len()).step_by(if flips_every_byte() { 1 } else { 37 }) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        let ended = workspace.doproxy(&["plugin", "pull", &pushed]).await;
        assert_eq!(ended.code, 1, "byte {at}: {ended:?}");
    }
    assert!(workspace.stored_files().is_empty());
}

/// Reports whether to modify every byte instead of a sample.
fn flips_every_byte() -> bool {
    std::env::var_os("DOPROXY_EVERY").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn non_plugin_artifact_is_rejected_by_type() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let config = registry.put_blob("acme/queue", b"{}").await;
    let layer = registry.put_blob("acme/queue", b"layer").await;
    let manifest = |config_type: &str, layer_type: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"{config_type}","digest":"{config}","size":2}},"layers":[{{"mediaType":"{layer_type}","digest":"{layer}","size":5}}]}}"#
        )
    };
    let (image, wasm) = ("application/vnd.oci.image.config.v1+json", "application/vnd.wasm.config.v0+json");
    let index = "application/vnd.oci.image.index.v1+json";
    let one = registry
        .put_manifest("acme/queue", "image", MANIFEST, &manifest(image, "application/vnd.oci.image.layer.v1.tar"))
        .await;
    let listed = format!(
        r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[{{"mediaType":"{MANIFEST}","digest":"{one}","size":{}}}]}}"#,
        manifest(image, "application/vnd.oci.image.layer.v1.tar").len()
    );
    registry.put_manifest("acme/queue", "index", index, &listed).await;
    let legacy = manifest("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm");
    registry.put_manifest("acme/queue", "legacy", MANIFEST, &legacy).await;
    registry.put_manifest("acme/queue", "text", MANIFEST, &manifest(wasm, "application/wasm")).await;

    let mut output = String::new();
    for tag in ["image", "index", "legacy", "missing"] {
        output += &workspace
            .run_err(
                if tag == "missing" { 1 } else { 2 },
                &["plugin", "pull", &registry.oci_reference(&format!("acme/queue:{tag}"))],
            )
            .await;
    }
    output += &workspace.run_err(2, &["plugin", "inspect", &registry.oci_reference("acme/queue:text")]).await;

    assert_registry_output!(workspace, registry, output, @"
    error: plugin oci://REGISTRY/acme/queue:image: not a WebAssembly artifact: the configuration is application/vnd.oci.image.config.v1+json, expected application/vnd.wasm.config.v0+json
    error: plugin oci://REGISTRY/acme/queue:index: a list of several artifacts, but a plugin is a single one; select one by its digest
    error: plugin oci://REGISTRY/acme/queue:legacy: unsupported layout from before the standard (application/vnd.wasm.content.layer.v1+wasm); push it again with `doproxy plugin push` or `wkg oci push`
    error: plugin oci://REGISTRY/acme/queue:missing: oci://REGISTRY/acme/queue:missing not found; many registries also report this if read access is missing
    error: plugin oci://REGISTRY/acme/queue:text: not a WebAssembly file; a plugin is a WebAssembly component
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_component_is_not_downloaded() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let tag = registry.oci_reference("acme/queue:1");
    workspace.push("queue.wasm", &tag).await;
    workspace.configure(&tag, "plugins: {limits: {component_bytes: 1024}}\n");

    let output = workspace.run_err(2, &["plugin", "pull"]).await;

    let size = format!("{} bytes", component().len());
    assert_registry_output!(workspace, registry, output.replace(&size, "SOME bytes"), @"error: plugin oci://REGISTRY/acme/queue:1: the component has SOME bytes, which exceeds the component limit of 1 KiB (plugins.limits.component_bytes)");
    assert!(!registry.log().contains(&format!("GET /v2/acme/queue/blobs/{}", digest(&component()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_download_leaves_no_partial_file() {
    let registry = Registry::start().await;
    let workspace = Workspace::new();
    let pushed = workspace.push("queue.wasm", &registry.oci_reference("acme/queue:1")).await;
    let proxy = truncating_proxy(registry.address().parse().unwrap()).await;
    let by_proxy = pushed.replace(registry.address(), &proxy.to_string());

    let output = workspace.run_err(1, &["plugin", "pull", &by_proxy]).await;
    let left = workspace.stored_files();
    workspace.run_ok(&["plugin", "pull", &pushed]).await;

    assert!(output.contains("the response was truncated after"), "{output}");
    assert!(left.iter().all(|path| path.parent().unwrap().ends_with("signatures")), "{left:?}");
}

/// Starts a proxy that aborts each blob transfer halfway.
async fn truncating_proxy(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(truncate_connection(client, to));
        }
    });
    address
}

/// Forwards one connection until 4 KiB of a requested blob were transferred.
async fn truncate_connection(mut client: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    let mut registry = TcpStream::connect(to).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 1024]);
    let mut left: Option<usize> = None;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read? {
                0 => return Ok(()),
                read => {
                    let request = String::from_utf8_lossy(&asked[..read]);
                    if request.starts_with("GET ") && request.contains("/blobs/") {
                        left = Some(4096);
                    }
                    registry.write_all(&asked[..read]).await?;
                }
            },
            read = registry.read(&mut answered) => match read? {
                0 => return Ok(()),
                read => {
                    client.write_all(&answered[..read]).await?;
                    left = left.map(|left| left.saturating_sub(read));
                    if left == Some(0) {
                        return Ok(());
                    }
                }
            },
        }
    }
}
