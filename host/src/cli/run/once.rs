//! `doproxy run --once`: a single complete tick.

use std::time::Duration;

use doproxy_core::domain::Mode;
use doproxy_decision_log::LogWriter;
use doproxy_metrics::TimeSeriesStore;

use crate::cli::context::{CommandContext, resume_operations};
use crate::cli::create::describe_created;
use crate::cli::describe::describe;
use crate::cli::output::{Progress, out};
use crate::cli::run::decision_log::DecisionLogger;
use crate::cli::run::{Global, UsageError};
use crate::cli::sample_twice::{metric_requirements, sample_twice};

/// The shortest sampling window, because a rate needs two samples some time apart.
pub(crate) const MIN_WINDOW: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, window: Duration) -> anyhow::Result<()> {
    if window < MIN_WINDOW {
        return Err(UsageError(
            "--window must be at least 100ms, because rates need two samples some time apart".to_owned(),
        )
        .into());
    }
    let context = CommandContext::load_with_advice(global)?;
    if !context.config.policies.iter().any(|policy| policy.mode == Mode::Active) {
        return Err(UsageError(format!(
            "{} has no active policy; add one under scaling.policies (`doproxy plugin list` lists the available plugins)",
            context.config.path.display()
        ))
        .into());
    }
    let progress = Progress::new();
    let policies = context.policies().await?;
    let _lock = context.lock("run --once", &progress).await?;
    let controller = context.controller(&progress).await?;
    resume_operations(&controller, &progress).await?;
    let needs = metric_requirements(&policies);
    let mut state = controller.restore_state(policies).await?;
    let sample = sample_twice(&context, &controller, needs, TimeSeriesStore::open, window).await?;
    let input = sample.tick_input();
    let mut tick = controller.plan(&mut state, &context.scaling_rules(), &input).await?;
    progress.suspend(|| out!("{}", describe(&tick.record)));
    let started = controller.commit(&mut state, &mut tick).await;
    let recorder = LogWriter::new(sample.store(), context.config.decision_log_retention);
    DecisionLogger::new(recorder, context.plugins()?).write_all(&tick.record).await;
    started?;
    let summary = controller.finish_tick(&tick).await;
    progress.finish();
    let summary = summary?;
    for droplet in &summary.created {
        out!("{}", describe_created(droplet));
    }
    for name in &summary.deleted {
        out!("deleted {name}");
    }
    summary.into_result()?;
    // The fleet was held and kept within its limits, but a failed policy still fails the command.
    let failed = tick.record.evaluations.iter().find_map(|evaluation| evaluation.failure.as_deref());
    failed.map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure}")))
}
