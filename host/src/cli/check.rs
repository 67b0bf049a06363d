//! `doproxy check`: validates everything a fleet depends on. Runs every check even if one fails, and changes nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doproxy_config::UserDataConfig;
use doproxy_core::domain::{DropletId, Mode};
use doproxy_core::seams::{CloudProvider, ErrorClass, Filter, Inventory};
use doproxy_digitalocean::DigitalOcean;
use doproxy_metrics as metrics;
use doproxy_metrics::{Collector, SeriesStatus, SourceStatus, TimeSeriesStore};
use doproxy_support::Clock;

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{AlreadyReported, Global, output};

/// Upper bound for polling all sources; each source has a shorter timeout of its own.
const MAX_COLLECT_TIME: Duration = Duration::from_mins(2);

/// The checklist printed by `check`.
struct Checklist {
    failed: usize,
    colored: bool,
}

impl Checklist {
    fn pass(&self, what: &str, detail: impl fmt::Display) {
        self.line("✓", "32", what, detail);
    }

    fn warn(&self, what: &str, detail: impl fmt::Display) {
        self.line("!", "33", what, detail);
    }

    fn fail(&mut self, what: &str, detail: impl fmt::Display) {
        self.failed += 1;
        self.line("✗", "31", what, detail);
    }

    fn record(&mut self, what: &str, result: Result<impl fmt::Display, impl fmt::Display>) {
        match result {
            Ok(detail) => self.pass(what, detail),
            Err(detail) => self.fail(what, detail),
        }
    }

    fn line(&self, mark: &str, color: &str, what: &str, detail: impl fmt::Display) {
        // Further lines of a detail are indented below the first.
        let detail = detail.to_string().replace('\n', "\n                 ");
        if self.colored {
            out!("\x1b[{color}m{mark}\x1b[0m {what:13}  {detail}");
        } else {
            out!("{mark} {what:13}  {detail}");
        }
    }
}

pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    let context = CommandContext::load(global)?;
    let mut list = Checklist { failed: 0, colored: output::is_stdout_colored() };
    list.pass("configuration", format_args!("{}, fleet {}", context.config.path.display(), context.config.fleet));
    for advice in &context.config.advice {
        list.warn(advice.key, &advice.text);
    }
    let mut api = None;
    match context.cloud() {
        Err(error) => list.fail("token", output::format_error(&error)),
        Ok((cloud, source)) => {
            if let Some(room) = account(&cloud, &source.to_string(), &mut list).await {
                droplet_options(&context, &cloud, &mut list).await;
                let droplets = fleet(&context, &cloud, room, &mut list).await;
                api = Some((cloud, droplets));
            }
        }
    }
    user_data(&context, &mut list).await;
    policies(&context, &mut list).await;
    haproxy(&context, &mut list).await;
    inventory(&context, &mut list).await;
    metrics(&context, api, &mut list).await;
    if list.failed == 0 {
        out!("all checks passed");
        return Ok(());
    }
    out!("{} failed", output::count(list.failed, "check"));
    Err(AlreadyReported.into())
}

/// Returns the droplet limit, or `None` if further API calls make no sense.
async fn account(cloud: &DigitalOcean, source: &str, list: &mut Checklist) -> Option<u32> {
    match cloud.account().await {
        Ok(account) => {
            list.pass(
                "token",
                format_args!("from {source}; account {}, droplet limit {}", account.status, account.droplet_limit),
            );
            Some(account.droplet_limit)
        }
        // A token without the account:read scope is sufficient for everything else.
        Err(error) if error.status == Some(403) => {
            list.warn(
                "token",
                format_args!("from {source}; lacks the account:read scope, so the droplet limit is unknown"),
            );
            Some(u32::MAX)
        }
        Err(error) => {
            list.fail("token", format_args!("from {source}; {}", error.with_hint()));
            None
        }
    }
}

async fn droplet_options(context: &CommandContext, cloud: &DigitalOcean, list: &mut Checklist) {
    let template = &context.config.template;
    match cloud.sizes().await {
        Err(error) => list.fail("size", error.with_hint()),
        Ok(sizes) => match sizes.iter().find(|size| size.slug == template.size) {
            None => list.fail("size", format_args!("size {:?} not found", template.size)),
            Some(size) if !size.available => {
                list.fail("size", format_args!("{} is currently unavailable", size.slug));
            }
            Some(size) if !size.regions.contains(&template.region) => list.fail(
                "size",
                format_args!(
                    "{} is not available in {}; choose one of its regions: {}",
                    size.slug,
                    template.region,
                    size.regions.join(", ")
                ),
            ),
            Some(size) => list.pass("size", format_args!("{} at {}", size.slug, size.hourly_price)),
        },
    }
    match cloud.regions().await {
        Err(error) => list.fail("region", error.with_hint()),
        Ok(regions) => match regions.iter().find(|region| region.slug == template.region) {
            None => list.fail("region", format_args!("region {:?} not found", template.region)),
            Some(region) if !region.available => {
                list.fail("region", format_args!("{} does not accept new droplets", region.slug));
            }
            Some(region) => list.pass("region", &region.slug),
        },
    }
    match cloud.image(&template.image).await {
        Err(error) if error.class == ErrorClass::NotFound => {
            list.fail("image", format_args!("image {:?} not found", template.image));
        }
        Err(error) => list.fail("image", error.with_hint()),
        Ok(image) if !image.regions.contains(&template.region) => {
            list.fail(
                "image",
                format_args!("{} is not available in {}; transfer it there", template.image, template.region),
            );
        }
        Ok(_) => list.pass("image", &template.image),
    }
    if context.config.ssh_keys.is_empty() {
        list.warn("ssh_key_ids", "none; DigitalOcean emails a root password for each droplet");
        return;
    }
    match cloud.ssh_keys().await {
        Err(error) => list.fail("ssh_key_ids", error.with_hint()),
        Ok(keys) => {
            let is_there = |configured: &String| {
                keys.iter().any(|key| key.id.to_string() == *configured || key.fingerprint == *configured)
            };
            let missing: Vec<&str> =
                context.config.ssh_keys.iter().filter(|key| !is_there(key)).map(String::as_str).collect();
            if missing.is_empty() {
                list.pass("ssh_key_ids", output::count(context.config.ssh_keys.len(), "key"));
            } else {
                list.fail("ssh_key_ids", format_args!("not found in the account: {}", missing.join(", ")));
            }
        }
    }
}

/// Returns the IDs of the fleet's droplets.
async fn fleet(
    context: &CommandContext,
    cloud: &DigitalOcean,
    droplet_limit: u32,
    list: &mut Checklist,
) -> Vec<DropletId> {
    let max = context.config.limits.max;
    if max > droplet_limit {
        list.warn("scaling.max", format_args!("{max} exceeds the account's limit of {droplet_limit} droplets"));
    }
    let tag = context.config.fleet.tag();
    match cloud.list(&Filter::Tag(tag.clone())).await {
        Err(error) => {
            list.fail("fleet", error.with_hint());
            Vec::new()
        }
        Ok(seen) => {
            list.pass("fleet", format_args!("{} with the tag {tag}", output::count(seen.len(), "droplet")));
            seen.into_iter().map(|droplet| droplet.id).collect()
        }
    }
}

async fn user_data(context: &CommandContext, list: &mut Checklist) {
    let written = match context.settings().await {
        Ok(settings) => settings.sample_user_data().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    let from = match &context.config.user_data {
        UserDataConfig::None => String::new(),
        UserDataConfig::File(path) => format!(" from {}", path.display()),
        UserDataConfig::Plugin { plugin, .. } => format!(" from {plugin}"),
    };
    match written {
        Ok(data) => list.pass("user data", format_args!("{}, {} bytes{from}", data.kind(), data.as_str().len())),
        Err(error) => list.fail("user data", output::format_error(&error)),
    }
}

async fn policies(context: &CommandContext, list: &mut Checklist) {
    let host = match context.plugins() {
        Ok(host) => host,
        Err(error) => return list.fail("plugins", output::format_error(&error)),
    };
    if context.config.policies.is_empty() {
        list.warn("policy", "none; the fleet changes only through commands");
    }
    for policy in &context.config.policies {
        let mode = if policy.mode == Mode::Shadow { ", in shadow mode" } else { "" };
        let checked = match host.policy(&policy.plugin).await {
            Ok(loaded) => {
                for unmet in
                    metrics::unmet_requirements(&context.config.metrics, &policy.name, &loaded.manifest().metrics)
                {
                    if unmet.required {
                        list.fail("policy", unmet);
                    } else {
                        list.warn("policy", unmet);
                    }
                }
                loaded
                    .validate(&policy.config)
                    .await
                    .map(|()| format!("{} {}{mode}", policy.plugin, loaded.manifest().version))
            }
            Err(error) => Err(error),
        };
        list.record("policy", checked);
    }
}

async fn haproxy(context: &CommandContext, list: &mut Checklist) {
    let options = &context.config.haproxy;
    let template =
        options.template.as_ref().map_or("the built-in template".to_owned(), |path| path.display().to_string());
    let checked = match context.balancer() {
        Ok(balancer) => balancer.check(&[]).await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => {
            list.pass("haproxy", format_args!("accepts {template}; installed at {}", options.config_file.display()));
        }
        Err(error) => list.fail("haproxy", output::format_error(&error)),
    }
}

async fn inventory(context: &CommandContext, list: &mut Checklist) {
    let found = match context.existing_inventory() {
        Err(error) => return list.fail("inventory", output::format_error(&error)),
        Ok(found) => found,
    };
    let Some(inventory) = found else {
        return list.pass("inventory", "does not exist yet; the first create makes it");
    };
    match inventory.load().await {
        Err(error) => list.fail("inventory", error),
        Ok(snapshot) => {
            let droplets = output::count(snapshot.droplets.len(), "droplet");
            list.pass(
                "inventory",
                format_args!("{droplets}, {}", output::count(snapshot.operations.len(), "open operation")),
            );
        }
    }
}

/// Polls each source once and reports an unusable metrics database.
async fn metrics(context: &CommandContext, api: Option<(DigitalOcean, Vec<DropletId>)>, list: &mut Checklist) {
    let now = Clock::from_wall_clock().now();
    let database = context.metrics_database_file();
    if database.exists()
        && let Err(error) = TimeSeriesStore::open_read_only(&database, now)
    {
        list.warn("metrics.database", error);
    }
    let (cloud, droplets) = api.unzip();
    let options = metrics::Options { poll_wait: MAX_COLLECT_TIME, ..context.config.metrics.clone() };
    let mut collector = Collector::new(options, Arc::new(TimeSeriesStore::in_memory()), cloud.as_ref());
    collector.set_droplets(droplets.unwrap_or_default());
    collector.collect(now, None).await;
    // HAProxy is always the first source and may not be running yet.
    for source in collector.sources(now).into_iter().skip(1) {
        let SourceStatus { name, description, series, failure } = source;
        if let Some((_, why)) = failure {
            list.fail("metric", format_args!("{name}: {why}"));
        } else if series.is_empty() {
            list.warn("metric", format_args!("{name}: no data yet from {description}"));
        }
        for SeriesStatus { name, unit, newest, .. } in series {
            let value = newest.map_or("no data yet".to_owned(), |sample| format!("{} {unit}", sample.value));
            list.pass("metric", format_args!("{name}: {}, from {description}", value.trim_end()));
        }
    }
}
