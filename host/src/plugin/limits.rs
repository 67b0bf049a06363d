//! What a plugin may use up.

use std::time::Duration;

use super::{CallError, GuestTrace, Limit};

/// What a plugin may use up; over any of these is an error that names the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a component.
    pub component_bytes: usize,
    /// Wall-clock time to compile a component.
    pub compile_timeout: Duration,
    /// Processor time to compile a component, rounded up to seconds.
    pub compile_cpu_time: Duration,
    /// Bytes of address space of the process that compiles.
    pub compile_memory_bytes: usize,
    /// Bytes of linear memory in one call, all memories together.
    pub memory_bytes: usize,
    /// Fuel in one call: about one for each instruction. The same call uses the same fuel on every machine.
    pub fuel: u64,
    /// Wall-clock time of one call; the backstop behind fuel.
    pub call_timeout: Duration,
    /// Bytes of the state that a decision hands on.
    pub state_bytes: usize,
    /// Bytes of a whole decision.
    pub decision_bytes: usize,
    /// Bytes of user data.
    pub user_data_bytes: usize,
    /// Lines that a call may log.
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
            // A policy in JavaScript used 13 million; a loop without end uses this up well before the deadline.
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
    /// Bytes that a guest may make the host copy in one call across the border: the largest answer and its structure.
    pub(super) fn transfer_bytes(&self) -> usize {
        self.decision_bytes.max(self.user_data_bytes).max(self.state_bytes).saturating_mul(4)
    }

    /// Whether a decision with so many bytes of state, and so many in all, is small enough.
    pub(super) fn check_decision_size(&self, state: usize, whole: usize) -> Result<(), CallError> {
        let over = |limit| Err(CallError::LimitExceeded { limit, backtrace: GuestTrace::default() });
        match () {
            () if state > self.state_bytes => over(Limit::State(self.state_bytes)),
            () if whole > self.decision_bytes => over(Limit::Decision(self.decision_bytes)),
            () => Ok(()),
        }
    }

    /// Bytes of machine code of one component.
    pub(super) fn artifact_bytes(&self) -> usize {
        self.component_bytes.saturating_mul(4)
    }
}
