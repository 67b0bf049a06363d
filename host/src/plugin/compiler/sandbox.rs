//! What the process that compiles does to itself before it reads a byte: it may use so much of processor and memory, and
//! reach nothing else at all.

use std::fs;
use std::io;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus,
    Scope,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

/// Files that it may have open: the three that it was given, and some that libraries open for a moment.
const MAX_OPEN_FILES: u64 = 16;

/// What a process that compiles may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Seconds of processor time, all threads together.
    pub cpu_seconds: u64,
    /// Bytes of address space: the program itself, its stacks and what it allocates.
    pub memory_bytes: u64,
}

impl SandboxLimits {
    /// Takes from this process what it does not need, for good, and says what is enforced.
    ///
    /// Limits of resources are a must. Landlock is taken where the kernel has it, as much of it as there is.
    pub(super) fn enforce(&self) -> io::Result<String> {
        let Self { cpu_seconds, memory_bytes } = *self;
        // One second between the signal that tells the limit and the one that nobody can ignore.
        lower_limit(Resource::RLIMIT_CPU, cpu_seconds, cpu_seconds.saturating_add(1))?;
        lower_limit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)?;
        lower_limit(Resource::RLIMIT_FSIZE, 0, 0)?;
        lower_limit(Resource::RLIMIT_NOFILE, MAX_OPEN_FILES, MAX_OPEN_FILES)?;
        lower_limit(Resource::RLIMIT_CORE, 0, 0)?;
        // A core is written to a pipe whatever its limit says, unless there is none to be dumped.
        prctl::set_dumpable(false)?;
        // When the host dies, nobody is left to take the answer or to end this.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // When the machine runs out of memory, this goes first. A system that does not let it say so is no worse off.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        let landlock = match apply_landlock() {
            Ok(enforced) => enforced,
            Err(error) => format!("no landlock: {error}"),
        };
        Ok(format!("compiling within {cpu_seconds} s of CPU and {memory_bytes} bytes of memory; {landlock}"))
    }
}

/// Sets a limit; one that is lower already stays.
fn lower_limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, inherited) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(inherited), hard.min(inherited))?)
}

/// No file can be opened, no address connected to or listened on, no other process signalled.
fn apply_landlock() -> Result<String, RulesetError> {
    let newest = ABI::V8;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(newest))?
        .handle_access(AccessNet::from_all(newest))?
        .scope(Scope::from_all(newest))?
        .create()?
        .restrict_self()?;
    let extent = match status.ruleset {
        RulesetStatus::FullyEnforced => "fully enforced",
        RulesetStatus::PartiallyEnforced => "partly enforced",
        RulesetStatus::NotEnforced => "not enforced",
    };
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!(" (ABI {})", effective_abi as u32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => String::new(),
    };
    Ok(format!("landlock {extent}{version}"))
}
