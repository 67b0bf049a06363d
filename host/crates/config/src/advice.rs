//! Advice on a valid file: settings that work, but that have a better alternative.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::file::File;

/// A recommendation for a setting that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The key that the advice concerns.
    pub key: &'static str,
    /// The recommended action and its reason.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// Reports whether a template is an ERB template of DOProxy, which only Ruby can render.
pub(super) fn is_erb(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("erb"))
}

/// Returns the advice on the file at `path`.
pub(super) fn advice(file: &File, path: &Path) -> Vec<Advice> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut advice = Vec::new();
    let mut say = |key, text: String| advice.push(Advice { key, text });
    if file.token.is_some() {
        let elsewhere = "move the token from this file to DIGITALOCEAN_TOKEN or to a token_file with mode 0600";
        if std::fs::metadata(path).is_ok_and(|metadata| is_world_readable(&metadata)) {
            say(
                "token",
                format!(
                    "the token is readable by EVERY user of this machine and allows deleting every droplet of the account: {elsewhere}; then create a new token and revoke this one"
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
                "{} is an ERB template, which only DOProxy can render (HAProxy rejects its directives since 2.1); using the built-in template instead. Remove the key, or set a Tera template written by `doproxy init`",
                path.display()
            ),
        );
    }
    if file.user_data.is_some() && file.userdata_file.is_some() {
        say(
            "userdata_file",
            "ignored, because the plugin in user_data takes precedence; remove one of the two".to_owned(),
        );
    }
    if let Some(path) = file.inventory_file.as_ref().filter(|path| dir.join(path).is_file()) {
        say(
            "inventory_file",
            format!(
                "DOProxy's inventory is imported once with `doproxy import {}`; the inventory is now in SQLite. Remove the key afterwards",
                path.display()
            ),
        );
    }
    if file.metrics.uses_agent() && !file.droplet_options.monitoring {
        say(
            "metrics",
            "a digitalocean source reads the metrics of DigitalOcean's agent, which is only installed with `droplet_options.monitoring: true`".to_owned(),
        );
    }
    if file.scaling.poll_interval.is_some_and(|span| span.0.is_zero()) {
        say(
            "scaling.poll_interval",
            "0 polls the API continuously; DigitalOcean allows 250 requests per minute".to_owned(),
        );
    }
    advice
}

/// Reports whether users other than the file's owner and group can read it.
pub(super) fn is_world_readable(metadata: &std::fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o004 != 0
}
