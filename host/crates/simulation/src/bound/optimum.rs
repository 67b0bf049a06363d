//! The clairvoyant optimum: the lowest cost that leaves nothing unserved.
//!
//! It creates droplets `boot_ticks + 1` ticks ahead. Between two needs, a level costs either the ticks for which it
//! keeps running, or `boot_ticks` to start it again. It therefore keeps running over gaps of up to `boot_ticks`.

/// The cheapest run that leaves nothing unserved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Optimum {
    /// Billed ticks.
    pub ticks: u64,
    /// Number of ready droplets in each tick.
    pub ready: Vec<u32>,
}

impl Optimum {
    /// Computes the optimum for `required` droplets in each tick, with `first` of them ready at the start.
    pub fn of(required: &[u32], boot_ticks: u32, first: u32) -> Self {
        let boot = boot_ticks as usize;
        let mut ticks = 0;
        let mut ready = required.to_vec();
        // Tick in which each level was last needed, once that need has ended.
        let mut last: Vec<Option<usize>> = Vec::new();
        let mut before = 0;
        for (now, needed) in required.iter().map(|needed| *needed as usize).enumerate() {
            ticks += needed as u64;
            last.resize(last.len().max(needed), None);
            for level in before..needed {
                // Initial droplets are running before they are needed; any other droplet must be started once.
                let gap = match last[level] {
                    Some(last) => now - last - 1,
                    None if level < first as usize => now,
                    None => usize::MAX,
                };
                if gap <= boot {
                    ticks += gap as u64;
                    ready[now - gap..now].iter_mut().for_each(|ready| *ready += 1);
                } else {
                    ticks += u64::from(boot_ticks);
                }
            }
            if needed < before {
                last[needed..before].fill(Some(now - 1));
            }
            before = needed;
        }
        Self { ticks, ready }
    }
}
