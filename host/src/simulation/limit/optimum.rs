//! The clairvoyant optimum: nothing unserved, for the least money.
//!
//! It orders `boot_ticks + 1` ticks ahead. Between two needs, a level costs as many ticks as it is kept, or
//! `boot_ticks` to be started again: it is kept over a gap that is no longer than that.

/// The cheapest run that leaves nothing unserved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Optimum {
    /// What it bills, in ticks.
    pub ticks: u64,
    /// The droplets that are ready in each tick.
    pub ready: Vec<u32>,
}

impl Optimum {
    /// For `required` droplets in each tick, with `first` of them ready at the beginning.
    pub fn of(required: &[u32], boot_ticks: u32, first: u32) -> Self {
        let boot = boot_ticks as usize;
        let mut ticks = 0;
        let mut ready = required.to_vec();
        // The tick in which each level was last needed, once its need has ended.
        let mut last: Vec<Option<usize>> = Vec::new();
        let mut before = 0;
        for (now, needed) in required.iter().map(|needed| *needed as usize).enumerate() {
            ticks += needed as u64;
            last.resize(last.len().max(needed), None);
            for level in before..needed {
                // Those of the beginning are there before they are needed; any other has to be started once.
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
