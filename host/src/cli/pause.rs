//! `doproxy pause` and `doproxy resume`: suspends and resumes automatic scaling, in one direction or both.

use doproxy_config::Span;
use doproxy_core::domain::{Direction, Pause, Pauses, Timestamp};
use doproxy_core::seams::Inventory;
use doproxy_support::{Clock, sanitize_line};

use crate::cli::context::CommandContext;
use crate::cli::output::out;
use crate::cli::{Global, UsageError};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "A pause suspends the decisions of policies and the guard, including repairs. Operations in progress continue, and so do\nmanual `create` and `delete`; `doproxy maintenance on` stops those too.\n\nExamples:\n  doproxy pause                            suspend scaling in both directions until `doproxy resume`\n  doproxy pause --in --for 2h \"launch\"     suspend scale-in for two hours"
)]
pub(super) struct Args {
    #[command(flatten)]
    directions: Directions,
    /// Duration of the pause; until `resume` if omitted.
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Span>,
    /// Reason, shown by `doproxy status`.
    #[arg(default_value = "")]
    reason: String,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  doproxy resume\n  doproxy resume --in")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    directions: Directions,
}

/// The selected scaling directions; both if none is selected.
#[derive(Debug, clap::Args)]
struct Directions {
    /// Select scale-in (deletions) only.
    #[arg(long = "in")]
    in_: bool,
    /// Select scale-out (creations) only.
    #[arg(long)]
    out: bool,
}

impl Directions {
    fn selected(&self) -> Vec<Direction> {
        match (self.out, self.in_) {
            (true, false) => vec![Direction::Out],
            (false, true) => vec![Direction::In],
            _ => vec![Direction::Out, Direction::In],
        }
    }
}

fn pause_mut(pauses: &mut Pauses, direction: Direction) -> &mut Option<Pause> {
    match direction {
        Direction::Out => &mut pauses.out,
        Direction::In => &mut pauses.in_,
    }
}

/// Formats the directions for messages, such as `scaling in and scaling out`.
fn describe(directions: &[Direction]) -> String {
    directions.iter().map(|direction| format!("scaling {direction}")).collect::<Vec<_>>().join(" and ")
}

/// Pauses scaling. Takes no lock and applies from the next decision on.
pub(super) async fn pause(global: &Global, args: &Args) -> anyhow::Result<()> {
    if args.time.is_some_and(|time| time.0.is_zero()) {
        return Err(UsageError("--for must be greater than 0; use `doproxy resume` to end a pause".to_owned()).into());
    }
    let reason = sanitize_line(&args.reason, 500);
    let inventory = CommandContext::load(global)?.inventory()?;
    let since = Clock::from_wall_clock().now();
    let pause = Pause { since, until: args.time.map(|time| since.plus(time.0)), reason: reason.trim().to_owned() };
    let directions = args.directions.selected();
    let mut pauses = inventory.pauses().await?;
    for direction in &directions {
        *pause_mut(&mut pauses, *direction) = Some(pause.clone());
    }
    inventory.set_pauses(&pauses).await?;
    let end = pause.until.map_or_else(|| "`doproxy resume`".to_owned(), |until| until.to_string());
    out!("paused {} until {end}", describe(&directions));
    Ok(())
}

pub(super) async fn resume(global: &Global, args: &ResumeArgs) -> anyhow::Result<()> {
    let inventory = CommandContext::load(global)?.inventory()?;
    let now = Clock::from_wall_clock().now();
    let mut pauses = inventory.pauses().await?;
    let named = args.directions.selected();
    let (lifted, running): (Vec<Direction>, Vec<Direction>) =
        named.into_iter().partition(|direction| is_paused(&pauses, *direction, now));
    if lifted.is_empty() {
        out!("{} was not paused", describe(&running));
        return Ok(());
    }
    for direction in &lifted {
        *pause_mut(&mut pauses, *direction) = None;
    }
    inventory.set_pauses(&pauses).await?;
    out!("resumed {}", describe(&lifted));
    Ok(())
}

fn is_paused(pauses: &Pauses, direction: Direction, now: Timestamp) -> bool {
    pauses.active(direction, now).is_some()
}
