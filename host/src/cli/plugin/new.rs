//! `doproxy plugin new`: creates a plugin project.

use std::path::PathBuf;

use clap::ValueEnum;
use doproxy_core::domain::PluginKind;
use doproxy_plugin_devkit::Language;
use doproxy_plugin_devkit::scaffold::scaffold;

use crate::cli::output::out;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doproxy plugin new calm --lang rust --kind policy\n  doproxy plugin new hello --lang python --kind user-data"
)]
pub(super) struct Args {
    /// Name of the plugin and its directory: a-z, 0-9 and -.
    name: String,
    /// Programming language.
    #[arg(long, value_name = "LANGUAGE")]
    lang: Lang,
    /// Kind of plugin.
    #[arg(long)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    Rust,
    Python,
    Js,
    C,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Scaling policy, which decides when to create and delete droplets.
    Policy,
    /// User-data generator, which writes the user data of a droplet.
    UserData,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let language = match args.lang {
        Lang::Rust => Language::Rust,
        Lang::Python => Language::Python,
        Lang::Js => Language::JavaScript,
        Lang::C => Language::C,
    };
    let kind = match args.kind {
        Kind::Policy => PluginKind::ScalingPolicy,
        Kind::UserData => PluginKind::UserDataGenerator,
    };
    let directory = PathBuf::from(&args.name);
    let files = scaffold(&directory, &args.name, language, kind)?;
    for file in &files {
        out!("{}", directory.join(file).display());
    }
    out!();
    out!("next:");
    out!("  cd {}", args.name);
    if let Some(toolchain) = toolchain(language) {
        out!("  {toolchain}");
    }
    out!("  doproxy plugin test");
    Ok(())
}

/// Returns the command that installs the toolchain.
const fn toolchain(language: Language) -> Option<&'static str> {
    match language {
        Language::Rust => None,
        Language::Python => Some("python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"),
        Language::JavaScript => Some("npm ci"),
        Language::C => Some("python3 -m venv .venv && .venv/bin/pip install ziglang==0.17.1"),
    }
}
