//! `doproxy init`: writes starter files. Never prompts and never overwrites.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;
use doproxy_config::SCHEMA_FILE;
use doproxy_haproxy as haproxy;

use crate::cli::config::schema_text;
use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy init\n  doproxy init /etc/doproxy --service")]
pub(super) struct Args {
    /// Directory to write to.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Also write a systemd unit; docs/how-to/run-under-systemd.md describes its installation.
    #[arg(long)]
    service: bool,
}

/// The starter files with their modes, besides the JSON Schema for editors.
const FILES: [(&str, &str, u32); 3] = [
    // May later contain the API token.
    ("doproxy.yml", include_str!("../../../templates/init/doproxy.yml"), 0o600),
    ("user-data.sh", include_str!("../../../templates/init/user-data.sh"), 0o644),
    ("haproxy.cfg.tera", haproxy::BUILT_IN_TEMPLATE, 0o644),
];

/// The systemd unit for `--service`.
const UNIT: (&str, &str, u32) = ("doproxy.service", include_str!("../../../templates/systemd/doproxy.service"), 0o644);

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("failed to create the directory {}", args.dir.display()))?;
    let schema = schema_text()? + "\n";
    let schema = (SCHEMA_FILE, schema.as_str(), 0o644);
    for (name, text, mode) in FILES.into_iter().chain([schema]).chain(args.service.then_some(UNIT)) {
        let path = args.dir.join(name);
        let shown = path.display();
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("failed to write {shown}"))?;
                out!("wrote {shown}");
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => out!("kept existing {shown}"),
            Err(error) => return Err(error).with_context(|| format!("failed to write {shown}")),
        }
    }
    out!("Next: edit doproxy.yml, set DIGITALOCEAN_TOKEN, and run `doproxy check`.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starter_file_names_schema_beside_it() {
        let (_, text, _) = FILES[0];

        let first = text.lines().next().unwrap_or_default();
        assert_eq!(first, format!("# yaml-language-server: $schema={SCHEMA_FILE}"));
    }
}
