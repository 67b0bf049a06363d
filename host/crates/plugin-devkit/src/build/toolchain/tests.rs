use super::*;

#[test]
fn build_environment_has_no_tokens() {
    for name in ["DIGITALOCEAN_ACCESS_TOKEN", "digitalocean_token", "AWS_SECRET_ACCESS_KEY", "REGISTRY_PASSWORD"] {
        assert!(is_secret(name), "{name}");
    }
    for name in ["PATH", "HOME", "VIRTUAL_ENV", "CARGO_HOME", "NODE_EXTRA_CA_CERTS"] {
        assert!(!is_secret(name), "{name}");
    }
}
