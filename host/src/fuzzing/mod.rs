//! The targets of `tests/fuzz`: every entry point of external data, with the invariants that must always hold.
//!
//! Compiled only for the fuzzer and for tests. A test runs every seed of `tests/fuzz/corpus`, which permanently keeps
//! the cases found by the fuzzer.

pub use crate::balancer::haproxy::fuzzing::{haproxy_answers, template_context};
pub use crate::cloud::digitalocean::fuzzing::api_bodies;
pub use crate::config::fuzzing::config;
pub use crate::plugin::fuzzing::component;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// A fuzz target.
    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 5] = [
        ("api_bodies", api_bodies),
        ("component", component),
        ("config", config),
        ("haproxy_answers", haproxy_answers),
        ("template_context", template_context),
    ];

    #[test]
    fn targets_accept_all_corpus_cases() {
        for (name, target) in TARGETS {
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(name);
            let cases: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|case| case.unwrap().path()).collect();

            assert!(!cases.is_empty(), "no cases in {}", corpus.display());
            for case in cases {
                target(&std::fs::read(case).unwrap());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn targets_accept_arbitrary_bytes(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            for (_, target) in TARGETS {
                target(&bytes);
                target(text.as_bytes());
            }
        }
    }
}
