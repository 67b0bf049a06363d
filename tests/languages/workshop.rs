//! Where plugins are made: the toolchains, a folder for each project, and `doproxy` itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The languages, as `--lang` has them.
pub(super) const LANGUAGES: [&str; 4] = ["rust", "python", "js", "c"];

/// Makes projects of starters, each once.
pub(super) struct Toolchains {
    /// Emptied by the first test that uses it.
    dir: PathBuf,
    root: PathBuf,
}

impl Toolchains {
    /// The one of all tests.
    pub(super) fn shared() -> &'static Self {
        static WORKSHOP: OnceLock<Toolchains> = OnceLock::new();
        WORKSHOP.get_or_init(|| {
            let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
            let folder = tmp.join("languages");
            // What cargo built stays: these are dependencies, and cargo knows what is out of date.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten().filter(|it| it.file_name() != "cargo") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
            fs::create_dir_all(&folder).unwrap();
            let toolchains = tmp.parent().unwrap().join("plugin-toolchains");
            let is_there =
                toolchains.join("python/bin/componentize-py").exists() && toolchains.join("js/node_modules").exists();
            assert!(is_there, "the toolchains are missing; get them with: tests/prerequisites.sh plugin-toolchains");
            Self { dir: folder, root: toolchains }
        })
    }

    /// Where `doproxy` keeps what it compiled.
    pub(super) fn cache_dir(&self) -> PathBuf {
        self.dir.join("cache/doproxy/plugins")
    }

    /// An empty folder.
    pub(super) fn empty_dir(&self, name: &str) -> PathBuf {
        let folder = self.dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A command with the toolchains on its path, and `doproxy` too.
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

    /// Runs `doproxy` and answers what it printed.
    pub(super) fn doproxy(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.command(env!("CARGO_BIN_EXE_doproxy"), folder).args(arguments).output().unwrap();
        stdout_of(&format!("doproxy {}", arguments.join(" ")), &output)
    }

    /// A project of `plugin new`, whose toolchain can be found.
    pub(super) fn project(&self, within: &str, name: &str, language: &str, kind: &str) -> PathBuf {
        let folder = self.empty_dir(within);
        self.doproxy(&folder, &["plugin", "new", name, "--lang", language, "--kind", kind]);
        let project = folder.join(name);
        self.link_node_modules(&project);
        project
    }

    /// Gives a project the installed packages: npm itself would need a minute for each.
    pub(super) fn link_node_modules(&self, project: &Path) {
        if project.join("package.json").exists() {
            std::os::unix::fs::symlink(self.root.join("js/node_modules"), project.join("node_modules")).unwrap();
        }
    }

    /// The component of the starter of a policy, built by whoever asks first.
    pub(super) fn policy(&self, language: &str) -> PathBuf {
        let _turn = Self::lock_language(language);
        let project = self.dir.join(format!("policies-{language}/per-droplet"));
        if !project.exists() {
            self.project(&format!("policies-{language}"), "per-droplet", language, "policy");
        }
        self.doproxy(&project, &["plugin", "build"]);
        project.join("build/per-droplet.wasm")
    }

    /// One builds a language's policy at a time.
    fn lock_language(language: &str) -> MutexGuard<'static, ()> {
        static TURNS: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];
        let place = LANGUAGES.iter().position(|other| *other == language).unwrap();
        TURNS[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command printed; it must have succeeded.
pub(super) fn stdout_of(what: &str, output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} failed ({}):\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Copies the files of a project, and nothing that was built.
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
