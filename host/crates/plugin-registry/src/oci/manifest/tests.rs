use super::*;

fn packed() -> Packed {
    let exports = ["doproxy:plugin/policy@0.1.0".to_owned()];
    let annotations = BTreeMap::from([("org.opencontainers.image.title".to_owned(), "queue".to_owned())]);
    pack(b"\0asm", Description { imports: &[], exports: &exports, annotations, created: 1_700_000_000 }).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn component_is_packed_in_standard_layout() {
    let packed = packed();

    insta::assert_snapshot!(text(&packed.config), @r#"{"created":"2023-11-14T22:13:20Z","author":null,"architecture":"wasm","os":"wasip2","layerDigests":["sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f"],"component":{"exports":["doproxy:plugin/policy@0.1.0"],"imports":[],"target":null}}"#);
    insta::assert_snapshot!(text(&packed.manifest), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:4f3fc8f13909cd61bc30fe8436edc59a839fd468e4831a3271eab53db8f33da0","size":258},"layers":[{"mediaType":"application/wasm","digest":"sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f","size":4}],"annotations":{"org.opencontainers.image.title":"queue"}}"#);
    assert_eq!(component_layer(&packed.manifest), Ok(Descriptor::of(WASM, b"\0asm")));
}

#[test]
fn other_artifacts_are_rejected_by_type() {
    let manifest = text(&packed().manifest);
    let refused: Vec<String> = [
            ("no JSON".to_owned()),
            manifest.replace("\"layers\"", "\"leyers\""),
            manifest.replace(WASM_CONFIG, "application/vnd.oci.image.config.v1+json"),
            manifest.replace(WASM_CONFIG, "application/vnd.wasm.config.v1+json"),
            manifest.replace("\"application/wasm\"", "\"application/vnd.wasm.content.layer.v1+wasm\""),
            manifest.replace("\"application/wasm\"", "\"application/vnd.oci.image.layer.v1.tar\\u001b[2J\""),
            manifest.replace(MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"),
            manifest.replace(MANIFEST, INDEX),
            manifest.replace("}],\"annotations\"", "},{\"mediaType\":\"text/plain\",\"size\":4,\"digest\":\"sha256:cd5d4935a48c0672cb06407bb443bc0087aff947c6b864bac886982c73b3027f\"}],\"annotations\""),
        ]
        .iter()
        .map(|manifest| component_layer(manifest.as_bytes()).unwrap_err().to_string())
        .collect();

    insta::assert_snapshot!(refused.join("\n"), @"
        failed to read the manifest: expected ident at line 1 column 2
        failed to read the manifest: missing field `layers`
        not a WebAssembly artifact: the configuration is application/vnd.oci.image.config.v1+json, expected application/vnd.wasm.config.v0+json
        unsupported layout from before the standard (application/vnd.wasm.config.v1+json); push it again with `doproxy plugin push` or `wkg oci push`
        unsupported layout from before the standard (application/vnd.wasm.content.layer.v1+wasm); push it again with `doproxy plugin push` or `wkg oci push`
        not a WebAssembly artifact: the layer is application/vnd.oci.image.layer.v1.tar�[2J, expected application/wasm
        not a WebAssembly artifact: the manifest is application/vnd.docker.distribution.manifest.v2+json, expected application/vnd.oci.image.manifest.v1+json
        a list of several artifacts, but a plugin is a single one; select one by its digest
        the artifact has 2 layers, but a plugin has one
        ");
}
