//! The workspace of a plugin author: a folder with components, keys and a `doproxy.yml`, and a home directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use doproxy_test_support::environment::{Output, run};
use doproxy_test_support::registry::Registry;

const MINIMAL_CONFIG: &str =
    "droplet_options: {hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}\n";

pub struct Workspace {
    dir: TempDir,
}

impl Workspace {
    /// Creates a workspace with two components: `queue.wasm`, and its next version `queue2.wasm`.
    pub fn new() -> Self {
        let workspace = Self { dir: tempfile::tempdir().unwrap() };
        let component = component();
        workspace.write("queue.wasm", &component);
        // The same component with an additional, unused section.
        let section: &[u8] = b"\0\x08\x07version";
        workspace.write("queue2.wasm", &[component.as_slice(), section].concat());
        workspace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        if let Some(parent) = self.path(name).parent() {
            std::fs::create_dir_all(parent).unwrap();
        }
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn write_program(&self, name: &str, script: &str) {
        self.write(name, script.as_bytes());
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes a `doproxy.yml` with a policy and additional lines.
    pub fn configure(&self, plugin: &str, more: &str) {
        let policy = format!(
            "scaling: {{policies: [{{plugin: \"{plugin}\", config: {{metric: haproxy.sessions, target_per_droplet: 4}}}}]}}\n"
        );
        self.write("doproxy.yml", format!("{MINIMAL_CONFIG}{policy}{more}").as_bytes());
    }

    /// Returns a command that runs the program in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doproxy"));
        command
            .current_dir(self.dir.path())
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.path("home"))
            // All tests share this folder of compiled plugins.
            .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    pub async fn doproxy(&self, arguments: &[&str]) -> Output {
        run(&mut self.command(arguments)).await
    }

    /// Runs a command that must succeed, and returns its output.
    pub async fn run_ok(&self, arguments: &[&str]) -> String {
        let ended = self.doproxy(arguments).await;
        assert_eq!(ended.code, 0, "doproxy {arguments:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Runs a command that must fail, and returns its error output.
    pub async fn run_err(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.doproxy(arguments).await;
        assert_eq!(ended.code, code, "doproxy {arguments:?}\n{}{}", ended.stdout, ended.stderr);
        ended.stderr
    }

    /// Pushes a component, and returns the reference with its digest.
    pub async fn push(&self, file: &str, to: &str) -> String {
        let output = self.run_ok(&["plugin", "push", file, to]).await;
        output.trim().strip_prefix("pushed ").unwrap().to_owned()
    }

    /// Returns the files in the store.
    pub fn stored_files(&self) -> Vec<PathBuf> {
        ["sha256", "signatures"]
            .iter()
            .filter_map(|folder| std::fs::read_dir(self.path("home/.local/share/doproxy/plugins").join(folder)).ok())
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    /// Replaces the parts of a text that differ between runs.
    pub fn normalize(&self, text: &str, registry: &Registry) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "DIR").replace(registry.address(), "REGISTRY")
    }
}

/// Returns the digest after the `@` of a reference.
pub fn digest_of(reference: &str) -> &str {
    reference.split_once('@').unwrap().1
}

/// Returns a built-in policy.
pub fn component() -> Vec<u8> {
    let plugin = doproxy_plugins::ALL.iter().find(|plugin| plugin.name == "target-tracking").unwrap();
    plugin.component.to_vec()
}

/// Asserts a snapshot of an output without the parts that differ between runs.
#[macro_export]
macro_rules! assert_registry_output {
    ($workspace:expr, $registry:expr, $text:expr, @$snapshot:literal) => {
        let text = $workspace.normalize(&$text, &$registry);
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{64}", "DIGEST"),
            (r"\bkey [0-9a-f]{16}\b", "key SHORT"),
            (r"127\.0\.0\.1:\d+", "ELSEWHERE"),
            (r"size       \d+ bytes", "size       SOME bytes"),
        ]}, {
            insta::assert_snapshot!(text, @$snapshot);
        });
    };
}
