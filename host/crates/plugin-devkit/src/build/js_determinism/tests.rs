use wasmtime::{Engine, Linker, Store};

use super::*;

/// Fills eight bytes at address 0 with random numbers, and stores the time at 8; the table also contains the random
/// function.
const MODULE: &str = r#"(module
        (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (type $filler (func (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (global $own (mut i32) (i32.const 7))
        (table 1 funcref)
        (elem (i32.const 0) func $random)
        (func (export "read") (result i32)
            (drop (call_indirect (type $filler) (i32.const 0) (i32.const 4) (i32.const 0)))
            (drop (call $random (i32.const 4) (i32.const 4)))
            (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8)))
            (global.get $own)))"#;

#[test]
fn repeated_initialization_is_identical() {
    let determinized = determinize(&wat::parse_str(MODULE).unwrap()).unwrap();
    let engine = Engine::default();
    let module = wasmtime::Module::new(&engine, &determinized).unwrap();
    let start = || {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&module).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let read_state = instance.get_typed_func::<(), i32>(&mut store, "read").unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        [(); 2].map(|()| {
            assert_eq!(read_state.call(&mut store, ()).unwrap(), 7);
            let bytes: [u8; 16] = memory.data(&store)[..16].try_into().unwrap();
            (bytes[..8].to_vec(), i64::from_le_bytes(bytes[8..].try_into().unwrap()))
        })
    };

    let [first, second] = start();

    assert_eq!(start(), [first.clone(), second.clone()]);
    assert!(first.0 != second.0 && first.0[..4] != first.0[4..], "{first:?} {second:?}");
    assert_eq!([first.1, second.1], [CLOCK_START + CLOCK_STEP, CLOCK_START + 2 * CLOCK_STEP]);
}

#[test]
fn unsupported_module_is_rejected() {
    let message = |module: &[u8]| determinize(module).unwrap_err().to_string();

    assert_eq!(message(&wat::parse_str("(module)").unwrap()), "no import of random_get");
    assert!(message(b"\0asm").contains("unexpected end"), "{}", message(b"\0asm"));
}
