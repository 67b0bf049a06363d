//! `doproxy simulate` as operators and CI run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use doproxy_core::domain::Sample;
use doproxy_core::pipeline::REQUESTS_PER_SECOND;
use doproxy_metrics::{SeriesKey, TimeSeriesStore};
use doproxy_support::Clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs `simulate` in a folder without a configuration.
fn simulate(arguments: &[&str]) -> (Output, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_doproxy"))
        .current_dir(&dir)
        .env_remove("DOPROXY_CONFIG")
        .arg("simulate")
        .args(arguments)
        .output()
        .unwrap();
    (output, dir)
}

const DAY: [&str; 6] =
    ["--trace", "diurnal:mean=500,swing=0.6+noise:share=0.03", "--capacity", "100", "--minimum-charge", "0s"];

/// A minimal configuration.
const CONFIG: &str = "fleet: www
token: unused
droplet_options: {hostname_prefix: www, region: nyc3, size: s-1vcpu-1gb, image: debian-12-x64}
";

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn policies_are_compared_in_a_table_with_bounds() {
    let (output, _) = simulate(&[&DAY[..], &["--policy", "hpa", "--policy", "hpa=0.9"]].concat());

    let table = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let names: Vec<&str> = table.lines().skip(1).map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(names, ["policy", "hpa", "hpa=0.9", "optimum", "static peak"], "{table}");
}

#[test]
fn same_seed_produces_identical_json() {
    let run = |seed| text(&simulate(&[&DAY[..], &["--policy", "hpa", "--json", "--seed", seed]].concat()).0.stdout);

    let (one, other) = (run("1"), run("2"));

    assert_eq!(one, run("1"));
    assert_ne!(one, other);
    let json: serde_json::Value = serde_json::from_str(&one).unwrap();
    for name in [
        "theta_u",
        "theta_o",
        "tau_u",
        "tau_o",
        "upsilon",
        "sigma",
        "unserved_pct",
        "adaptations_per_h",
        "droplet_hours",
        "cost",
        "optimum_droplet_hours",
        "cost_over_optimum",
        "cost_over_limit",
    ] {
        assert!(json["policies"][0][name].is_f64(), "{name}: {one}");
    }
}

#[test]
fn gate_passes_sound_policy_and_fails_expensive_one() {
    let gate = |policy: &str| {
        Command::new(root().join("examples/simulate-gate/gate.sh"))
            .arg(policy)
            .env("DOPROXY", env!("CARGO_BIN_EXE_doproxy"))
            .current_dir(root())
            .output()
            .unwrap()
    };

    let (sound, dear) = (gate("hpa"), gate("hpa=0.2"));

    assert!(sound.status.success(), "{sound:?}");
    assert_eq!(dear.status.code(), Some(1), "{dear:?}");
    assert!(text(&dear.stderr).contains("✗ hpa=0.2: cost is"), "{}", text(&dear.stderr));
}

#[test]
fn broken_trace_is_rejected_with_line_or_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("load.csv");
    std::fs::write(&path, "timestamp_s,requests_per_s\n0,100\n60,120\n240,130\n300,140\n").unwrap();
    let trace = path.to_str().unwrap();
    let arguments = ["--trace", trace, "--capacity", "50", "--policy", "hpa"];

    let (refused, _) = simulate(&arguments);
    let (mended, _) = simulate(&[&arguments[..], &["--repair"]].concat());

    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("load.csv:4: 2 of the preceding intervals are missing"), "{refused:?}");
    assert!(mended.status.success(), "{mended:?}");
    assert!(text(&mended.stderr).contains("interpolated missing intervals: 2 times"), "{mended:?}");
}

#[test]
fn recorded_series_are_a_trace() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("doproxy.yml"), CONFIG).unwrap();
    let now = Clock::from_wall_clock().now();
    let store = TimeSeriesStore::open(&dir.path().join("doproxy.history.db"), now);
    let key = SeriesKey { name: REQUESTS_PER_SECOND.into(), labels: Vec::new(), unit: "requests/s".into() };
    let series = store.get_or_create(&key).unwrap();
    // Two hours at 15 s intervals with jitter.
    let samples: Vec<Sample> = (0..480_u32)
        .map(|turn| Sample {
            at: now.minus(Duration::from_millis(u64::from(480 - turn) * 15_000 + u64::from(turn % 7))),
            value: 100.0 + f64::from(turn),
        })
        .collect();
    store.append(series, &samples, now);
    store.flush().unwrap();
    drop(store);
    let arguments = ["--from-history", "1h", "--capacity", "50", "--policy", "hpa", "--min", "1", "--json"];

    let output = Command::new(env!("CARGO_BIN_EXE_doproxy"))
        .current_dir(&dir)
        .args(["--config", "doproxy.yml", "simulate"])
        .args(arguments)
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ticks = json["ticks"].as_u64().unwrap();
    assert!((60..=61).contains(&ticks), "{ticks} ticks of a minute in an hour");
    let served = json["policies"][0]["droplet_hours"].as_f64().unwrap();
    assert!((8.0..18.0).contains(&served), "340 to 580 requests per second at 35 per droplet: {served}");
}

/// Half a day, for tuning.
const HALF_A_DAY: [&str; 12] = [
    "--trace",
    "diurnal:mean=500,swing=0.6,period=4h+noise:share=0.03",
    "--length",
    "12h",
    "--capacity",
    "100",
    "--minimum-charge",
    "0s",
    "--policy",
    "hpa",
    "--optimize",
    "target_per_droplet=30..100",
];

#[test]
fn tuning_finds_cheapest_setting_and_validates_it() {
    let json = |more: &[&str]| {
        let (output, _) = simulate(&[&HALF_A_DAY[..], &["--json"], more].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };

    let (strict, loose) = (json(&["--slo", "unserved<=0.01%"]), json(&["--slo", "unserved<=2%"]));

    let target = |tuned: &serde_json::Value| tuned["config"]["target_per_droplet"].as_f64().unwrap();
    let unserved = |tuned: &serde_json::Value| tuned["train"]["unserved_pct"].as_f64().unwrap();
    assert!(target(&strict) < target(&loose) && target(&loose) <= 100.0, "{strict}\n{loose}");
    assert!(unserved(&strict) <= 0.01 && unserved(&loose) <= 2.0, "{strict}\n{loose}");
    assert!(strict["train"]["cost"].as_f64() > loose["train"]["cost"].as_f64(), "{strict}\n{loose}");
    assert!(strict["holds"] == true && strict["test"]["cost_over_limit"].as_f64().unwrap() >= 1.0, "{strict}");
    assert_eq!(strict["config"]["preset"], "hpa", "untuned settings stay");
}

#[test]
fn interrupted_tuning_prints_best_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_doproxy"))
        .current_dir(&dir)
        .env_remove("DOPROXY_CONFIG")
        .arg("simulate")
        .args(HALF_A_DAY)
        // More points than can be evaluated during the test.
        .args(["--optimize", "scale_in_stabilization_s=60..1200", "--optimize", "warm_up_s=0..600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    // By then the plugin is loaded and some points have been evaluated.
    let worked = || {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().nth(11).unwrap().parse::<u64>().unwrap()
    };
    while worked() < 300 {
        std::thread::sleep(Duration::from_millis(20));
    }

    kill(Pid::from_raw(id.cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();

    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stderr).contains("search stopped; showing the best result so far"), "{output:?}");
    assert!(text(&output.stdout).contains("  target_per_droplet:"), "{output:?}");
}

#[test]
fn report_is_one_self_contained_page() {
    let (output, dir) = simulate(&[&DAY[..], &["--policy", "hpa", "--report", "out.html"]].concat());

    assert!(output.status.success(), "{output:?}");
    let page = std::fs::read_to_string(dir.path().join("out.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("{{"), "an unfilled placeholder");
    assert!(!page.contains("http://www.w3.org/1999/xlink") && !page.contains("src="));
    assert!(page.contains("--trace diurnal:mean=500,swing=0.6+noise:share=0.03"), "the page contains the command");
}

#[test]
fn invalid_arguments_are_reported() {
    for (arguments, wanted) in [
        (vec!["--trace", "flat.csv", "--capacity", "1", "--policy", "hpa"], "failed to read trace flat.csv"),
        (vec!["--trace", "constant:rate=1", "--capacity", "0", "--policy", "hpa"], "--capacity must be greater than 0"),
        (vec!["--trace", "constant:rate=1", "--capacity", "1"], "no policy given; pass one with --policy"),
        (vec!["--trace", "constant:rate=1", "--capacity", "1", "--policy", "hpa", "--guard"], "there is none"),
    ] {
        let (output, _) = simulate(&arguments);

        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(wanted), "{output:?}");
    }
}
