//! The sandbox that the compiler process enters before it reads any input: limits on CPU time and memory, and no access
//! to other resources.

use std::{fs, io};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, LandlockStatus, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus,
    Scope,
};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

/// Maximum number of open files: the three standard streams, and some that libraries open temporarily.
const MAX_OPEN_FILES: u64 = 16;

/// The resource limits of a compiler process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// CPU time in seconds, all threads together.
    pub cpu_seconds: u64,
    /// Address space in bytes: the program itself, its stacks and heap.
    pub memory_bytes: u64,
}

impl SandboxLimits {
    /// Sandboxes this process permanently, and returns a description of the enforced restrictions.
    ///
    /// Resource limits are mandatory. Landlock is applied as far as the kernel supports it.
    pub(super) fn enforce(&self) -> io::Result<String> {
        let Self { cpu_seconds, memory_bytes } = *self;
        // The hard limit, which kills the process, is one second after the soft limit, whose signal identifies the
        // cause.
        lower_limit(Resource::RLIMIT_CPU, cpu_seconds, cpu_seconds.saturating_add(1))?;
        lower_limit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)?;
        lower_limit(Resource::RLIMIT_FSIZE, 0, 0)?;
        lower_limit(Resource::RLIMIT_NOFILE, MAX_OPEN_FILES, MAX_OPEN_FILES)?;
        lower_limit(Resource::RLIMIT_CORE, 0, 0)?;
        // Core dumps to a pipe ignore the resource limit, so disable dumping.
        prctl::set_dumpable(false)?;
        // Without the host, nothing would read the result or terminate this process.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Makes this process the first to be killed when the machine runs out of memory. Optional: some systems do not
        // permit it.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        let landlock = match apply_landlock() {
            Ok(enforced) => enforced,
            Err(error) => format!("no landlock: {error}"),
        };
        Ok(format!(
            "compiling with limits of {cpu_seconds} s of CPU time and {memory_bytes} bytes of memory; {landlock}"
        ))
    }
}

/// Lowers a resource limit; keeps an existing lower one.
fn lower_limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let (_, inherited) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(inherited), hard.min(inherited))?)
}

/// Uses Landlock to deny opening files, connecting to or listening on network addresses, and signaling other processes.
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
        RulesetStatus::PartiallyEnforced => "partially enforced",
        RulesetStatus::NotEnforced => "not enforced",
    };
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!(" (ABI {})", effective_abi as u32),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => String::new(),
    };
    Ok(format!("landlock {extent}{version}"))
}
