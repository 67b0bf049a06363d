//! A registry for a single test.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::environment::wait_until;

/// `operator`, with the password `open sesame`.
const HTPASSWD: &str = "operator:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n";

/// A running docker-registry, stopped on drop.
pub struct Registry {
    dir: TempDir,
    process: Child,
    address: String,
}

/// The access mode of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AccessMode {
    Anonymous,
    Login,
    Tls,
}

impl Registry {
    pub async fn start() -> Self {
        Self::start_with(AccessMode::Anonymous).await
    }

    /// Starts a registry that accepts only `operator`.
    pub async fn with_login() -> Self {
        Self::start_with(AccessMode::Login).await
    }

    /// Starts a registry with HTTPS and a certificate from [`Self::ca_certificate`].
    pub async fn with_tls() -> Self {
        Self::start_with(AccessMode::Tls).await
    }

    async fn start_with(special: AccessMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut http = "addr: \"127.0.0.1:0\", secret: test".to_owned();
        let mut more = String::new();
        match special {
            AccessMode::Anonymous => {}
            AccessMode::Login => {
                std::fs::write(path("htpasswd"), HTPASSWD).unwrap();
                more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("htpasswd"));
            }
            AccessMode::Tls => {
                make_certificate(dir.path()).await;
                http += &format!(", tls: {{certificate: {}, key: {}}}", path("tls.crt"), path("tls.key"));
            }
        }
        let configuration = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{{http}}}\n{more}",
            path("data")
        );
        std::fs::write(path("config.yml"), configuration).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let process = Command::new("/usr/bin/docker-registry")
            .args(["serve", &path("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is missing; install it with `tests/prerequisites.sh docker-registry`");
        let mut address = None;
        wait_until("the registry", async || {
            let log = std::fs::read_to_string(path("log")).unwrap();
            address = log.split("listening on ").nth(1).map(|rest| {
                rest.chars()
                    .take_while(|character| character.is_ascii_digit() || matches!(character, '.' | ':'))
                    .collect()
            });
            address.is_some()
        })
        .await;
        Self { address: address.unwrap(), dir, process }
    }

    /// Returns host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns a plugin reference: `oci://ADDRESS/REST`.
    pub fn oci_reference(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.address)
    }

    /// Returns the file of a blob; `digest` is `sha256:…`.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let digits = digest.strip_prefix("sha256:").unwrap();
        self.dir.path().join("data/docker/registry/v2/blobs/sha256").join(&digits[..2]).join(digits).join("data")
    }

    /// Returns the certificate of its CA.
    pub fn ca_certificate(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Returns its request log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Pushes a blob to a repository like any client.
    pub async fn put_blob(&self, repository: &str, content: &[u8]) -> String {
        let http = crate::environment::http();
        let begun = http.post(format!("http://{}/v2/{repository}/blobs/uploads/", self.address)).send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        let digest = digest(content);
        let sent = http.put(format!("{location}&digest={digest}")).body(content.to_vec()).send().await.unwrap();
        assert_eq!(sent.status(), 201);
        digest
    }

    pub async fn put_manifest(&self, repository: &str, tag: &str, media_type: &str, manifest: &str) -> String {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let request = crate::environment::http().put(url).header("content-type", media_type).body(manifest.to_owned());
        let sent = request.send().await.unwrap();
        assert_eq!(sent.status(), 201, "{:?}", sent.text().await);
        digest(manifest.as_bytes())
    }

    pub async fn manifest(&self, repository: &str, tag: &str) -> String {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.address);
        let request =
            crate::environment::http().get(url).header("accept", "application/vnd.oci.image.manifest.v1+json");
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    pub async fn stop(&mut self) {
        self.process.kill().await.unwrap();
    }
}

pub fn digest(content: &[u8]) -> String {
    doproxy_plugin_registry::Digest::of(content).to_string()
}

/// Creates a CA and a certificate from it for 127.0.0.1.
async fn make_certificate(dir: &Path) {
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for arguments in [
        format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt"),
        format!("req {key} -subj /CN=registry -keyout tls.key -out tls.csr"),
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out tls.crt".to_owned(),
    ] {
        let made = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}
