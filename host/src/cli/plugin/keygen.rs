//! `doproxy plugin keygen`: generates a key pair.

use std::path::PathBuf;

use doproxy_plugin_registry::PrivateKey;

use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin keygen                  plugin.key and plugin.pub\n  doproxy plugin keygen --out release    release.key and release.pub"
)]
pub(super) struct Args {
    /// Name of the two files, without extension.
    #[arg(long, value_name = "NAME", default_value = "plugin")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let named = |ending: &str| {
        let mut name = args.out.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let (private, public) = (named(".key"), named(".pub"));
    let key = PrivateKey::generate();
    key.write_pair(&private, &public)?;
    out!("wrote {} (ECDSA P-256, key {}); keep it private", private.display(), key.public().fingerprint());
    out!(
        "wrote {}; list it under plugins.trust wherever plugins signed with this key are to be accepted",
        public.display()
    );
    Ok(())
}
