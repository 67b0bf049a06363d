//! What can go wrong with a plugin. None of it harms the host, and none of it passes by itself: nothing here is retried.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::resolver::ResolveError;
use super::{LogLine, Reference};
use crate::model::{PluginKind, Problem};

/// How many of the last lines of a log an error shows.
const LOG_TAIL_LINES: usize = 5;

/// What went wrong, with which plugin.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The host itself does not start.
    #[error("the plugin engine does not start: {0}")]
    Engine(String),
    /// The cache is not fit to hold code that will be run.
    #[error("the plugin cache {} {reason}", .directory.display())]
    Cache {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
    /// It cannot be used at all.
    #[error("plugin {reference}: {source}")]
    Load {
        /// The plugin.
        reference: Reference,
        /// Why not.
        source: LoadError,
    },
    /// Its configuration is wrong.
    #[error("plugin {reference}: the configuration is not valid:{}", Problems(.problems))]
    Config {
        /// The plugin.
        reference: Reference,
        /// What is wrong with it.
        problems: Vec<Problem>,
    },
    /// A call gave no answer.
    #[error("plugin {reference}: `{function}` {source}{}", LogTail(.log))]
    Call {
        /// The plugin.
        reference: Reference,
        /// The function of the contract.
        function: &'static str,
        /// Why not.
        source: Box<CallError>,
        /// What it logged until then.
        log: Vec<LogLine>,
    },
}

impl PluginError {
    /// Whether it is in what the user wrote or has, and not in how things went.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Call { .. } => false,
            Self::Load { source: LoadError::Resolve(error), .. } => error.is_configuration(),
            _ => true,
        }
    }
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No plugin of that name comes with this binary.
    #[error("no such plugin comes with doproxy{}; there are: {}", did_you_mean(.suggestion.as_deref()), .known.join(", "))]
    UnknownBuiltin {
        /// The one that was probably meant.
        suggestion: Option<String>,
        /// All of them.
        known: Vec<&'static str>,
    },
    /// It is in a registry, and cannot be got from there or is not taken.
    #[error(transparent)]
    Resolve(#[from] Box<ResolveError>),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is a device, a pipe or a directory.
    #[error("it is no regular file")]
    NotAFile,
    /// It is larger than allowed.
    #[error("the component is larger than {0}")]
    TooLarge(Limit),
    /// It is something else.
    #[error("the file is not WebAssembly; a plugin is a WebAssembly component")]
    NotWasm,
    /// It is WebAssembly, and not a component.
    #[error("the file is a core module, not a component; `wasm-tools component new` makes one")]
    CoreModule,
    /// It is broken.
    #[error("the component is broken: {0}")]
    Malformed(String),
    /// It wants more than a plugin gets.
    #[error(
        "the component imports {0}, which a plugin does not get; it may import doproxy:plugin/log and WASI 0.2, nothing else"
    )]
    DisallowedImport(String),
    /// It is written for another version of the contract.
    #[error("the component is written for {interface}; this doproxy supports version {supported}")]
    UnsupportedVersion {
        /// Its interface.
        interface: String,
        /// The versions of this host.
        supported: &'static str,
    },
    /// It is a component for something else.
    #[error(
        "the component is no plugin: it exports {}, and neither doproxy:plugin/policy nor doproxy:plugin/user-data",
        if .0.is_empty() { "nothing".to_owned() } else { .0.join(", ") }
    )]
    UnknownWorld(Vec<String>),
    /// It is both kinds of plugin at once.
    #[error(
        "the component exports both doproxy:plugin/policy and doproxy:plugin/user-data; a plugin is one of them: make two components of it"
    )]
    BothWorlds,
    /// It is the other kind of plugin.
    #[error("this is a {actual}, and a {expected} is wanted here")]
    KindMismatch {
        /// What it is.
        actual: PluginKind,
        /// What was asked for.
        expected: PluginKind,
    },
    /// The compiler refused it.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// Compiling it goes over a limit.
    #[error("compiling the component goes over {0}")]
    CompileLimit(Limit),
    /// The compiler cannot be started.
    #[error("the compiler {} does not start: {source}", .program.display())]
    SpawnCompiler {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It compiles, and is made of more parts than one instance may have.
    #[error("the component is more than this host holds: {0}")]
    TooManyParts(String),
    /// Its functions are not those of the contract.
    #[error("the component does not fit the contract: {0}")]
    Contract(String),
    /// Its schema is none.
    #[error("its config-schema is not valid: {0}")]
    Schema(String),
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It went over a limit.
    #[error("went over {limit}{backtrace}")]
    LimitExceeded {
        /// Which.
        limit: Limit,
        /// Where in the guest, where that is known.
        backtrace: GuestTrace,
    },
    /// It broke off.
    #[error("trapped: {reason}{backtrace}")]
    Trapped {
        /// How.
        reason: String,
        /// Where in the guest.
        backtrace: GuestTrace,
    },
    /// Its answer cannot be meant.
    #[error("answered nonsense: {0}")]
    InvalidResult(String),
    /// It says that its configuration is wrong.
    #[error("cannot work with its configuration:{}", Problems(.0))]
    InvalidConfig(Vec<Problem>),
    /// It lacks a series.
    #[error("lacks the series {0}; add a source for it under `metrics`")]
    MissingMetric(String),
    /// It says that it failed.
    #[error("failed: {0}")]
    Failed(String),
}

/// A limit, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Bytes of a component.
    #[error("the component limit of {} (plugins.limits.component_bytes)", Bytes(*.0))]
    Component(usize),
    /// Time to compile.
    #[error("the compile limit of {0:?} (plugins.limits.compile_time)")]
    CompileTimeout(Duration),
    /// Processor time to compile.
    #[error("the compile limit of {0:?} of CPU (plugins.limits.compile_cpu)")]
    CompileCpuTime(Duration),
    /// Memory to compile.
    #[error("the compile limit of {} of memory (plugins.limits.compile_memory_bytes)", Bytes(*.0))]
    CompileMemory(usize),
    /// Machine code; follows from the size of a component.
    #[error("the limit of {} of machine code, four times plugins.limits.component_bytes", Bytes(*.0))]
    Artifact(usize),
    /// Linear memory.
    #[error("the memory limit of {} (plugins.limits.memory_bytes)", Bytes(*.0))]
    Memory(usize),
    /// Elements of all tables together; fixed.
    #[error("the limit of {0} table elements")]
    Tables(usize),
    /// Fuel.
    #[error("the fuel limit of {0} (plugins.limits.fuel)")]
    Fuel(u64),
    /// Wall-clock time.
    #[error("the deadline of {0:?} (plugins.limits.deadline)")]
    CallTimeout(Duration),
    /// State of a policy.
    #[error("the state limit of {} (plugins.limits.state_bytes)", Bytes(*.0))]
    State(usize),
    /// A whole decision.
    #[error("the decision limit of {} (plugins.limits.decision_bytes)", Bytes(*.0))]
    Decision(usize),
    /// User data.
    #[error("the user-data limit of {} (plugins.limits.user_data_bytes)", Bytes(*.0))]
    UserData(usize),
    /// Lines of log.
    #[error("the log limit of {0} lines (plugins.limits.log_lines)")]
    LogLines(usize),
    /// Bytes that cross from guest to host; follows from the others.
    #[error("the limit of {} from plugin to host in one call", Bytes(*.0))]
    Transfer(usize),
}

/// Where in the guest it happened: its own frames, innermost first; empty where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestTrace(pub Vec<String>);

impl fmt::Display for GuestTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|frame| write!(f, "\n  {frame}"))
    }
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1024 * 1024) == 0 => write!(f, "{} MiB", bytes / (1024 * 1024)),
            bytes if bytes > 0 && bytes % 1024 == 0 => write!(f, "{} KiB", bytes / 1024),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

struct Problems<'a>(&'a [Problem]);

impl fmt::Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Problem { path, message }| {
            if path.is_empty() { write!(f, "\n  {message}") } else { write!(f, "\n  {path}: {message}") }
        })
    }
}

struct LogTail<'a>(&'a [LogLine]);

impl fmt::Display for LogTail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = &self.0[self.0.len().saturating_sub(LOG_TAIL_LINES)..];
        if !tail.is_empty() {
            write!(f, "\nthe last that it logged:")?;
        }
        tail.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean builtin:{name}?")).unwrap_or_default()
}
