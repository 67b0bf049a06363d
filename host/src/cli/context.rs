//! The context of a command: the configuration and the components it describes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use doproxy_config::{Config, Environment, PolicyConfig, TokenSource, UserDataConfig};
use doproxy_controller::{Controller, EventSink, NameGenerator, Settings, UserDataSource};
use doproxy_core::domain::UserData;
use doproxy_core::pipeline::ScalingRules;
use doproxy_core::seams::Platform;
use doproxy_digitalocean as digitalocean;
use doproxy_digitalocean::DigitalOcean;
use doproxy_haproxy::HaProxy;
use doproxy_inventory_sqlite::{SqliteInventory, WriteLock};
use doproxy_metrics as metrics;
use doproxy_plugin_host::{ConfiguredPolicy, PluginHost};
use doproxy_support::Clock;

use crate::cli::output::Progress;
use crate::cli::{Global, UsageError, output};

/// The controller that talks to the real DigitalOcean and HAProxy.
/// DigitalOcean behind HAProxy, with the inventory in a SQLite file.
#[derive(Debug)]
pub(crate) enum Production {}

impl Platform for Production {
    type Cloud = DigitalOcean;
    type Balancer = HaProxy;
    type Inventory = SqliteInventory;
}

pub(super) type ProductionController = Controller<Production>;

/// The configuration of this invocation and the components built from it.
pub(super) struct CommandContext {
    pub(super) config: Config,
    environment: Environment,
    inventory: PathBuf,
    wait: Duration,
    /// Created on first use, because most commands run no plugin.
    plugins: OnceLock<PluginHost>,
    /// Allows pruning the inventory even if none of its droplets exist at the API.
    pub(super) allow_empty_cloud: bool,
}

impl CommandContext {
    /// Reads the configuration.
    pub(super) fn load(global: &Global) -> anyhow::Result<Self> {
        let config = Config::load(&global.config)?;
        let inventory = global.inventory.clone().unwrap_or_else(|| config.inventory.clone());
        Ok(Self {
            config,
            environment: global.environment.clone(),
            inventory,
            wait: global.wait.0,
            plugins: OnceLock::new(),
            allow_empty_cloud: false,
        })
    }

    /// Reads the configuration and prints its advice as warnings.
    pub(super) fn load_with_advice(global: &Global) -> anyhow::Result<Self> {
        let context = Self::load(global)?;
        for advice in &context.config.advice {
            output::warn(format_args!("{}: {advice}", context.config.path.display()));
        }
        Ok(context)
    }

    /// Returns the API client and the source of its token.
    pub(super) fn cloud(&self) -> anyhow::Result<(DigitalOcean, TokenSource)> {
        let (token, source) = self.config.token(&self.environment)?;
        let url = self.environment.api_url()?.unwrap_or_else(|| self.config.api_url.clone());
        Ok((DigitalOcean::new(digitalocean::Options::new(url, token))?, source))
    }

    /// Returns the HAProxy load balancer.
    pub(super) fn balancer(&self) -> anyhow::Result<HaProxy> {
        Ok(HaProxy::new(self.config.haproxy.clone())?)
    }

    /// Returns the plugin host, which is created once and then shared.
    pub(super) fn plugins(&self) -> anyhow::Result<PluginHost> {
        if let Some(host) = self.plugins.get() {
            return Ok(host.clone());
        }
        let host = crate::cli::plugin::host(self.config.plugins.clone())?;
        Ok(self.plugins.get_or_init(|| host).clone())
    }

    /// Returns the path of the inventory.
    pub(super) fn inventory_path(&self) -> &Path {
        &self.inventory
    }

    /// Opens the inventory for writing. The caller must hold its lock to change it.
    pub(super) fn inventory(&self) -> anyhow::Result<SqliteInventory> {
        let inventory = SqliteInventory::open_with_backup(&self.inventory)?;
        inventory.bind_fleet(&self.config.fleet)?;
        Ok(inventory)
    }

    /// Opens the inventory if it already exists.
    pub(super) fn existing_inventory(&self) -> anyhow::Result<Option<SqliteInventory>> {
        let existing = SqliteInventory::open_existing(&self.inventory)?;
        if let Some(inventory) = &existing {
            inventory.bind_fleet(&self.config.fleet)?;
        }
        Ok(existing)
    }

    /// Returns the path of the metrics database, which may not exist yet.
    pub(super) fn metrics_database_file(&self) -> PathBuf {
        self.config.metrics_database_path(&self.inventory)
    }

    /// Acquires the fleet lock. Other processes report `command` as the holder while they wait.
    pub(super) async fn lock(&self, command: &str, progress: &Progress) -> anyhow::Result<WriteLock> {
        let report_holder =
            |holder: &str| progress.println(format_args!("waiting for {holder}, which holds the fleet lock"));
        Ok(WriteLock::acquire(&self.inventory, self.wait, command, report_holder).await?)
    }

    /// Returns the source of user data. A generator plugin is loaded and its configuration validated.
    async fn user_data(&self) -> anyhow::Result<UserDataSource> {
        match &self.config.user_data {
            UserDataConfig::None => Ok(UserDataSource::Fixed(UserData::parse("")?)),
            UserDataConfig::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| UsageError(format!("failed to read userdata_file {}: {error}", path.display())))?;
                let data = UserData::parse(text).with_context(|| format!("userdata_file {}", path.display()))?;
                Ok(UserDataSource::Fixed(data))
            }
            UserDataConfig::Plugin { plugin, config } => {
                let generator = self.plugins()?.generator(plugin).await?;
                generator.validate(config).await?;
                Ok(UserDataSource::Plugin { generator: Box::new(generator), config: config.clone() })
            }
        }
    }

    /// Returns the controller's settings.
    pub(super) async fn settings(&self) -> anyhow::Result<Settings> {
        let config = &self.config;
        Ok(Settings {
            fleet: config.fleet.clone(),
            hostname_prefix: config.hostname_prefix.clone(),
            template: config.template.clone(),
            ssh_keys: config.ssh_keys.clone(),
            vpc_uuid: config.vpc_uuid.clone(),
            monitoring: config.monitoring,
            address: config.droplet_address,
            user_data: self.user_data().await?,
            deadlines: config.deadlines.clone(),
            max_create_per_hour: config.rules.max_create_per_hour,
            allow_empty_cloud: self.allow_empty_cloud,
        })
    }

    /// Returns the scaling limits and guard rules set by the operator.
    pub(super) fn scaling_rules(&self) -> ScalingRules {
        ScalingRules { limits: self.config.limits, rules: self.config.rules.clone() }
    }

    /// Loads the policies and validates their configurations.
    pub(super) async fn policies(&self) -> anyhow::Result<Vec<ConfiguredPolicy>> {
        let host = self.plugins()?;
        let mut policies = Vec::new();
        for PolicyConfig { name, plugin, config, mode } in &self.config.policies {
            let policy = host.policy(plugin).await?;
            policy.validate(config).await?;
            for unmet in metrics::unmet_requirements(&self.config.metrics, name, &policy.manifest().metrics) {
                output::warn(unmet);
            }
            policies.push(ConfiguredPolicy { name: name.clone(), mode: *mode, policy, config: config.clone() });
        }
        Ok(policies)
    }

    /// Builds the controller with all its components.
    pub(super) async fn controller(&self, progress: &Progress) -> anyhow::Result<ProductionController> {
        self.controller_with_inventory(self.inventory()?, progress.reporter()).await
    }

    /// Builds the controller on an inventory that is already open. Events go to `reporter`.
    pub(super) async fn controller_with_inventory(
        &self,
        inventory: SqliteInventory,
        reporter: EventSink,
    ) -> anyhow::Result<ProductionController> {
        let (cloud, _) = self.cloud()?;
        Ok(Controller::new(
            cloud,
            self.balancer()?,
            inventory,
            self.settings().await?,
            Clock::from_wall_clock(),
            NameGenerator::random(),
            reporter,
        ))
    }
}

/// Resumes the operations that an earlier command left open.
pub(super) async fn resume_operations(controller: &ProductionController, progress: &Progress) -> anyhow::Result<()> {
    let summary = controller
        .resume(|snapshot| {
            let open = output::count(snapshot.operations.len(), "operation");
            progress.println(format_args!("resuming {open} of an earlier command"));
        })
        .await?;
    // These failures belong to the earlier command, and its leftovers are cleaned up by now.
    for (_, why) in &summary.abandoned {
        output::warn(why);
    }
    Ok(())
}
