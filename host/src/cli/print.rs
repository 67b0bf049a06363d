//! `doproxy print`: lists the fleet, one droplet per line, with a single list call.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use doproxy_core::domain::{Droplet, DropletId, DropletName, Phase};
use doproxy_core::seams::{CloudInstance, CloudProvider, Filter, Inventory, Snapshot};
use serde::Serialize;

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{AlreadyReported, Global, output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy print\n  doproxy print --json | jq -r '.[].address'")]
pub(super) struct Args {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

/// The printed fields of a droplet.
#[derive(Debug, Serialize)]
struct Row<'a> {
    line: usize,
    name: &'a DropletName,
    id: Option<DropletId>,
    phase: Phase,
    phase_since: String,
    /// The status reported by the API; `not listed` if the API has no such droplet, `None` if the API was not queried.
    status: Option<String>,
    address: Option<IpAddr>,
    size: &'a str,
    region: &'a str,
    image: &'a str,
    hourly_price: f64,
    created_at: String,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}) {}  (pvt ip: ", self.line, self.name)?;
        match self.address {
            Some(address) => write!(f, "{address}")?,
            None => f.write_str("-")?,
        }
        write!(f, ", status: {}", self.status.as_deref().unwrap_or("?"))?;
        match self.id {
            Some(id) => write!(f, ", id: {id}")?,
            None => f.write_str(", id: -")?,
        }
        if self.phase != Phase::Serving {
            write!(f, ", {}", self.phase)?;
        }
        f.write_str(")")
    }
}

pub(super) async fn run(global: &Global, args: &Args) -> anyhow::Result<()> {
    let context = CommandContext::load_with_advice(global)?;
    let snapshot = match context.existing_inventory()? {
        Some(inventory) => inventory.load().await?,
        None => Snapshot::default(),
    };
    let listed = if snapshot.droplets.is_empty() { Ok(Vec::new()) } else { list(&context).await };
    let rows = rows(&snapshot, listed.as_deref().ok());
    if args.json {
        out!("{}", serde_json::to_string_pretty(&rows)?);
    } else if rows.is_empty() {
        out!("The fleet is empty. Run `doproxy create` to create its first droplet.");
        if let Some(old) = &context.config.old_inventory {
            out!("Run `doproxy import {}` to import the droplets of DOProxy.", old.display());
        }
    }
    if !args.json {
        for row in &rows {
            out!("{row}");
        }
    }
    match listed {
        Ok(listed) => {
            warn_about_drift(&snapshot, &listed);
            Ok(())
        }
        Err(error) => {
            output::warn(format_args!(
                "showing the inventory only; failed to query the API: {}",
                output::format_error(&error)
            ));
            Err(AlreadyReported.into())
        }
    }
}

async fn list(context: &CommandContext) -> anyhow::Result<Vec<CloudInstance>> {
    let (cloud, _) = context.cloud()?;
    let listed = cloud.list(&Filter::Tag(context.config.fleet.tag())).await;
    listed.map_err(|error| {
        let hint = error.hint();
        anyhow::Error::new(error).context(hint)
    })
}

fn rows<'a>(snapshot: &'a Snapshot, listed: Option<&[CloudInstance]>) -> Vec<Row<'a>> {
    let by_id: Option<HashMap<DropletId, &CloudInstance>> =
        listed.map(|listed| listed.iter().map(|droplet| (droplet.id, droplet)).collect());
    let row = |(line, droplet): (usize, &'a Droplet)| Row {
        line,
        name: &droplet.name,
        id: droplet.id,
        phase: droplet.phase,
        phase_since: droplet.phase_since.to_string(),
        status: by_id.as_ref().map(|by_id| status(droplet, by_id)),
        address: droplet.address,
        size: &droplet.template.size,
        region: &droplet.template.region,
        image: &droplet.template.image,
        hourly_price: droplet.hourly_price.dollars(),
        created_at: droplet.created_at.to_string(),
    };
    snapshot.droplets.iter().enumerate().map(row).collect()
}

fn status(droplet: &Droplet, by_id: &HashMap<DropletId, &CloudInstance>) -> String {
    match droplet.id.map(|id| by_id.get(&id)) {
        None => "not created yet".to_owned(),
        Some(Some(found)) => found.status.to_string(),
        Some(None) => "not listed".to_owned(),
    }
}

fn warn_about_drift(snapshot: &Snapshot, listed: &[CloudInstance]) {
    let ids: Vec<DropletId> = listed.iter().map(|droplet| droplet.id).collect();
    for droplet in &snapshot.droplets {
        if let Some(id) = droplet.id.filter(|id| !ids.contains(id) && droplet.phase != Phase::Deleting) {
            output::warn(format_args!(
                "{} (id {id}) is missing from DigitalOcean's list of this fleet; the next create, delete or reload determines whether it still exists",
                droplet.name
            ));
        }
    }
    for found in listed.iter().filter(|found| snapshot.droplets.iter().all(|known| known.id != Some(found.id))) {
        let is_asked_for = snapshot.droplets.iter().any(|d| d.id.is_none() && d.name.as_str() == found.name);
        if !is_asked_for {
            output::warn(format_args!(
                "droplet {} has this fleet's tag but is not in the inventory; leaving it alone",
                found.id
            ));
        }
    }
}

/// Checks the printed lines without an API.
#[cfg(test)]
mod tests {
    use doproxy_core::domain::{HourlyPrice, Template, Timestamp};

    use super::*;

    fn droplet(index: u32, id: Option<u64>, phase: Phase) -> Droplet {
        Droplet {
            name: DropletName::parse(format!("auto-nginx-{index}")).unwrap(),
            index,
            id: id.map(DropletId),
            phase,
            phase_since: Timestamp(0),
            created_at: Timestamp(0),
            template: Template {
                size: "s-1vcpu-1gb".into(),
                region: "nyc3".into(),
                image: "debian-12-x64".into(),
                tags: vec![],
            },
            hourly_price: HourlyPrice::default(),
            address: id.map(|_| "10.128.0.65".parse().unwrap()),
            protected: false,
        }
    }

    #[test]
    fn rows_show_address_and_phase() {
        let droplets = vec![
            droplet(0, Some(3_164_445), Phase::Serving),
            droplet(1, Some(7), Phase::Draining),
            droplet(2, None, Phase::Requested),
        ];
        let snapshot = Snapshot { droplets, ..Snapshot::default() };

        let lines: Vec<String> = rows(&snapshot, None).iter().map(ToString::to_string).collect();

        insta::assert_snapshot!(lines.join("\n"), @r"
        0) auto-nginx-0  (pvt ip: 10.128.0.65, status: ?, id: 3164445)
        1) auto-nginx-1  (pvt ip: 10.128.0.65, status: ?, id: 7, draining)
        2) auto-nginx-2  (pvt ip: -, status: ?, id: -, requested)
        ");
    }
}
