//! The pages whose shell blocks run.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use doproxy_test_support::environment::{TestEnvironment, doproxy, target_tmp};
use doproxy_test_support::registry::Registry;
use tempfile::TempDir;
use tokio::process::Command;

use super::page::Page;
use super::{repository, session};

/// The address of the registry and the session's folder on pages that show them.
const SHOWN_REGISTRY: &str = "localhost:5000";
const SHOWN_FOLDER: &str = "/home/me";

/// Variables of the machine that would change what a page does.
const UNSET: [&str; 6] = [
    "DIGITALOCEAN_ACCESS_TOKEN",
    "DIGITALOCEAN_API_URL",
    "DIGITALOCEAN_TOKEN",
    "DOCKER_AUTH_CONFIG",
    "DOPROXY_CONFIG",
    "VIRTUAL_ENV",
];

macro_rules! pages {
    ($($name:ident: $path:literal,)+) => {
        const PAGES: &[&str] = &[$($path,)+];

        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() { run($path).await; })+
    };
}

pages! {
    readme: "README.md",
    backtest_a_policy: "docs/how-to/backtest-a-policy.md",
    gate_ci: "docs/how-to/gate-ci.md",
    migrate_from_doproxy_ruby: "docs/how-to/migrate-from-doproxy-ruby.md",
    recover_after_a_crash: "docs/how-to/recover-after-a-crash.md",
    rotate_a_signing_key: "docs/how-to/rotate-a-signing-key.md",
    run_under_systemd: "docs/how-to/run-under-systemd.md",
    share_a_plugin: "docs/how-to/share-a-plugin.md",
    first_fleet: "docs/tutorials/first-fleet.md",
    first_policy: "docs/tutorials/first-policy.md",
}

#[test]
fn include_every_tutorial_and_guide() {
    let files = ["docs/tutorials", "docs/how-to"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(repository(folder)).unwrap();
        entries.map(move |entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()))
    });
    let expected: BTreeSet<String> = files.chain(["README.md".to_owned()]).collect();
    assert_eq!(PAGES.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>(), expected);
}

/// Runs a page with the surroundings that it requests.
async fn run(path: &str) {
    let page = Page::read(path);
    for script in &page.scripts {
        session::check_syntax(&page, script).await;
    }
    match page.needs.as_deref() {
        None => run_alone(&page).await,
        Some("registry") => run_with_registry(&page).await,
        Some("fleet") => run_with_fleet(&page).await,
        Some(other) => panic!("{path}: `<!-- test: {other} -->`; expected `registry` or `fleet`"),
    }
}

async fn run_alone(page: &Page) {
    let home = Home::new();
    session::run(page, home.bash(), |output| home.shown(&output)).await;
}

async fn run_with_registry(page: &Page) {
    let (home, registry) = (Home::new(), Registry::start().await);
    let mut bash = home.bash();
    bash.env("REGISTRY", registry.address());
    session::run(page, bash, |output| home.shown(&output).replace(registry.address(), SHOWN_REGISTRY)).await;
}

async fn run_with_fleet(page: &Page) {
    let (home, env) = (Home::new(), TestEnvironment::new().await);
    env.run_ok(&["create", "--count", "2"]).await;
    let mut bash = home.bash();
    bash.current_dir(env.path(""));
    // The API and the token of the environment's own commands.
    for (name, value) in env.command(&[]).as_std().get_envs().filter(|(name, _)| *name != "PATH") {
        bash.env(name, value.unwrap_or_default());
    }
    session::run(page, bash, |output| env.normalize(&output)).await;
    env.tear_down().await;
}

/// The folders of a page's session.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["bin", "work"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(doproxy(), dir.path().join("bin/doproxy")).unwrap();
        Self { dir }
    }

    /// Returns output with the session's folder as pages show it.
    fn shown(&self, output: &str) -> String {
        output.replace(self.dir.path().join("work").to_str().unwrap(), SHOWN_FOLDER)
    }

    /// Returns bash in an empty folder, with `doproxy` on its path.
    fn bash(&self) -> Command {
        let dir = self.dir.path();
        let path = env::var_os("PATH").unwrap_or_default();
        // HAProxy is in /usr/sbin, which is not on every user's path.
        let folders =
            [dir.join("bin")].into_iter().chain(env::split_paths(&path)).chain([Path::new("/usr/sbin").into()]);
        let mut bash = Command::new("bash");
        bash.current_dir(dir.join("work"))
            .env("PATH", env::join_paths(folders).unwrap())
            .env("XDG_DATA_HOME", dir.join("data"))
            .env("DOCKER_CONFIG", dir.join("docker"))
            // Pages share compiled plugins and Cargo's output, which take minutes the first time.
            .env("XDG_CACHE_HOME", target_tmp().join("cache"))
            .env("CARGO_TARGET_DIR", target_tmp().join("docs/cargo"));
        for name in UNSET {
            bash.env_remove(name);
        }
        bash
    }
}
