//! `doproxy run --once`: one whole tick.

use std::time::Duration;

use super::record::Writer;
use super::{Global, Usage};
use crate::cli::app::{App, carry_on};
use crate::cli::create::created;
use crate::cli::describe::describe;
use crate::cli::look::{look, needs};
use crate::cli::output::{Progress, say};
use crate::history::History;
use crate::model::Mode;
use crate::record::Recorder;

/// A rate needs two looks that differ.
pub(in crate::cli) const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

pub(super) async fn run(global: &Global, window: Duration) -> anyhow::Result<()> {
    if window < SHORTEST_WINDOW {
        return Err(Usage("--window is at least 100ms: rates need some time between two looks".to_owned()).into());
    }
    let app = App::load_with_advice(global)?;
    if !app.config.policies.iter().any(|policy| policy.mode == Mode::Active) {
        return Err(Usage(format!(
            "{} names no active policy; add one under scaling.policies, `doproxy plugin list` shows what there is",
            app.config.path.display()
        ))
        .into());
    }
    let progress = Progress::new();
    let policies = app.policies().await?;
    let _lock = app.lock("run --once", &progress).await?;
    let controller = app.controller(&progress).await?;
    carry_on(&controller, &progress).await?;
    let needs = needs(&policies);
    let mut mind = controller.mind(policies).await?;
    let look = look(&app, &controller, needs, History::open, window).await?;
    let seen = look.seen();
    let mut tick = controller.plan(&mut mind, &app.bounds(), &seen).await?;
    progress.suspend(|| say!("{}", describe(&tick.record)));
    let begun = controller.commit(&mut mind, &mut tick).await;
    let recorder = Recorder::new(look.history(), app.config.records_retention);
    Writer::new(recorder, app.plugins()?).write_all(&tick.record).await;
    begun?;
    let acted = controller.finish_tick(&tick).await;
    progress.finish();
    let acted = acted?;
    for droplet in &acted.created {
        say!("{}", created(droplet));
    }
    for name in &acted.deleted {
        say!("deleted {name}");
    }
    acted.into_result()?;
    // The fleet was held and kept within its bounds; that a policy failed is a failure all the same.
    let failed = tick.record.answers.iter().find_map(|answer| answer.failure.as_deref());
    failed.map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure}")))
}
