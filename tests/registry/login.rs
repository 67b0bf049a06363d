//! Registries that require a login, and registries with HTTPS.

use crate::assert_registry_output;
use crate::workspace::Workspace;
use doproxy_test_support::environment::run;
use doproxy_test_support::registry::Registry;

/// `operator` and the password, in base64.
const VALID_LOGIN: &str = "b3BlcmF0b3I6b3BlbiBzZXNhbWU=";
const INVALID_LOGIN: &str = "b3BlcmF0b3I6bm90IHNlc2FtZQ==";

fn docker_config(registry: &Registry, auth: &str) -> String {
    format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.address())
}

#[tokio::test(flavor = "multi_thread")]
async fn login_is_accepted_from_every_source() {
    let registry = Registry::with_login().await;
    let tag = registry.oci_reference("acme/queue:1");
    let arguments = ["plugin", "push", "queue.wasm", tag.as_str()];
    let from_file = Workspace::new();
    from_file.write("home/.docker/config.json", docker_config(&registry, VALID_LOGIN).as_bytes());
    let elsewhere = Workspace::new();
    elsewhere.write("logins/config.json", docker_config(&registry, VALID_LOGIN).as_bytes());
    let from_helper = Workspace::new();
    from_helper.write("home/.docker/config.json", br#"{"credsStore": "test"}"#);
    from_helper.write_program(
        "bin/docker-credential-test",
        "#!/bin/sh\nread -r host || true\necho \"$host $1 ${DIGITALOCEAN_TOKEN-none}\" >\"$HOME/asked\"\n\
         echo '{\"ServerURL\": \"x\", \"Username\": \"operator\", \"Secret\": \"open sesame\"}'\n",
    );
    let from_environment = Workspace::new();

    let pushed = [
        from_file.doproxy(&arguments).await,
        run(elsewhere.command(&arguments).env("DOCKER_CONFIG", elsewhere.path("logins"))).await,
        run(elsewhere.command(&arguments).env("DOCKER_AUTH_CONFIG", docker_config(&registry, VALID_LOGIN))).await,
        run(from_helper.command(&arguments).env("DIGITALOCEAN_TOKEN", "dop_v1_very_secret")).await,
        run(from_environment
            .command(&arguments)
            .env("DOPROXY_REGISTRY", registry.address())
            .env("DOPROXY_REGISTRY_USERNAME", "operator")
            .env("DOPROXY_REGISTRY_PASSWORD", "open sesame"))
        .await,
    ];

    for ended in pushed {
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let asked = std::fs::read_to_string(from_helper.path("home/asked")).unwrap();
    assert_eq!(asked.trim(), format!("{} get none", registry.address()));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_wrong_logins_differ_and_hide_the_password() {
    let registry = Registry::with_login().await;
    let tag = registry.oci_reference("acme/queue:1");
    let (anonymous, other) = (Workspace::new(), Workspace::new());
    other.write("home/.docker/config.json", docker_config(&registry, INVALID_LOGIN).as_bytes());

    let without = anonymous.run_err(2, &["plugin", "pull", &tag]).await;
    let mut command = other.command(&["plugin", "push", "queue.wasm", &tag, "-vvv"]);
    let with_wrong = run(command.env("RUST_LOG", "trace")).await;

    assert_registry_output!(anonymous, registry, without, @"error: plugin oci://REGISTRY/acme/queue:1: REGISTRY requires a login; run `docker login REGISTRY`, or set DOPROXY_REGISTRY=REGISTRY, DOPROXY_REGISTRY_USERNAME and DOPROXY_REGISTRY_PASSWORD");
    assert_eq!(with_wrong.code, 2);
    assert!(
        !with_wrong.stderr.contains("sesame") && !with_wrong.stderr.contains(INVALID_LOGIN),
        "{}",
        with_wrong.stderr
    );
    let last = with_wrong.stderr.lines().last().unwrap_or_default().to_owned();
    assert_registry_output!(other, registry, last, @"error: plugin oci://REGISTRY/acme/queue:1: REGISTRY rejected the login of operator from DIR/home/.docker/config.json; it is wrong or expired, or lacks the permission to push");
}

#[tokio::test(flavor = "multi_thread")]
async fn login_applies_to_its_registry_only() {
    let (ours, theirs) = (Registry::with_login().await, Registry::with_login().await);
    let workspace = Workspace::new();
    workspace.write("home/.docker/config.json", docker_config(&ours, VALID_LOGIN).as_bytes());

    let output = workspace.run_err(2, &["plugin", "pull", &theirs.oci_reference("acme/queue:1")]).await;

    assert!(output.contains("requires a login; run"), "{output}");
    assert!(!theirs.log().contains("operator"));
}

#[tokio::test(flavor = "multi_thread")]
async fn https_requires_a_trusted_certificate() {
    let registry = Registry::with_tls().await;
    let workspace = Workspace::new();
    let tag = registry.oci_reference("acme/queue:1");
    let push = ["plugin", "push", "queue.wasm", tag.as_str()];

    let trusted = run(workspace.command(&push).env("SSL_CERT_FILE", registry.ca_certificate())).await;
    let untrusted = workspace.doproxy(&push).await;

    assert_eq!(trusted.code, 0, "{}", trusted.stderr);
    assert_eq!(untrusted.code, 1, "{}", untrusted.stderr);
    assert!(untrusted.stderr.contains("certificate"), "{}", untrusted.stderr);
}
