use super::*;

#[test]
fn compiler_and_runtime_engines_are_compatible() {
    let hash = |engine: &wasmtime::Engine| {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    };

    assert_eq!(hash(&compiler_engine().unwrap()), Engine::start().unwrap().fingerprint());
}
