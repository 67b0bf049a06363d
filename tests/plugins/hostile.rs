//! Hostile and invalid components: each produces its own error, and the host keeps working.

use std::time::Duration;

use doproxy_plugin_host::{CallError, CallOutput, GuestTrace, Limit, Limits, PluginError, PluginHost, PluginSettings};
use doproxy_plugin_registry::Reference;
use doproxy_test_support::guests::{GuestFile, GuestText, HOLD};
use insta::assert_snapshot;

use super::{host, observation};

fn host_with_limits(limits: Limits) -> PluginHost {
    PluginHost::new(PluginSettings { limits, ..PluginSettings::default() }).unwrap()
}

/// Returns the result of the guest's `decide`.
async fn load_and_decide(
    host: &PluginHost,
    guest: &GuestText,
) -> Result<CallOutput<doproxy_core::domain::Decision>, PluginError> {
    let policy = host.policy(&guest.write().reference()).await.unwrap();
    policy.decide("{}", &observation(2, "haproxy.sessions", 1.0), b"").await
}

async fn failure(host: &PluginHost, decide: &str) -> CallError {
    match load_and_decide(host, &GuestText::with_decide(decide)).await.unwrap_err() {
        PluginError::Call { source, .. } => *source,
        other => panic!("{other}"),
    }
}

async fn limit_hit(host: &PluginHost, decide: &str) -> Limit {
    match failure(host, decide).await {
        CallError::LimitExceeded { limit, .. } => limit,
        other => panic!("{other}"),
    }
}

/// Returns the error of loading a component; the file is named FILE.
async fn load_error(host: &PluginHost, planted: &GuestFile) -> String {
    let error = host.policy(&planted.reference()).await.unwrap_err();
    error.to_string().replace(&planted.reference().to_string(), "file:FILE")
}

#[tokio::test]
async fn well_behaved_guest_holds_the_fleet() {
    let called = load_and_decide(&host(), &GuestText::with_decide(HOLD)).await.unwrap();

    assert_eq!(called.value.outcome, doproxy_core::domain::Outcome::Hold);
}

#[tokio::test]
async fn endless_loop_runs_out_of_fuel() {
    // Less than the default, so that a busy machine does not reach the deadline first.
    let host = host_with_limits(Limits { fuel: 1_000_000, call_timeout: Duration::from_mins(1), ..Limits::default() });

    let error = failure(&host, "(loop (br 0)) unreachable").await;

    let text = error.to_string();
    assert!(text.starts_with("exceeded the fuel limit of 1000000 (plugins.limits.fuel)\n"), "{text}");
    assert!(text.contains("0: decide"), "the guest's frames have names: {text}");
}

#[tokio::test]
async fn loop_with_ample_fuel_hits_the_deadline() {
    let limits = Limits { fuel: u64::MAX, call_timeout: Duration::from_millis(20), ..Limits::default() };

    let limit = limit_hit(&host_with_limits(limits), "(loop (br 0)) unreachable").await;

    assert_eq!(limit, Limit::CallTimeout(Duration::from_millis(20)));
}

#[tokio::test]
async fn memory_growth_fails_and_a_trap_names_the_limit() {
    let limits = Limits { memory_bytes: 1024 * 1024, ..Limits::default() };
    let host = host_with_limits(limits);

    let copes = "(drop (memory.grow (i32.const 1000))) (i32.const 256)";
    assert!(load_and_decide(&host, &GuestText::with_decide(copes)).await.is_ok());

    let breaks = "(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1)) (then unreachable)) (i32.const 256)";
    assert_eq!(limit_hit(&host, breaks).await, Limit::Memory(1024 * 1024));
}

#[tokio::test]
async fn trap_includes_guest_frames_and_log() {
    let guest =
        GuestText::with_decide("(call $log (i32.const 2) (i32.const 2048) (i32.const 16)) (call $divide) unreachable")
            .extra(
                r#"(func $divide (drop (i32.div_u (i32.const 1) (i32.const 0))))
               (data (i32.const 2048) "about to \1b[31mfail")"#,
            );
    let planted = guest.write();
    let policy = host().policy(&planted.reference()).await.unwrap();

    let error = policy.decide("{}", &observation(2, "m", 1.0), b"").await.unwrap_err();

    let PluginError::Call { function, source, log, .. } = &error else { panic!("{error}") };
    let CallError::Trapped { reason, backtrace } = &**source else { panic!("{error}") };
    assert_eq!((*function, reason.as_str()), ("decide", "integer divide by zero"));
    assert_eq!(log[0].to_string(), "warn: about to \u{fffd}[31mfa");
    let GuestTrace(frames) = backtrace;
    assert_eq!(frames.len(), 2, "{frames:?}");
    assert!(frames[0] == "0: divide" && frames[1] == "1: decide", "{frames:?}");
}

#[tokio::test]
async fn endless_logging_is_stopped() {
    let limit =
        limit_hit(&host(), "(loop (call $log (i32.const 0) (i32.const 64) (i32.const 4)) (br 0)) unreachable").await;

    assert_eq!(limit, Limit::LogLines(100));
}

#[tokio::test]
async fn oversized_results_name_their_limit() {
    // The offsets of the address and length of the reason and of the state; memory above 1 MiB contains only zeros.
    let respond = |offset: u32, bytes: u32| {
        format!(
            "(drop (memory.grow (i32.const 500)))
             (i32.store (i32.const {}) (i32.const 1048576)) (i32.store (i32.const {}) (i32.const {bytes})) {HOLD}",
            256 + offset,
            256 + offset + 4
        )
    };
    let (reason, state) = (88, 104);
    let host = host();

    assert_eq!(limit_hit(&host, &respond(state, 64 * 1024 + 1)).await, Limit::State(64 * 1024));
    assert_eq!(limit_hit(&host, &respond(reason, 1024 * 1024 + 1)).await, Limit::Decision(1024 * 1024));
    assert_eq!(limit_hit(&host, &respond(reason, 16 * 1024 * 1024)).await, Limit::Transfer(4 * 1024 * 1024));
}

#[tokio::test]
async fn guest_text_cannot_control_a_terminal() {
    let reason =
        "(i32.store (i32.const 344) (i32.const 2048)) (i32.store (i32.const 348) (i32.const 8)) (i32.const 256)";
    let guest = GuestText::with_decide(reason).extra(r#"(data (i32.const 2048) "a\1b[2J\0ab\07")"#);

    let called = load_and_decide(&host(), &guest).await.unwrap();

    assert_eq!(called.value.reason, "a\u{fffd}[2J b\u{fffd}");
}

#[tokio::test]
async fn guest_error_is_passed_on() {
    // An error result: 1, then the third case with its text.
    let failed = "(i32.store8 (i32.const 256) (i32.const 1)) (i32.store8 (i32.const 264) (i32.const 2))
        (i32.store (i32.const 268) (i32.const 1024)) (i32.store (i32.const 272) (i32.const 9)) (i32.const 256)";

    assert_eq!(failure(&host(), failed).await, CallError::Failed("hand-made".to_owned()));
}

#[tokio::test]
async fn each_kind_of_non_plugin_has_its_own_error() {
    let host = host();

    assert_snapshot!(load_error(&host, &GuestFile::bytes(b"#!/bin/sh\necho hello\n")).await, @"plugin file:FILE: not a WebAssembly file; a plugin is a WebAssembly component");
    assert_snapshot!(load_error(&host, &GuestFile::bytes(b"")).await, @"plugin file:FILE: not a WebAssembly file; a plugin is a WebAssembly component");
    assert_snapshot!(load_error(&host, &GuestFile::text("(module)")).await, @"plugin file:FILE: a core module, not a component; convert it with `wasm-tools component new`");
    assert_snapshot!(load_error(&host, &GuestFile::text("(component)")).await, @"plugin file:FILE: not a plugin: the component exports nothing, but neither doproxy:plugin/policy nor doproxy:plugin/user-data");
    assert_snapshot!(load_error(&host, &GuestFile::text(r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#)).await, @"plugin file:FILE: not a plugin: the component exports wasi:cli/run@0.2.0, but neither doproxy:plugin/policy nor doproxy:plugin/user-data");
    assert_snapshot!(load_error(&host, &GuestFile::text(r#"(component (instance $i) (export "doproxy:plugin/policy@0.9.0" (instance $i)))"#)).await, @"plugin file:FILE: the component targets doproxy:plugin/policy@0.9.0; this doproxy supports version 0.1.0");
    assert_snapshot!(load_error(&host, &GuestFile::text(r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance $i)) (export "doproxy:plugin/policy@0.1.0" (instance $i)))"#)).await, @"plugin file:FILE: the component imports wasi:http/outgoing-handler@0.2.0, which is not available to plugins; allowed are only doproxy:plugin/log and WASI 0.2");
    assert_snapshot!(load_error(&host, &GuestFile::text(r#"(component (instance $i) (export "doproxy:plugin/policy@0.1.0" (instance $i)))"#)).await, @"plugin file:FILE: the component does not match the contract: instance export `doproxy:plugin/policy@0.1.0` does not have export `describe`");
}

#[tokio::test]
async fn mismatched_decide_signature_is_rejected_at_load() {
    let other =
        GuestText::with_decide(HOLD).with_contract_edit("state: list<u8>) -> result", "state: list<u16>) -> result");

    let error = load_error(&host(), &other.write()).await;

    assert_snapshot!(error, @"plugin file:FILE: `describe` trapped: expected `u8` found `u16`");
}

#[tokio::test]
async fn truncated_component_is_rejected_without_panic() {
    let whole = wat::parse_str(r#"(component (core module (func (export "f"))) (instance $i) (export "doproxy:plugin/policy@0.1.0" (instance $i)))"#).unwrap();
    let host = host();

    for length in 8..whole.len() {
        let error = host.policy(&GuestFile::bytes(&whole[..length]).reference()).await.unwrap_err();
        assert!(matches!(error, PluginError::Load { .. }), "{length}: {error}");
    }
}

#[tokio::test]
async fn oversized_component_is_rejected_unread() {
    let host = host_with_limits(Limits { component_bytes: 1024, ..Limits::default() });

    let error = load_error(&host, &GuestFile::bytes(&[0; 4096])).await;

    assert_snapshot!(error, @"plugin file:FILE: the component exceeds the component limit of 1 KiB (plugins.limits.component_bytes)");
}

#[tokio::test]
async fn missing_file_error_names_the_path() {
    let error = host().policy(&"file:/no/such/policy.wasm".parse().unwrap()).await.unwrap_err();

    assert_snapshot!(error, @"plugin file:/no/such/policy.wasm: failed to read the file: No such file or directory (os error 2)");
}

#[tokio::test]
async fn malicious_schema_is_blamed_on_the_plugin() {
    let planted = GuestText::with_decide(HOLD).schema(r##"{"$ref": "#"}"##).write();
    let policy = host().policy(&planted.reference()).await.unwrap();

    let error = policy.validate("{}").await.unwrap_err();

    assert!(
        error.to_string().ends_with(": invalid config-schema: its references are circular or too deeply nested"),
        "{error}"
    );
}

#[tokio::test]
async fn component_of_both_kinds_is_rejected() {
    let both = r#"(component (instance $i) (export "doproxy:plugin/policy@0.1.0" (instance $i)) (export "doproxy:plugin/user-data@0.1.0" (instance $i)))"#;

    assert_snapshot!(load_error(&host(), &GuestFile::text(both)).await, @"plugin file:FILE: the component exports both doproxy:plugin/policy and doproxy:plugin/user-data; split it into two components");
}

#[tokio::test]
async fn non_regular_file_is_rejected_without_blocking() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("policy.wasm");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let host = host();

    for path in [pipe.as_path(), directory.path(), "/dev/zero".as_ref()] {
        let reference = Reference::File(path.to_owned());
        let error = host.policy(&reference).await.unwrap_err().to_string();
        assert_eq!(error, format!("plugin {reference}: not a regular file"));
    }
}

#[tokio::test]
async fn any_flipped_byte_is_rejected_or_contained() {
    let whole = GuestText::with_decide(HOLD).component();
    let host = host_with_limits(Limits { fuel: 1_000_000, ..Limits::default() });

    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x11;
        let Ok(policy) = host.policy(&GuestFile::bytes(&flipped).reference()).await else { continue };
        let _ = policy.decide("{}", &observation(2, "m", 1.0), b"").await;
    }

    assert!(load_and_decide(&host, &GuestText::with_decide(HOLD)).await.is_ok());
}

#[tokio::test]
async fn debug_information_is_stripped() {
    let home = tempfile::tempdir().unwrap();
    let compiled_size = async |name: &str, sections: &str| {
        let directory = home.path().join(name);
        let settings = PluginSettings { cache_dir: Some(directory.clone()), ..PluginSettings::default() };
        let planted = GuestText::with_decide(HOLD).extra(sections).write();
        PluginHost::new(settings).unwrap().policy(&planted.reference()).await.unwrap();
        std::fs::read_dir(directory).unwrap().next().unwrap().unwrap().metadata().unwrap().len()
    };
    let megabyte = "x".repeat(1024 * 1024);
    let sections = format!(r#"(@custom ".debug_info" "{megabyte}") (@custom ".debug_line" "{megabyte}")"#);

    let without = compiled_size("without", "").await;
    let with = compiled_size("with", &sections).await;

    assert!(with < without + 4096, "{with} bytes, {without} without");
}
