//! `doproxy simulate --optimize`: searches the cheapest settings that meet the objective, and prints the configuration.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doproxy_plugin_host::ConfiguredPolicy;
use doproxy_simulation::{
    MAX_PARAMETERS, Objective, Parameter, Progress, Scenario, Score, estimate_ticks, policy_row, simulate,
    train_test_split, tune,
};

use crate::cli::output::out;
use crate::cli::simulate::{Args, bar};
use crate::cli::{UsageError, output, signals};

pub(super) async fn run(args: &Args, scenario: &Scenario, policies: Vec<ConfiguredPolicy>) -> anyhow::Result<()> {
    let [policy] = <[ConfiguredPolicy; 1]>::try_from(policies)
        .map_err(|policies| UsageError(format!("--optimize requires exactly one --policy, got {}", policies.len())))?;
    let schema: serde_json::Value = serde_json::from_str(&policy.policy.manifest().config_schema)?;
    let fields = args.optimize.iter().map(|text| Parameter::parse(text, &schema)).collect::<Result<Vec<_>, _>>();
    let fields = fields.map_err(|error| UsageError(error.to_string()))?;
    if fields.len() > MAX_PARAMETERS {
        return Err(
            UsageError(format!("--optimize accepts at most {MAX_PARAMETERS} settings, got {}", fields.len())).into()
        );
    }
    let objective = args.slo.parse::<Objective>().map_err(|error| UsageError(format!("--slo: {error}")))?;
    let (train, test) = train_test_split(scenario);
    if train.demand.is_empty() || test.demand.is_empty() {
        return Err(UsageError("--optimize requires a trace of at least three ticks".to_owned()).into());
    }
    let progress = Arc::new(Progress::default());
    let bar = bar(estimate_ticks(&train, fields.len()));
    let base: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&policy.config)?;
    let (shared, trained) = (Arc::clone(&progress), train);
    let mut running = tokio::task::spawn_blocking(move || {
        let best = tune(&trained, &policy.policy, &base, &fields, objective, &shared);
        (best, policy)
    });
    let mut stopped = false;
    let (best, policy) = loop {
        tokio::select! {
            done = &mut running => break done?,
            by = signals::wait_for_interrupt(), if !stopped => {
                by?;
                stopped = true;
                progress.stop.store(true, Ordering::Relaxed);
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => bar.set_position(progress.ticks.load(Ordering::Relaxed)),
        }
    };
    bar.finish_and_clear();
    let Some(best) = best? else {
        return Err(anyhow::anyhow!(
            "no setting was evaluated: the ranges contain no valid configuration, or the search was stopped immediately"
        ));
    };
    let chosen = ConfiguredPolicy { config: best.config.to_string(), ..policy };
    let limit = test.limit();
    let result = simulate(&test, &chosen, &Progress::default()).await;
    let checked = policy_row(&test, &limit, &chosen, &result).score;
    if stopped {
        output::warn("search stopped; showing the best result so far");
    }
    if !best.meets_objective {
        output::warn(format_args!(
            "no setting in these ranges meets {}; showing the one that misses it by the least",
            args.slo
        ));
    }
    if args.json {
        let (train, test) = (best.score, checked);
        out!(
            "{}",
            serde_json::to_string_pretty(
                &serde_json::json!({ "config": best.config, "holds": best.meets_objective, "train": train, "test": test })
            )?
        );
    } else {
        out!("training   {}", format_score(&best.score));
        out!("validation {}", format_score(&checked));
        out!("\nplugin: {}\nconfig:", chosen.policy.reference());
        for line in serde_yaml::to_string(&best.config)?.lines() {
            out!("  {line}");
        }
    }
    Ok(())
}

fn format_score(score: &Score) -> String {
    format!(
        "{:.4} % unserved, {:.3} × limit, ${:.2}, {:.2} changes/h",
        score.unserved_pct, score.cost_over_limit, score.cost, score.adaptations_per_h
    )
}
