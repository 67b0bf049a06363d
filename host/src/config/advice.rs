//! What a valid file would rather say: things that work, and that there is a better way for.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::file::File;

/// Something that works and could be better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The key that it is about.
    pub key: &'static str,
    /// What to do, and why.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// Whether a template is one of DOProxy's, which only Ruby can render.
pub(super) fn is_erb(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("erb"))
}

/// `path` is where the file is.
pub(super) fn advice(file: &File, path: &Path) -> Vec<Advice> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut advice = Vec::new();
    let mut say = |key, text: String| advice.push(Advice { key, text });
    if file.token.is_some() {
        let elsewhere = "put the token into DIGITALOCEAN_TOKEN or a token_file with mode 0600, and not into this file";
        if std::fs::metadata(path).is_ok_and(|metadata| is_world_readable(&metadata)) {
            say(
                "token",
                format!(
                    "EVERYBODY on this machine can read it, and with it delete every droplet of the account: {elsewhere}; then make a new token and revoke this one"
                ),
            );
        } else {
            say("token", elsewhere.to_owned());
        }
    }
    if let Some(path) = file.haproxy_template_file.as_ref().filter(|path| is_erb(path)) {
        say(
            "haproxy_template_file",
            format!(
                "{} is an ERB template, which only DOProxy can render (and HAProxy refuses its directives since 2.1); the built-in template is used. Remove the key, or name a Tera template: `doproxy init` writes one",
                path.display()
            ),
        );
    }
    if file.user_data.is_some() && file.userdata_file.is_some() {
        say("userdata_file", "user_data names a plugin, which goes before this file; remove one of the two".to_owned());
    }
    if let Some(path) = file.inventory_file.as_ref().filter(|path| dir.join(path).is_file()) {
        say(
            "inventory_file",
            format!(
                "DOProxy's inventory is read once, by `doproxy import {}`; the inventory is in SQLite now. Remove the key afterwards",
                path.display()
            ),
        );
    }
    if file.metrics.uses_agent() && !file.droplet_options.monitoring {
        say(
            "metrics",
            "a digitalocean source reads what the agent says, which is installed with `droplet_options.monitoring: true` alone".to_owned(),
        );
    }
    if file.scaling.timeouts.poll.is_some_and(|span| span.0.is_zero()) {
        say(
            "scaling.timeouts.poll",
            "0 asks the API without a pause; DigitalOcean allows 250 requests a minute".to_owned(),
        );
    }
    advice
}

/// Whether others than its owner and its group may read a file.
pub(super) fn is_world_readable(metadata: &std::fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o004 != 0
}
