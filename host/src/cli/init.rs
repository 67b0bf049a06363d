//! `doproxy init`: files to begin with. Asks nothing, overwrites nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::Context;

use super::output::say;
use crate::balancer::haproxy;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy init\n  doproxy init /etc/doproxy --service")]
pub(super) struct Args {
    /// The folder to write to.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// A systemd unit too, beside the others; docs/service.md says where it goes.
    #[arg(long)]
    service: bool,
}

/// The files, with the mode of each.
const FILES: [(&str, &str, u32); 3] = [
    // The API token may come to stand in it.
    ("doproxy.yml", include_str!("../../../templates/init/doproxy.yml"), 0o600),
    ("user-data.sh", include_str!("../../../templates/init/user-data.sh"), 0o644),
    ("haproxy.cfg.tera", haproxy::BUILT_IN_TEMPLATE, 0o644),
];

/// The unit of `--service`.
const UNIT: (&str, &str, u32) = ("doproxy.service", include_str!("../../../templates/systemd/doproxy.service"), 0o644);

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.dir).with_context(|| format!("cannot make the folder {}", args.dir.display()))?;
    for (name, text, mode) in FILES.into_iter().chain(args.service.then_some(UNIT)) {
        let path = args.dir.join(name);
        let shown = path.display();
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("cannot write {shown}"))?;
                say!("wrote {shown}");
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => say!("kept {shown}, which is there already"),
            Err(error) => return Err(error).with_context(|| format!("cannot write {shown}")),
        }
    }
    say!("Next: edit doproxy.yml, set DIGITALOCEAN_TOKEN, and run `doproxy check`.");
    Ok(())
}
