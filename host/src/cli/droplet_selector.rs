//! How a droplet is named on the command line: by its line, its name or its id, and by nothing else.

use super::UsageError;
use crate::inventory::Snapshot;
use crate::model::{Droplet, DropletId};

/// Which droplet is meant.
#[derive(Debug, clap::Args)]
pub(super) struct DropletSelector {
    /// The line that `doproxy print` shows, or the droplet's name.
    #[arg(value_name = "LINE|NAME", required_unless_present = "id", conflicts_with = "id")]
    line_or_name: Option<String>,
    /// The droplet's id.
    #[arg(long, value_name = "ID")]
    id: Option<u64>,
}

impl DropletSelector {
    /// The droplet that is meant.
    pub(super) fn find<'a>(&self, snapshot: &'a Snapshot) -> Result<&'a Droplet, UsageError> {
        if let Some(id) = self.id {
            let of_id = snapshot.droplets.iter().find(|droplet| droplet.id == Some(DropletId(id)));
            return of_id.ok_or_else(|| {
                UsageError(format!("no droplet of this fleet has the id {id}; `doproxy print` shows them"))
            });
        }
        let which = self.line_or_name.as_deref().unwrap_or_default();
        let line = which.parse::<usize>().ok().and_then(|line| snapshot.droplets.get(line));
        if let Some(named) = snapshot.droplets.iter().find(|droplet| droplet.name.as_str() == which) {
            // A droplet that was taken over may have a number for a name.
            if line.is_some_and(|line| line.name != named.name) {
                return Err(UsageError(format!("{which:?} is a line and the name of another droplet; say --id")));
            }
            return Ok(named);
        }
        let lines = snapshot.droplets.len();
        if which.bytes().all(|byte| byte.is_ascii_digit()) {
            return line.ok_or_else(|| match lines {
                0 => UsageError(format!("there is no line {which}: the inventory is empty")),
                1 => UsageError(format!("there is no line {which}: `doproxy print` shows line 0 only")),
                _ => UsageError(format!("there is no line {which}: `doproxy print` shows lines 0 to {}", lines - 1)),
            });
        }
        Err(UsageError(format!(
            "{which:?} is neither a line of `doproxy print` nor the name of a droplet of this fleet"
        )))
    }
}
