//! Generates unique droplet names: prefix, index and six random characters.
//!
//! The index alone is unique while the inventory is intact. The random part keeps names unique if the inventory is
//! lost, and makes a match by name proof that the fleet created the droplet.

use std::sync::Mutex;

use doproxy_core::domain::{DropletName, InvalidName};
use doproxy_support::sync::lock;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// Letters and digits without lookalikes.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// Generates names: from a seed in simulations, otherwise from the system's entropy.
#[derive(Debug)]
pub struct NameGenerator(Mutex<SmallRng>);

impl NameGenerator {
    /// Creates a generator of unpredictable names.
    pub fn random() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    /// Creates a generator that returns the same names for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// Returns the name of the `index`-th droplet of a fleet: `auto-nginx-7-k3f9tq`.
    pub fn next(&self, prefix: &str, index: u32) -> Result<DropletName, InvalidName> {
        let mut random = lock(&self.0);
        let suffix: String = (0..6).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect();
        DropletName::parse(format!("{prefix}-{index}-{suffix}"))
    }

    /// Reports whether `name` follows the pattern: prefix, index, six characters of the alphabet.
    pub fn matches(prefix: &str, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let rest = name.strip_prefix(&prefix.to_ascii_lowercase()).and_then(|rest| rest.strip_prefix('-'));
        rest.and_then(|rest| rest.split_once('-')).is_some_and(|(index, suffix)| {
            index.parse::<u32>().is_ok() && suffix.len() == 6 && suffix.bytes().all(|byte| ALPHABET.contains(&byte))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_of_one_index_differ() {
        let names = NameGenerator::random();

        let made: HashSet<_> = (0..100).map(|_| names.next("web", 3).unwrap()).collect();

        assert!(
            made.iter()
                .all(|name| NameGenerator::matches("web", name.as_str())
                    && !NameGenerator::matches("api", name.as_str()))
        );
        assert!(
            !NameGenerator::matches("web", "web-1")
                && !NameGenerator::matches("web", "web-1-blog")
                && !NameGenerator::matches("web", "web")
        );
        assert_eq!(made.len(), 100);
        assert!(made.iter().all(|name| name.as_str().starts_with("web-3-")));
    }
}
