//! Selection of a droplet on the command line: by line, name or ID only.

use doproxy_core::domain::{Droplet, DropletId};
use doproxy_core::seams::Snapshot;

use crate::cli::UsageError;

/// A droplet selected on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct DropletSelector {
    /// Line number shown by `doproxy print`, or droplet name.
    #[arg(value_name = "LINE|NAME", required_unless_present = "id", conflicts_with = "id")]
    line_or_name: Option<String>,
    /// Droplet ID.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
}

impl DropletSelector {
    /// Returns the selected droplet.
    pub(super) fn find<'a>(&self, snapshot: &'a Snapshot) -> Result<&'a Droplet, UsageError> {
        if let Some(id) = self.id {
            let of_id = snapshot.droplets.iter().find(|droplet| droplet.id == Some(DropletId(id)));
            return of_id.ok_or_else(|| {
                UsageError(format!("no droplet of this fleet has the ID {id}; run `doproxy print` to list them"))
            });
        }
        let which = self.line_or_name.as_deref().unwrap_or_default();
        let line = which.parse::<usize>().ok().and_then(|line| snapshot.droplets.get(line));
        if let Some(named) = snapshot.droplets.iter().find(|droplet| droplet.name.as_str() == which) {
            // An imported droplet may have a number as its name.
            if line.is_some_and(|line| line.name != named.name) {
                return Err(UsageError(format!(
                    "{which:?} is both a line number and the name of another droplet; use --id"
                )));
            }
            return Ok(named);
        }
        let lines = snapshot.droplets.len();
        if which.bytes().all(|byte| byte.is_ascii_digit()) {
            return line.ok_or_else(|| match lines {
                0 => UsageError(format!("line {which} does not exist: the inventory is empty")),
                1 => UsageError(format!("line {which} does not exist; `doproxy print` shows only line 0")),
                _ => UsageError(format!("line {which} does not exist; `doproxy print` shows lines 0 to {}", lines - 1)),
            });
        }
        Err(UsageError(format!(
            "{which:?} is neither a line number of `doproxy print` nor the name of a droplet of this fleet"
        )))
    }
}
