use super::*;

fn with_config(text: &str) -> Login {
    Login { config_text: Some(text.to_owned()), ..Login::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "compared with an `Option`")]
fn password(user: &str, password: &str) -> Option<Secret> {
    Some(Secret::Password { user: user.to_owned(), password: password.to_owned() })
}

async fn found(login: &Login, registry: &str) -> Option<Secret> {
    login.find(registry).await.unwrap().map(|credentials| credentials.secret)
}

#[tokio::test]
async fn login_is_found_for_every_docker_key_form() {
    let login = with_config(
        r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnB3OndpdGg="},
                "registry.example.com": {"username": "me", "password": "secret"},
                "127.0.0.1:5000": {"identitytoken": "id"},
                "http://other.example/v2/": {"registrytoken": "bearer"},
                "empty.example": {}
            }, "HttpHeaders": {"x": "y"}}"#,
    );

    assert!(found(&login, "docker.io").await == password("hub", "pw:with"));
    assert!(found(&login, "registry.example.com").await == password("me", "secret"));
    assert!(found(&login, "127.0.0.1:5000").await == Some(Secret::IdentityToken("id".to_owned())));
    assert!(found(&login, "other.example").await == Some(Secret::RegistryToken("bearer".to_owned())));
    for without in ["empty.example", "127.0.0.1:5001", "registry.example.com.example"] {
        assert!(found(&login, without).await.is_none(), "{without}");
    }
}

#[tokio::test]
async fn environment_login_has_precedence_for_its_registry_only() {
    let mut login = with_config(r#"{"auths": {"registry.example.com": {"username": "docker", "password": "x"}}}"#);
    let (registry, user, secret) = ("registry.example.com".to_owned(), "own".to_owned(), "y".to_owned());
    login.env = Some(EnvLogin { registry, user, password: secret });

    assert!(found(&login, "registry.example.com").await == password("own", "y"));
    assert!(found(&login, "quay.example.com").await.is_none());
}

#[tokio::test]
async fn unreadable_login_is_reported_without_secrets() {
    let mut messages = Vec::new();
    for text in [
        r#"{"auths": {"registry.example.com": {"auth": "secret!"}}}"#,
        r#"{"auths": {"registry.example.com": "secret"}}"#,
        r#"{"credsStore": "../secret"}"#,
    ] {
        messages.push(with_config(text).find("registry.example.com").await.unwrap_err().to_string());
    }

    insta::assert_snapshot!(messages.join("\n"), @"
        failed to read the login for registry.example.com from DOCKER_AUTH_CONFIG: `auth` is not base64 of USER:PASSWORD
        failed to read the logins in DOCKER_AUTH_CONFIG: not in Docker's format, near line 1 column 43
        failed to read the login for registry.example.com from docker-credential-../secret: invalid name of a credential helper
        ");
}
