//! Tests the emulator with pydo, DigitalOcean's own Python client, in a virtual environment below the target directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use doproxy_emulator::{Emulator, Options};
use tokio::process::Command;

/// Returns the folder of the pydo tests, relative to the package.
fn pydo_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/pydo")
}

/// Runs a command; panics with its output if it fails.
async fn run_ok(what: &str, command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        output.status.success(),
        "{what} failed ({}):\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Returns a Python interpreter with the pinned client, installed once per version of the requirements.
async fn python_with_pydo() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pydo");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    let wanted = std::fs::read_to_string(pydo_dir().join("requirements.txt")).unwrap();
    if python.exists() && std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return python;
    }

    run_ok(
        "creating a virtual environment (on Debian, this requires the package python3-venv: apt-get install python3-venv)",
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder),
    )
    .await;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run_ok("pip install", Command::new(&python).args(pip).arg(pydo_dir().join("requirements.txt"))).await;
    std::fs::write(&installed, wanted).unwrap();
    python
}

/// Returns a port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn official_client_manages_droplets() {
    let python = python_with_pydo().await;
    let emulator = Emulator::start(Options { droplet_port: free_port(), ..Options::default() }).await.unwrap();

    run_ok("test_pydo.py", Command::new(python).arg(pydo_dir().join("test_pydo.py")).arg(emulator.url())).await;

    emulator.stop().await;
}
