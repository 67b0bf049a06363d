//! Every kind of hostile plugin, one after another on the same host: each fails with its own message in bounded time
//! and memory, and the next call of a good plugin succeeds.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use doproxy_core::domain::{Decision, GuardFacts, GuardRules, Plan};
use doproxy_core::pipeline::guard;
use doproxy_plugin_host::{Limits, PluginError, PluginHost};
use doproxy_test_support::guests::{GuestFile, GuestText, HOLD};

use super::{observation, sandboxed_host};

/// The expected result of a hostile plugin.
enum Expectation {
    /// An error whose message contains this text.
    ErrorContains(&'static str),
    /// A decision whose plan satisfies this predicate.
    PlanSatisfies(fn(&Plan) -> bool),
}
use Expectation::{ErrorContains, PlanSatisfies};

/// Number of droplets in the observed fleet; a tick may create or delete ten more.
const FLEET: u64 = 5;

struct Hostile {
    description: &'static str,
    plugin: GuestFile,
    expected: Expectation,
}

fn hostile(what: &'static str, guest: &GuestText, end: Expectation) -> Hostile {
    Hostile { description: what, plugin: guest.write(), expected: end }
}

fn hostile_decide(what: &'static str, decide: &str, end: Expectation) -> Hostile {
    hostile(what, &GuestText::with_decide(decide), end)
}

/// Grows the memory from 1 MiB to 33 MiB of zeros, and returns the decision written by `stores`.
fn returning(stores: &str) -> String {
    format!("(drop (memory.grow (i32.const 512))) {stores} {HOLD}")
}

fn store(at: u32, value: i64) -> String {
    format!("(i32.store (i32.const {at}) (i32.const {value}))")
}

/// Scales the fleet to `count`.
fn scale_to(count: i64) -> String {
    returning(&(store(264, 1) + &store(268, count)))
}

/// Deletes `count` droplets, with consecutive IDs from `id`.
fn delete(count: u32, id: u64) -> String {
    let list = store(264, 2) + &store(276, 1 << 20) + &store(280, count.into());
    format!(
        "(local $i i32) (drop (memory.grow (i32.const 512)))
         (loop $next
            (i64.store (i32.add (i32.const 1048576) (i32.shl (local.get $i) (i32.const 3)))
                (i64.add (i64.extend_i32_u (local.get $i)) (i64.const {id})))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const {count}))))
         {list} {HOLD}"
    )
}

/// Returns one signal with the value `value`.
fn signal(value: &str) -> String {
    let name = store(2048, 1024) + &store(2052, 9);
    let list = store(352, 2048) + &store(356, 1);
    returning(&format!("{name} (f64.store (i32.const 2056) (f64.const {value})) {list}"))
}

/// Prints until it is stopped.
fn print(stream: &str, blocks: u32, then: &str) -> GuestText {
    GuestText::with_decide(&format!(
        "(local $i i32) (local $to i32) (local.set $to (call $stream))
         (drop (memory.grow (i32.const 512)))
         (loop $next
            (call $print (local.get $to) (i32.const 1048576) (i32.const 4096) (i32.const 2048))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const {blocks}))))
         {then}"
    ))
    .extra(&format!(
        r#"(import "wasi:cli/{stream}@0.2.0" "get-{stream}" (func $stream (result i32)))
           (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                (func $print (param i32 i32 i32 i32)))"#
    ))
    .imports(
        "import wasi:cli/stdout@0.2.0; import wasi:cli/stderr@0.2.0; import wasi:io/streams@0.2.0;",
        "package wasi:io@0.2.0 {
            interface error { resource error; }
            interface streams {
                use error.{error};
                variant stream-error { last-operation-failed(error), closed }
                resource output-stream {
                    blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
                }
            }
         }
         package wasi:cli@0.2.0 {
            interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
            interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
         }",
    )
}

fn exit() -> GuestText {
    GuestText::with_decide("(call $exit (i32.const 0)) unreachable")
        .extra(r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#)
        .imports(
            "import wasi:cli/exit@0.2.0;",
            "package wasi:cli@0.2.0 { interface exit { exit: func(status: result); } }",
        )
}

/// A thousand requests, each with the same thousand tags, each of them the same 32 KiB: 32 GB for a host that copies
/// them.
fn exploding() -> String {
    let fill = |at: u32, count: u32, step: u32, address: u32, length: u32| {
        format!(
            "(local.set $i (i32.const {at}))
             (loop $next{at}
                (i32.store (local.get $i) (i32.const {address}))
                (i32.store offset=4 (local.get $i) (i32.const {length}))
                (local.set $i (i32.add (local.get $i) (i32.const {step})))
                (br_if $next{at} (i32.lt_u (local.get $i) (i32.const {}))))",
            at + count * step
        )
    };
    let tags = fill(2 << 20, 1000, 8, 4 << 20, 32 * 1024);
    // In each request of 60 bytes, the list of tags is at offset 40.
    let requests = fill((3 << 20) + 40, 1000, 60, 2 << 20, 1000);
    let list = store(264, 2) + &store(268, 3 << 20) + &store(272, 1000);
    format!("(local $i i32) (drop (memory.grow (i32.const 512))) {tags} {requests} {list} {HOLD}")
}

/// Functions with `tables` jump tables of a hundred targets each, each of which receives a thousand values.
fn costly(functions: usize, tables: usize) -> GuestText {
    let results = "i32 ".repeat(1000);
    let values = "(i32.const 7)".repeat(1000);
    let labels: String = (1..=100).map(|label| format!("{label} ")).collect();
    let (open, close) = ("block (type $many) ".repeat(100), "end ".repeat(100));
    let drops = "drop ".repeat(1000);
    let jumps = format!("local.get 0 if call $values local.get 0 br_table {labels} end ").repeat(tables);
    let function = format!("(func (param i32) {open} {jumps} call $values {close} {drops})");
    GuestText::with_decide(HOLD).extra(&format!(
        "(type $many (func (result {results}))) (func $values (type $many) {values}) {}",
        function.repeat(functions)
    ))
}

/// A component with this number of instances of one core module.
fn crowd(instances: usize) -> GuestFile {
    let crowd = "(core instance (instantiate $m))".repeat(instances);
    GuestFile::text(&format!(
        r#"(component (core module $m (memory 1)) {crowd} (instance $i) (export "doproxy:plugin/policy@0.1.0" (instance $i)))"#
    ))
}

/// Plugins that exhaust resources or abort.
fn resource_exhaustion() -> Vec<Hostile> {
    let grow = |what: &str| format!("(if (i32.eq {what} (i32.const -1)) (then unreachable)) {HOLD}");
    vec![
        hostile_decide("an endless loop", "(loop (br 0)) unreachable", ErrorContains("the fuel limit of")),
        hostile_decide(
            "unlimited memory growth",
            &grow("(memory.grow (i32.const 40000))"),
            ErrorContains("the memory limit of"),
        ),
        hostile(
            "unlimited recursion",
            &GuestText::with_decide("(call $deep) unreachable").extra("(func $deep (call $deep) (call $deep))"),
            ErrorContains("trapped: call stack exhausted"),
        ),
        hostile("1 GiB on stdout", &print("stdout", 1 << 18, HOLD), ErrorContains("the call timeout of 2s")),
        hostile("a panic message of 10 MB", &print("stderr", 2560, "unreachable"), ErrorContains("trapped: ")),
        hostile_decide(
            "a log line of 10 MB",
            &returning("(call $log (i32.const 2) (i32.const 1048576) (i32.const 10000000))"),
            ErrorContains("from plugin to host in one call"),
        ),
        hostile_decide(
            "a flood of log lines",
            "(loop (call $log (i32.const 2) (i32.const 1024) (i32.const 9)) (br 0)) unreachable",
            ErrorContains("the log limit of 100 lines"),
        ),
        hostile(
            "unlimited table growth",
            &GuestText::with_decide(&grow("(table.grow (ref.null func) (i32.const 10000000))"))
                .extra("(table 1 funcref)"),
            ErrorContains("the limit of 200000 table elements"),
        ),
        hostile_decide("a trap", "unreachable", ErrorContains("trapped: ")),
        hostile("an exit", &exit(), ErrorContains("trapped: ")),
    ]
}

/// Plugins with oversized or invalid results.
fn invalid_decisions() -> Vec<Hostile> {
    vec![
        hostile_decide(
            "a reason of 1 GiB",
            &returning(&(store(344, 1 << 20) + &store(348, 1 << 30))),
            ErrorContains("trapped: "),
        ),
        hostile_decide(
            "a reason of 16 MiB",
            &returning(&(store(344, 1 << 20) + &store(348, 16 << 20))),
            ErrorContains("from plugin to host in one call"),
        ),
        hostile_decide("nested lists that expand", &exploding(), ErrorContains("from plugin to host in one call")),
        hostile_decide(
            "millions of strings",
            // One request with four million empty strings as tags.
            &returning(
                &(store(264, 2) + &store(268, 2048) + &store(272, 1) + &store(2088, 1 << 20) + &store(2092, 4_000_000)),
            ),
            ErrorContains("from plugin to host in one call"),
        ),
        hostile_decide(
            "state over the limit",
            &returning(&(store(360, 1 << 20) + &store(364, 65537))),
            ErrorContains("the state limit of 64 KiB"),
        ),
        hostile_decide("a value that is NaN", &signal("nan"), ErrorContains("signal \"hand-made\" is NaN")),
        hostile_decide("an infinite value", &signal("-inf"), ErrorContains("signal \"hand-made\" is -inf")),
        hostile(
            "a reason that is not UTF-8",
            &GuestText::with_decide(&returning(&(store(344, 2048) + &store(348, 4))))
                .extra(r#"(data (i32.const 2048) "a\ff\fe\80")"#),
            ErrorContains("trapped: "),
        ),
        hostile(
            "a log line that is not UTF-8",
            &GuestText::with_decide("(call $log (i32.const 2) (i32.const 2048) (i32.const 4)) unreachable")
                .extra(r#"(data (i32.const 2048) "a\ff\fe\80")"#),
            ErrorContains("trapped: "),
        ),
        hostile_decide(
            "an invalid log level",
            "(call $log (i32.const 9) (i32.const 1024) (i32.const 4)) unreachable",
            ErrorContains("trapped: "),
        ),
        hostile_decide(
            "a negative size",
            &scale_to(-1),
            PlanSatisfies(|plan| plan.to == 15 && plan.deletes.is_empty()),
        ),
        hostile_decide("a size of two billion", &scale_to(2_000_000_000), PlanSatisfies(|plan| plan.to == 15)),
        hostile_decide("an empty fleet", &scale_to(0), PlanSatisfies(|plan| plan.to >= 1 && plan.creates.is_empty())),
        hostile_decide(
            "deletion of every droplet by ID",
            &delete(5, 0),
            PlanSatisfies(|plan| plan.to >= 1 && plan.deletes.len() <= 4),
        ),
        hostile_decide(
            "a hundred thousand unknown droplets",
            &delete(100_000, 77_777),
            PlanSatisfies(|plan| plan.deletes.is_empty() && plan.restrictions.len() < 10),
        ),
    ]
}

/// Components that must not be loaded.
fn invalid_components() -> Vec<Hostile> {
    let whole = GuestText::with_decide(HOLD).component();
    vec![
        hostile(
            "a schema that expands exponentially",
            &GuestText::with_decide(HOLD).schema(&format!(
                r#"{{"additionalProperties": {{"allOf": [{}]}}}}"#,
                vec![r##"{"$ref": "#"}"##; 240].join(",")
            )),
            ErrorContains("invalid config-schema: validating this configuration takes more than"),
        ),
        Hostile {
            description: "an import outside its world",
            plugin: GuestFile::text(
                r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance $i)) (export "doproxy:plugin/policy@0.1.0" (instance $i)))"#,
            ),
            expected: ErrorContains(
                "the component imports wasi:http/outgoing-handler@0.2.0, which is not available to plugins",
            ),
        },
        Hostile {
            description: "hundreds of instances",
            plugin: crowd(900),
            expected: ErrorContains("exceeds the capacity of this host: "),
        },
        Hostile {
            description: "a thousand instances",
            plugin: crowd(1000),
            expected: ErrorContains("instances count exceeds limit of 1000"),
        },
        Hostile {
            description: "half a file",
            plugin: GuestFile::bytes(&whole[..whole.len() / 2]),
            expected: ErrorContains("malformed component: "),
        },
        hostile(
            "a module that takes seconds to compile",
            &costly(100, 3),
            ErrorContains("(plugins.limits.compile_cpu_time)"),
        ),
        hostile(
            "a module that takes gigabytes to compile",
            &costly(1, 400),
            ErrorContains("(plugins.limits.compile_memory_bytes)"),
        ),
    ]
}

/// Loads the plugin, validates its configuration and requests a decision.
async fn load_and_decide(host: &PluginHost, plugin: &GuestFile) -> Result<Decision, PluginError> {
    let config = r#"{"parts": {"first": {"template": "x"}}}"#;
    let policy = host.policy(&plugin.reference()).await?;
    policy.validate(config).await?;
    Ok(policy.decide(config, &observation(FLEET, "m", 1.0), b"").await?.value)
}

/// Returns the process's peak memory since the last reset, in MiB.
fn memory_high_water() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn reset_memory_high_water() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// Run by the test below in a separate process, because it measures the process's memory.
#[tokio::test]
#[ignore = "run by another test in a separate process"]
async fn alone() {
    let limits = Limits {
        fuel: 20_000_000,
        call_timeout: Duration::from_secs(2),
        compile_cpu_time: Duration::from_secs(2),
        compile_memory_bytes: 1024 * 1024 * 1024,
        ..Limits::default()
    };
    let host = sandboxed_host(limits);
    let good = host.policy(&"builtin:target-tracking".parse().unwrap()).await.unwrap();
    let config = r#"{"metric": "haproxy.sessions", "target_per_droplet": 10}"#;
    let cases: Vec<Hostile> =
        resource_exhaustion().into_iter().chain(invalid_decisions()).chain(invalid_components()).collect();
    let (mut worst, mut slowest, mut most) = (Duration::ZERO, "", 0);

    for Hostile { description, plugin, expected } in &cases {
        reset_memory_high_water();
        let before = memory_high_water();
        let started = Instant::now();
        let result = load_and_decide(&host, plugin).await;
        let took = started.elapsed();
        let grown = memory_high_water().saturating_sub(before);

        match (expected, &result) {
            (ErrorContains(words), Err(error)) => assert!(error.to_string().contains(words), "{description}: {error}"),
            (PlanSatisfies(is_left), Ok(decision)) => {
                let rules = GuardRules::unrestricted();
                let plan = guard(&observation(FLEET, "m", 1.0), decision, &rules, &GuardFacts::default());
                assert!(is_left(&plan), "{description}: {plan:?}");
            }
            _ => panic!("{description}: {result:?}"),
        }
        let next = good.decide(config, &observation(3, "haproxy.sessions", 60.0), b"").await.unwrap();
        assert_eq!(next.value.outcome.size(3), 6, "after {description}");
        println!("  {description}: {} ms, +{grown} MiB", took.as_millis());
        if took > worst {
            (worst, slowest) = (took, description);
        }
        most = most.max(grown);
    }

    println!(
        "hostile plugins: {} contained, worst {} ms ({slowest}), host memory at most +{most} MiB",
        cases.len(),
        worst.as_millis()
    );
    assert!(worst < Duration::from_secs(30), "{slowest}");
    assert!(most < 256, "+{most} MiB");
}

#[test]
fn hostile_plugins_are_contained() {
    let output = Command::new(env::current_exe().unwrap())
        .args(["contained::alone", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();

    let message = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{message}\n{}", String::from_utf8_lossy(&output.stderr));
    let summary = message.lines().find(|line| line.starts_with("hostile plugins: ")).unwrap();
    // Bypass the test harness, which shows the output of failed tests only.
    writeln!(io::stderr(), "{summary}").unwrap();
}
