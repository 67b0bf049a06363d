//! The plugin toolchains, a folder for each project, and the `doproxy` program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::{fs, io};

/// The languages, as accepted by `--lang`.
pub(super) const LANGUAGES: [&str; 4] = ["rust", "python", "js", "c"];

/// Creates each starter project once.
pub(super) struct Toolchains {
    /// Emptied by the first test that uses it.
    dir: PathBuf,
    root: PathBuf,
}

impl Toolchains {
    /// Returns the instance shared by all tests.
    pub(super) fn shared() -> &'static Self {
        static SHARED: OnceLock<Toolchains> = OnceLock::new();
        SHARED.get_or_init(|| {
            let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let folder = tmp.join("languages");
            // Cargo's output stays: it contains dependencies, and cargo detects outdated files.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten().filter(|it| it.file_name() != "cargo") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
            fs::create_dir_all(&folder).unwrap();
            let toolchains = tmp.parent().unwrap().join("plugin-toolchains");
            let is_there =
                toolchains.join("python/bin/componentize-py").exists() && toolchains.join("js/node_modules").exists();
            assert!(
                is_there,
                "the toolchains are missing; install them with: tests/prerequisites.sh plugin-toolchains"
            );
            Self { dir: folder, root: toolchains }
        })
    }

    /// Returns `doproxy`'s cache of compiled plugins.
    pub(super) fn cache_dir(&self) -> PathBuf {
        self.dir.join("cache/doproxy/plugins")
    }

    /// Returns an empty folder.
    pub(super) fn empty_dir(&self, name: &str) -> PathBuf {
        let folder = self.dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Returns a command with the toolchains and `doproxy` on its path.
    pub(super) fn command(&self, program: &str, folder: &Path) -> Command {
        let doproxy = Path::new(env!("CARGO_BIN_EXE_doproxy"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let before = [doproxy.parent().unwrap().to_owned(), self.root.join("python/bin")];
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .env("PATH", std::env::join_paths(before.into_iter().chain(std::env::split_paths(&path))).unwrap())
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("CARGO_TARGET_DIR", self.dir.join("cargo"))
            .env_remove("DOPROXY_CONFIG")
            .env_remove("VIRTUAL_ENV")
            .stdin(Stdio::null());
        command
    }

    /// Runs `doproxy` and returns its output.
    pub(super) fn doproxy(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_doproxy"), folder).args(arguments).output().unwrap();
        stdout_of(&format!("doproxy {}", arguments.join(" ")), &output)
    }

    /// Creates a project with `plugin new` whose toolchain is available.
    pub(super) fn project(&self, within: &str, name: &str, language: &str, kind: &str) -> PathBuf {
        let folder = self.empty_dir(within);
        self.doproxy(&folder, &["plugin", "new", name, "--lang", language, "--kind", kind]);
        let project = folder.join(name);
        self.link_node_modules(&project);
        project
    }

    /// Links the installed packages into a project: npm itself would take a minute for each.
    pub(super) fn link_node_modules(&self, project: &Path) {
        if project.join("package.json").exists() {
            std::os::unix::fs::symlink(self.root.join("js/node_modules"), project.join("node_modules")).unwrap();
        }
    }

    /// Returns the component of a policy starter, built by its first user.
    pub(super) fn policy(&self, language: &str) -> PathBuf {
        let _lock = Self::lock_language(language);
        let project = self.dir.join(format!("policies-{language}/per-droplet"));
        if !project.exists() {
            self.project(&format!("policies-{language}"), "per-droplet", language, "policy");
        }
        self.doproxy(&project, &["plugin", "build"]);
        project.join("build/per-droplet.wasm")
    }

    /// Locks a language, so that only one test at a time builds its policy.
    fn lock_language(language: &str) -> MutexGuard<'static, ()> {
        static LOCKS: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];
        let place = LANGUAGES.iter().position(|other| *other == language).unwrap();
        LOCKS[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the output of a command, which must have succeeded.
pub(super) fn stdout_of(what: &str, output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} failed ({}):\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Copies the files of a project without build output.
pub(super) fn copy_sources(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        } else if entry.file_type()?.is_dir() && name != "build" && name != "target" && name != "node_modules" {
            copy_sources(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}
