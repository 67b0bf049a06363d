//! `doproxy reload`: configures HAProxy from the inventory.

use doproxy_controller::servers;
use doproxy_core::seams::CloudError;

use crate::cli::context::{CommandContext, resume_operations};
use crate::cli::output::{Progress, out};
use crate::cli::{Global, output};

pub(super) async fn run(global: &Global) -> anyhow::Result<()> {
    let context = CommandContext::load_with_advice(global)?;
    let progress = Progress::new();
    let _lock = context.lock("reload", &progress).await?;
    let controller = context.controller(&progress).await?;
    match resume_operations(&controller, &progress).await {
        // HAProxy can be reconfigured even while the API is unreachable.
        Err(error) if error.chain().any(<dyn std::error::Error + 'static>::is::<CloudError>) => output::warn(
            format_args!("failed to resume the operations of an earlier command: {}", output::format_error(&error)),
        ),
        carried_on => carried_on?,
    }
    // An explicit reload is always carried out: a certificate unknown to doproxy may have changed.
    controller.ensure_not_in_maintenance().await?;
    let servers = servers(&controller.load().await?.droplets);
    let reloaded = controller.balancer().reload(&servers).await;
    progress.finish();
    reloaded?;
    out!(
        "installed {} with {} and reloaded HAProxy",
        context.config.haproxy.config_file.display(),
        output::count(servers.len(), "server")
    );
    Ok(())
}
