//! Runs of fuzz targets in the ordinary test suite.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// A fuzz target and its name in `tests/fuzz`.
pub type Target = (&'static str, fn(&[u8]));

/// Runs each target on every input of its corpus, where inputs that once failed are kept.
///
/// # Panics
///
/// If a target fails or has no corpus.
pub fn run_corpora(targets: &[Target]) {
    for (name, target) in targets {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fuzz/corpus").join(name);
        let inputs: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|input| input.unwrap().path()).collect();

        assert!(!inputs.is_empty(), "no input in {}", corpus.display());
        for input in inputs {
            target(&std::fs::read(input).unwrap());
        }
    }
}

/// Runs each target on arbitrary bytes and on arbitrary text.
///
/// # Panics
///
/// If a target fails; the message has the smallest input that fails.
pub fn run_arbitrary_inputs(targets: &[Target]) {
    let inputs = (any::<Vec<u8>>(), any::<String>());
    let result = TestRunner::new(ProptestConfig::with_cases(64)).run(&inputs, |(bytes, text)| {
        for (_, target) in targets {
            target(&bytes);
            target(text.as_bytes());
        }
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
}
