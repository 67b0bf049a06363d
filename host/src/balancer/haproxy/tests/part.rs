//! Parts of tests that need a process of their own: one that crashes, that is another user, that has other mounts.
//! They are ignored tests of this very binary, which the test that they are a part of runs.

use std::path::Path;
use std::process::{Command, Output};

/// Tells a part where to work; without it a part does nothing.
pub(super) const SUBTEST_DIR: &str = "DOPROXY_TEST_PART_DIR";

/// The command that runs the ignored test `name` of these modules, in `dir`; through `wrapper` where that is not
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
    let path = format!("balancer::haproxy::tests::{name}");
    command.args(["--exact", &path, "--ignored", "--nocapture", "--test-threads=1"]).env(SUBTEST_DIR, dir);
    command
}

/// Where this part is to work; `None` where it was not started as a part.
pub(super) fn subtest_dir() -> Option<std::path::PathBuf> {
    std::env::var_os(SUBTEST_DIR).map(Into::into)
}

/// What a part said, for the message of an assertion.
pub(super) fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
