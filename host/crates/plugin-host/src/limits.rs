//! Resource limits of plugins.

use std::time::Duration;

use crate::error::{CallError, GuestTrace, Limit};

/// Resource limits of a plugin; exceeding one is an error that names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of a component in bytes.
    pub component_bytes: usize,
    /// Maximum wall-clock time to compile a component.
    pub compile_timeout: Duration,
    /// Maximum CPU time to compile a component, rounded up to seconds.
    pub compile_cpu_time: Duration,
    /// Maximum address space of the compiler process in bytes.
    pub compile_memory_bytes: usize,
    /// Maximum bytes of linear memory in one call, all memories together.
    pub memory_bytes: usize,
    /// Maximum fuel of one call: about one unit per instruction. The same call uses the same fuel on every machine.
    pub fuel: u64,
    /// Maximum wall-clock time of one call; the backstop behind fuel.
    pub call_timeout: Duration,
    /// Maximum bytes of the state returned with a decision.
    pub state_bytes: usize,
    /// Maximum bytes of a whole decision.
    pub decision_bytes: usize,
    /// Maximum bytes of user data.
    pub user_data_bytes: usize,
    /// Maximum number of lines that a call may log.
    pub log_lines: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 64 * MIB,
            compile_timeout: Duration::from_mins(1),
            compile_cpu_time: Duration::from_mins(1),
            compile_memory_bytes: 2 * 1024 * MIB,
            memory_bytes: 64 * MIB,
            // A JavaScript policy used 13 million; an infinite loop reaches this limit well before the call timeout.
            fuel: 100_000_000,
            call_timeout: Duration::from_millis(250),
            state_bytes: 64 * KIB,
            decision_bytes: MIB,
            user_data_bytes: 64 * KIB,
            log_lines: 100,
        }
    }
}

impl Limits {
    /// Returns the maximum number of bytes copied from guest to host in one call: the largest result and its structure.
    pub(super) fn transfer_bytes(&self) -> usize {
        self.decision_bytes.max(self.user_data_bytes).max(self.state_bytes).saturating_mul(4)
    }

    /// Checks the size of a decision: `state` bytes of state, `whole` bytes in total.
    pub(super) fn check_decision_size(&self, state: usize, whole: usize) -> Result<(), CallError> {
        let over = |limit| Err(CallError::LimitExceeded { limit, backtrace: GuestTrace::default() });
        match () {
            () if state > self.state_bytes => over(Limit::State(self.state_bytes)),
            () if whole > self.decision_bytes => over(Limit::Decision(self.decision_bytes)),
            () => Ok(()),
        }
    }

    /// Returns the maximum size of a component's machine code in bytes.
    pub(super) fn artifact_bytes(&self) -> usize {
        self.component_bytes.saturating_mul(4)
    }
}
