//! Subtests that need a separate process: one that crashes, runs as another user, or has other mounts. They are ignored
//! tests of this same binary, which their parent test runs.

use std::path::Path;
use std::process::{Command, Output};

/// The variable with a subtest's working directory; without it a subtest does nothing.
pub(super) const SUBTEST_DIR: &str = "DOPROXY_TEST_PART_DIR";

/// Returns the command that runs the ignored test `name` of these modules in `dir`, through `wrapper` if that is not
/// empty.
pub(super) fn subtest(wrapper: &[&str], name: &str, dir: &Path) -> Command {
    let binary = std::env::current_exe().unwrap();
    let mut command = match wrapper.split_first() {
        None => Command::new(binary),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
    };
    let path = format!("tests::{name}");
    command.args(["--exact", &path, "--ignored", "--nocapture", "--test-threads=1"]).env(SUBTEST_DIR, dir);
    command
}

/// Returns this subtest's working directory; `None` if it was not started by its parent.
pub(super) fn subtest_dir() -> Option<std::path::PathBuf> {
    std::env::var_os(SUBTEST_DIR).map(Into::into)
}

/// Returns the output of a subtest, for the message of an assertion.
pub(super) fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
